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
_MNT_DETACH: Final = 2
_libc: Final = ctypes.CDLL(None, use_errno=True)


class SmallDisk:
    """The file system at a folder.

    Args:
        folder: An empty folder.

    Attributes:
        is_mounted: Whether the folder is a separate file system. To mount one takes privileges.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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

    def close(self) -> None:
        """Unmount the disk, so that the folder can be removed; its content is lost."""
        if self.is_mounted and _libc.umount2(os.fsencode(self._folder), _MNT_DETACH):
            raise OSError(ctypes.get_errno(), "umount2")
        self.is_mounted = False


def _mount(folder: Path) -> bool:
    return not (
        _libc.unshare(_CLONE_NEWNS)
        or _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        or _libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, b"size=%d" % _BYTES)
    )
