"""A small disk for the spools, which the harness can fill.

It is mounted in a mount namespace of this process and its children, so it disappears with them.
"""

import ctypes
import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_BYTES: Final = 256 << 20
_CLONE_NEWNS: Final = 0x00020000
_MS_PRIVATE: Final = 1 << 18
_MS_REC: Final = 1 << 14


class SmallDisk:
    """The file system at a folder.

    Args:
        folder: An empty folder.

    Attributes:
        is_mounted: Whether the folder is a separate file system. To mount one takes privileges.
    """

    def __init__(self, folder: Path) -> None:
        self._ballast = folder / "ballast"
        self.is_mounted = _mount(folder)

    def fill(self) -> None:
        """Leave no room on the disk, until `free`."""
        if not self.is_mounted:
            raise ValueError("the disk is shared with others; it is not filled")
        with self._ballast.open("ab") as file:
            size = file.tell()
            step = 1 << 20
            while step >= mmap.PAGESIZE:
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError:  # full, for a piece of this size
                    step //= 2

    def free(self) -> None:
        """Make room again."""
        with suppress(FileNotFoundError):
            self._ballast.unlink()


def _mount(folder: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    return not (
        libc.unshare(_CLONE_NEWNS)
        or libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        or libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=%d" % _BYTES)
    )
