"""The chronicle: what happened, in order, for whoever looks for the cause of a fault."""

import os
import time
from pathlib import Path


class Chronicle:
    """A file that all processes of a run append to, line by line.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "chronicle"

    def tell(self, text: str) -> None:
        """Write down what happens at this moment."""
        with self._path.open("a") as file:  # a short line is appended whole
            file.write(f"{time.time():.6f} {os.getpid()} {text}\n")
