"""The error folder: unexpected exceptions of all processes of a run, one file each."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn


class ErrorFolder:
    """Keeps tracebacks for the driver.

    Args:
        path: The folder; the driver creates it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, work: Callable[[], object]) -> None:
        """Call `work`; record an exception and raise it again."""
        try:
            work()
        except Exception:
            self._record()
            raise

    def run_child(self, work: Callable[[], NoReturn]) -> NoReturn:
        """Call `work` in a forked child, and never return into the parent's code."""
        try:
            work()
        except SystemExit:
            raise
        except BaseException:  # noqa: BLE001 - every exception is recorded
            self._record()
            os._exit(1)

    def summaries(self) -> Iterator[str]:
        """Yield, for each recorded exception, its file and its last line."""
        for file in sorted(self._path.iterdir()):
            yield f"{file}: {file.read_text().strip().splitlines()[-1]}"

    def _record(self) -> None:
        name = f"{os.getpid()}-{threading.get_native_id()}-{time.monotonic_ns()}"
        (self._path / name).write_text(traceback.format_exc())
