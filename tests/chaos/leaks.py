"""Leaks: processes, files and descriptors that a run leaves behind."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chaos.procfs import command, descendants, start_time
from tests.support import open_descriptors

_SHARED_MEMORY: Final = Path("/dev/shm")
_OUR_NAME: Final = "dataart"


class Leaks:
    """Compares what exists now with what existed when this object was created.

    Args:
        temporary: The folder for temporary files of all processes of the run.
    """

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self._descriptors = open_descriptors()
        self._files = self._all_files()

    def descriptors(self) -> int:
        """Return how many more descriptors this process has open."""
        return open_descriptors() - self._descriptors

    def files(self) -> list[str]:
        """Return the new files: temporary ones, and those in shared memory."""
        return sorted(self._all_files() - self._files)

    @staticmethod
    def processes() -> list[str]:
        """Return the living descendants of this process."""
        found = descendants(os.getpid())
        return [f"{pid}: {command(pid)}" for pid in found if start_time(pid) is not None]

    def _all_files(self) -> set[str]:
        # Other programs on this machine create shared memory, too.
        shared = {path for path in _files_in(_SHARED_MEMORY) if _OUR_NAME in path}
        return shared | set(_files_in(self._temporary))


def _files_in(folder: Path) -> Iterator[str]:
    return (str(path) for path in folder.rglob("*")) if folder.exists() else iter(())
