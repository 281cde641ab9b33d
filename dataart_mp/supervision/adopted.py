"""Adopted workers: those whose parent has become this process.

A worker's parent ends when it has forked it. The kernel then makes process 1 the parent, which in a
container is often the application, or else the nearest subreaper.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

WORKER_NAME: Final = "dataart_mp"
"""The name that a worker and its interpreter give themselves, which their zombies keep."""

_INIT: Final = 1

_subreapers: Final[set[int]] = set()


def expect() -> None:
    """Note that this process adopts orphans, though it may not be process 1."""
    _subreapers.add(os.getpid())


def reap() -> bool:
    """Reap the adopted workers that are dead, whichever process has started them.

    Other children are left alone: they are the application's.

    Returns:
        Whether there are adopted workers that live, or are not reaped yet.
    """
    if os.getpid() != _INIT and os.getpid() not in _subreapers:
        return False
    workers = [child for child in _children() if _name(child) == WORKER_NAME]
    left = [worker for worker in workers if not _is_reaped(worker)]
    return bool(left)


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").glob("*/children"):  # there are none on macOS
        with contextlib.suppress(OSError):  # the thread has ended
            yield from map(int, task.read_text().split())


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # another thread has reaped it
        return True
