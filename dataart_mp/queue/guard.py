"""The fork guard: notices that this process is a child, however it was forked.

`os.register_at_fork` hooks do not run when C code forks (uWSGI), and `os.getpid()` on each event
would cost as much as the copy of the event. A page that the kernel wipes in a forked child
(`MADV_WIPEONFORK`, Linux 4.14) answers the same question with one read of memory.
"""

import mmap
import os
import sys
from typing import Protocol

_MADV_WIPEONFORK = 18  # <linux/mman.h>; Python's mmap does not name it


class ForkGuard(Protocol):
    """`guard[0]` is true in the process that armed the guard, and false in its forked children."""

    def __getitem__(self, index: int, /) -> int: ...


def arm() -> ForkGuard:
    """A guard that is true in this process alone."""
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(_MADV_WIPEONFORK)
        except OSError:  # an older kernel, or one that only looks like Linux
            page.close()
        else:
            page[0] = 1
            return page
    return _PidGuard()


class _PidGuard:
    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, index: int) -> int:
        return os.getpid() == self._pid
