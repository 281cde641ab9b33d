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
import weakref
from typing import Final

# struct flock, which Python leaves to its caller; the layouts are those of <fcntl.h>.
if sys.platform == "darwin":
    _FLOCK: Final = struct.Struct("qqihh")  # l_start, l_len, l_pid, l_type, l_whence

    def _pack(byte: int, length: int = 1) -> bytes:
        return _FLOCK.pack(byte, length, 0, fcntl.F_WRLCK, os.SEEK_SET)

    def _unpack(answer: bytes) -> tuple[int, int]:
        _, _, pid, kind, _ = _FLOCK.unpack(answer)
        return kind, pid
else:
    _FLOCK = struct.Struct("hhqqi4x")  # l_type, l_whence, l_start, l_len, l_pid

    def _pack(byte: int, length: int = 1) -> bytes:
        return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, length, 0)

    def _unpack(answer: bytes) -> tuple[int, int]:
        kind, _, _, _, pid = _FLOCK.unpack(answer)
        return kind, pid


# The bytes that stand for something else than a frame lie far above any frame's number.
JANITOR: Final = 1 << 32
STARTER: Final = JANITOR + 1
REPORTER: Final = JANITOR + 2
TAKEOVER: Final = JANITOR + 3  # who takes over what all others have left behind
LOADER: Final = JANITOR + 4  # who takes from the parking lot
PLACES: Final = 1 << 33  # + the number of the worker's place
ROWS: Final = 1 << 34  # + the number of the counters's row
PRODUCERS: Final = 1 << 35  # + any number: one for each process that emits
_LIVING: Final = 1 << 36  # all from PLACES up to here are locks of those who use the arena


class RecordLocks:
    """Try-locks on the bytes of one file, between processes and between threads.

    No call ever waits, and none takes a lock of Python's: they are safe in a signal handler, in
    `__del__`, and in a child forked while other threads were in the middle of one.

    A process may live on and still lose what it held: an exception (Ctrl-C) hits between two steps
    and unwinds the thread that knew of it. So a claim can be tied to an object, its holder. When
    the last reference to the holder has gone, the byte is `lost`, and whoever acquires it next in
    this process succeeds to it, as the kernel lets another process succeed to the dead.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held: dict[int, object] = {}
        self._heirs: dict[int, object] = {}

    def acquire(self, byte: int, holder: object = None) -> bool:
        """Take `byte`; False when another process, or another thread of this one, has it.

        Args:
            byte: what to take.
            holder: the object that the claim lives and dies with; None for "until released".
        """
        claim = object() if holder is None else weakref.ref(holder)
        try:
            # setdefault is one atomic step: the first thread wins, the others see its claim.
            present = self._held.setdefault(byte, claim)
            if present is not claim and not self._succeeds(claim, byte, present):
                return False
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES for "taken"
            self._held.pop(byte, None)
            return False
        except BaseException:
            if self._held.get(byte) is claim:
                self.release(byte)
            raise
        return True

    def release(self, byte: int) -> None:
        """Give back `byte`, which this process holds."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)
        finally:  # last: until then no other thread may believe that it has the kernel's lock
            self._held.pop(byte, None)

    def holds(self, byte: int) -> bool:
        """Whether this process holds `byte`."""
        return byte in self._held

    def is_held_by(self, byte: int, holder: object) -> bool:
        """Whether this process holds `byte`, and for `holder`."""
        claim = self._held.get(byte)
        return isinstance(claim, weakref.ref) and claim() is holder

    def holders(self) -> list[object]:
        """The objects that this process holds bytes for, as far as they are alive."""
        claims = self._held.copy().values()
        return [claim() for claim in claims if isinstance(claim, weakref.ref)]

    def lost(self) -> list[int]:
        """The bytes whose holder has gone without a release."""
        # A copy, made in one step: a signal handler or `__del__` may come and take locks.
        return [byte for byte, claim in self._held.copy().items() if _is_dead(claim)]

    def owner(self, byte: int) -> int | None:
        """The process id that holds `byte`, this process's own included; None when it is free."""
        if byte in self._held:
            return os.getpid()
        kind, pid = _unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, _pack(byte)))
        return None if kind == fcntl.F_UNLCK else pid

    def announce(self) -> None:
        """Say for good that this process uses the arena, as a producer."""
        if any(byte >= PRODUCERS for byte in self._held.copy()):
            return
        byte = PRODUCERS
        while not self.acquire(byte):
            byte += 1

    def anybody(self) -> bool:
        """Whether any other process uses the arena: a producer or a worker."""
        flock = _pack(PLACES, _LIVING - PLACES)
        return _unpack(fcntl.fcntl(self._fd, fcntl.F_GETLK, flock))[0] != fcntl.F_UNLCK

    def forget(self) -> None:
        """In a forked child: the kernel gave it none of the parent's locks."""
        self._held = {}
        self._heirs = {}

    def close(self) -> None:
        """The file is about to be closed: from now on every call raises ValueError."""
        self._fd = -1  # the number may soon be another file's

    def _succeeds(self, claim: object, byte: int, dead: object) -> bool:
        """Put `claim` in the place of a dead one; True for one thread only."""
        if not _is_dead(dead):
            return False
        try:
            if self._heirs.setdefault(id(dead), claim) is not claim:
                return False
            if self._held.get(byte) is not dead:  # another one was quicker
                return False
            self._held[byte] = claim
            return True
        finally:
            if self._heirs.get(id(dead)) is claim:
                del self._heirs[id(dead)]


def _is_dead(claim: object) -> bool:
    return isinstance(claim, weakref.ref) and claim() is None
