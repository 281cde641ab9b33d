"""A process: which one it is, by a proof that does not depend on its locks.

A process id alone proves nothing, because the kernel uses it again. Together with the time at which
the process started it names one process of one boot, in one namespace of process ids. Where this
cannot be found out (no `/proc`), no process is named, and the locks decide alone.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
_DEAD: Final = frozenset("ZXx")  # zombie, dead: proc(5), /proc/pid/stat
_STOPPED: Final = frozenset("Tt")  # by a signal, by a debugger
_STATE: Final = 0
_START: Final = 19  # both counted behind the name in parentheses


class Process(NamedTuple):
    """One process of this boot.

    Attributes:
        pid: Its id; 0 names no process.
        start: When it started, in clock ticks since the boot.
    """

    pid: int
    start: int


NOBODY: Final = Process(0, 0)


class World(NamedTuple):
    """Where process ids have a meaning.

    Attributes:
        boot: Id of the boot, a 128-bit number; 0 when it is unknown.
        namespace: Inode of the namespace of process ids; 0 when it is unknown.
    """

    boot: int
    namespace: int

    @property
    def is_known(self) -> bool:
        """Whether processes in it can be told apart."""
        return bool(self.boot and self.namespace)


def current() -> Process:
    """Return this process; NOBODY when its start cannot be read."""
    pid = os.getpid()
    fields = _stat(pid)
    return NOBODY if fields is None else Process(pid, int(fields[_START]))


def is_alive(process: Process) -> bool:
    """Return whether a process of this world is alive. A zombie is not; NOBODY is not."""
    if not process.pid:
        return False
    fields = _stat(process.pid)
    if fields is None or fields[_STATE] in _DEAD:
        return False
    return int(fields[_START]) == process.start


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, by SIGSTOP or a debugger; False if that is unknown."""
    fields = _stat(pid)
    return fields is not None and fields[_STATE] in _STOPPED


def world() -> World:
    """Return the world of this process."""
    try:
        boot = int((_PROC / "sys/kernel/random/boot_id").read_text().strip().replace("-", ""), 16)
        return World(boot, (_PROC / "self/ns/pid").stat().st_ino)
    except (OSError, ValueError):
        return World(0, 0)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name may hold anything, parentheses included.
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > _START else None
