"""The fork guard: notices that this process is a forked child, however it was forked.

`os.register_at_fork` hooks do not run when C code forks (uWSGI), and `os.getpid()` on each event
would cost as much as copying the event. A page that the kernel wipes in a forked child
(`MADV_WIPEONFORK`, Linux 4.14) answers the same question with one read of memory.
"""

import mmap
import os
import sys
from typing import Final

_MADV_WIPEONFORK: Final = 18  # <linux/mman.h>; Python's mmap does not name it


def make() -> "ForkGuard":
    """Return a guard that holds 0."""
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(_MADV_WIPEONFORK)
        except OSError:  # an older kernel, or one that only looks like Linux
            page.close()
        else:
            return page
    return _PidGuard()


def flag_of(guard: "ForkGuard") -> tuple[memoryview, int]:
    """Return a guard for code that runs no Python.

    Returns:
        Memory, whose first byte is 1 where the guard is 1; and the id of the only process for which
        this holds, or 0 if it holds in forked children, too.
    """
    if isinstance(guard, mmap.mmap):
        return memoryview(guard), 0
    return memoryview(guard.flag), os.getpid()


class _PidGuard:
    def __init__(self) -> None:
        self._pid = 0
        self.flag = bytearray(1)

    def __getitem__(self, index: int) -> int:
        return os.getpid() == self._pid

    def __setitem__(self, index: int, value: int) -> None:
        self._pid = os.getpid() if value else 0
        self.flag[0] = value


ForkGuard = mmap.mmap | _PidGuard
"""`guard[0]` is 1 in the process that stored 1 there, and 0 in its forked children."""
