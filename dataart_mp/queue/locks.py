"""Ownership: POSIX record locks on single bytes of the arena's file.

The kernel drops a lock when the process that holds it dies, however it dies, so "who owns this?"
has one truthful answer that no reuse of a process id can blur. Four properties of `fcntl` locks
shape the code that uses them:

- They exclude processes, not threads: `held` does that for the threads of one process.
- A forked child inherits none: `forget` brings `held` in line after a fork.
- All of a process's locks on a file go when it closes *any* descriptor of that file: nobody may
  open the arena a second time in one process.
- Asking by acquiring makes two askers hide the dead from each other: `owner` asks with `F_GETLK`.
"""

import fcntl
import os
import struct
import sys
from typing import Final

# struct flock, which Python leaves to its caller; the layouts are those of <fcntl.h>.
if sys.platform == "darwin":
    _FLOCK: Final = struct.Struct("qqihh")  # l_start, l_len, l_pid, l_type, l_whence

    def _pack(byte: int) -> bytes:
        return _FLOCK.pack(byte, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)

    def _unpack(answer: bytes) -> tuple[int, int]:
        _, _, pid, kind, _ = _FLOCK.unpack(answer)
        return kind, pid
else:
    _FLOCK = struct.Struct("hhqqi4x")  # l_type, l_whence, l_start, l_len, l_pid

    def _pack(byte: int) -> bytes:
        return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)

    def _unpack(answer: bytes) -> tuple[int, int]:
        kind, _, _, _, pid = _FLOCK.unpack(answer)
        return kind, pid


# The bytes that stand for something else than a frame lie far above any frame's number.
JANITOR: Final = 1 << 32
STARTER: Final = JANITOR + 1
REPORTER: Final = JANITOR + 2
CREATOR: Final = JANITOR + 3
PLACES: Final = 1 << 33  # + the number of the worker's place
ROWS: Final = 1 << 34  # + the number of the ledger's row


class RecordLocks:
    """Try-locks on the bytes of one file, between processes and between threads.

    No call ever waits, and none takes a lock of Python's: they are safe in a signal handler, in
    `__del__`, and in a child forked while other threads were in the middle of one.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: dict[int, object] = {}

    def acquire(self, byte: int) -> bool:
        """Take `byte`; False when another process, or another thread of this one, has it."""
        claim = object()
        # setdefault is one atomic step: the first thread wins, the others see its claim.
        if self._held.setdefault(byte, claim) is not claim:
            return False
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES for "taken"
            del self._held[byte]
            return False
        except BaseException:
            self._held.pop(byte, None)
            raise
        return True

    def release(self, byte: int) -> None:
        """Give back `byte`, which this process holds."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)
        self._held.pop(byte, None)

    def holds(self, byte: int) -> bool:
        """Whether this process holds `byte`."""
        return byte in self._held

    def owner(self, byte: int) -> int | None:
        """The process id that holds `byte`, this process's own included; None when it is free."""
        if byte in self._held:
            return os.getpid()
        kind, pid = _unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, _pack(byte)))
        return None if kind == fcntl.F_UNLCK else pid

    def forget(self) -> None:
        """In a forked child: the kernel gave it none of the parent's locks."""
        self._held = {}
