"""The process table: what the kernel says about other processes.

It is read from /proc. Without it, as on macOS, the functions know nothing of any process.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

WORKER_NAME: Final = "dataart_mp"
"""The name that a worker and its interpreter give themselves, which their zombies keep."""

_INIT: Final = 1
_STOPPED: Final = "Tt"
_ZOMBIE: Final = "Z"

_subreapers: Final[set[int]] = set()


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, by SIGSTOP or by a debugger."""
    return _name_and_state(pid)[1] in _STOPPED


def expect_adoptions() -> None:
    """Note that this process adopts orphans though it is not process 1: it is a subreaper."""
    _subreapers.add(os.getpid())


def reap_adopted() -> bool:
    """Reap the dead workers that this process has adopted, as process 1 of a container does.

    The parent of a worker has ended before it, so process 1 becomes its parent, whichever process
    started it. Other children are left alone: they are the application's.

    Returns:
        Whether there are adopted workers that live, or are not reaped yet.
    """
    if os.getpid() != _INIT and os.getpid() not in _subreapers:
        return False
    is_any_left = False
    for pid in _children():
        name, state = _name_and_state(pid)
        if name == WORKER_NAME:
            with contextlib.suppress(ChildProcessError):  # another thread has reaped it
                is_reaped = state == _ZOMBIE and os.waitpid(pid, os.WNOHANG)[0] == pid
                is_any_left = is_any_left or not is_reaped
    return is_any_left


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            yield from map(int, task.read_text().split())


def _name_and_state(pid: int) -> tuple[str, str]:
    """Return a process's name and the letter of its state; both are "?" if they are unknown."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "?", "?"
    name, _, rest = text.partition("(")[2].rpartition(") ")
    return name, rest[:1]
