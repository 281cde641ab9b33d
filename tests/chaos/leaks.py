"""Leaks: what is there after a run that was not there before."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chaos.procfs import born, command, descendants

_SHARED_MEMORY: Final = Path("/dev/shm")
_OUR_NAME: Final = "dataart"


class Leaks:
    """Looks around now, and once more at the end.

    Args:
        temporary: the folder for temporary files of all processes of the run.
    """

    def __init__(self, temporary: Path) -> None:
        self._temporary = temporary
        self._descriptors = _descriptors()
        self._files = self._all_files()

    def descriptors(self) -> int:
        """How many more this process has."""
        return _descriptors() - self._descriptors

    def files(self) -> list[str]:
        """The new ones, temporary or in shared memory."""
        return sorted(self._all_files() - self._files)

    @staticmethod
    def processes() -> list[str]:
        """Those below this one that live."""
        found = descendants(os.getpid())
        return [f"{pid}: {command(pid)}" for pid in found if born(pid) is not None]

    def _all_files(self) -> set[str]:
        # Others on this machine make shared memory, too.
        shared = {path for path in _files_in(_SHARED_MEMORY) if _OUR_NAME in path}
        return shared | set(_files_in(self._temporary))


def _files_in(folder: Path) -> Iterator[str]:
    return (str(path) for path in folder.rglob("*")) if folder.exists() else iter(())


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
