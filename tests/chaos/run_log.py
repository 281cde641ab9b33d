"""The run log: what happened and when, to find the cause of a problem."""

import os
import time
from pathlib import Path


class RunLog:
    """A file to which all processes of a run append lines.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.log"

    def write(self, text: str) -> None:
        """Append a line with the time and the process id."""
        with self._path.open("a") as file:  # a short line is appended in one step
            file.write(f"{time.time():.6f} {os.getpid()} {text}\n")
