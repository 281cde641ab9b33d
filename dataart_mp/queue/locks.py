"""Ownership: POSIX record locks on single bytes of the arena's lock file.

The kernel drops a lock when the process that holds it dies, however it dies. So the question who
owns a frame has one true answer, which no reuse of a process id can blur. Four properties of
`fcntl` locks shape the code that uses them:

- They exclude processes, not threads: `_held` excludes the threads of one process.
- A forked child inherits none: `forget` brings `_held` in line after a fork.
- All of a process's locks on a file go when it closes *any* descriptor of that file: they lie on a
  file that nothing else can open, see `lock_file`.
- Two processes that look for dead owners by acquiring hide them from each other: `owner` looks
  with `F_GETLK`.
"""

import fcntl
import os
import struct
import sys
import weakref
from collections.abc import Iterator, Sequence
from typing import Final

from dataart_mp.errors import DescriptorsClosedError
from dataart_mp.queue.descriptor import Descriptor

# struct flock as <fcntl.h> lays it out; Python leaves it to its caller.
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


# The bytes of all other roles lie far above any frame's number.
JANITOR: Final = 1 << 32
STARTER: Final = JANITOR + 1
REPORTER: Final = JANITOR + 2
LOADER: Final = JANITOR + 3  # who takes batches from the parking lot
NOTES: Final = JANITOR + 4  # who writes a note; see `outcomes`
READER: Final = JANITOR + 5  # who reads the reports of workers
PLACES: Final = 1 << 33  # + the number of a worker's place
ROWS: Final = 1 << 34  # + the number of a row of counters


class RecordLocks:
    """Try-locks on the bytes of one file, between processes and between threads.

    No call waits, and none takes a lock of Python's, so all are safe in a signal handler, in
    `__del__`, and in a child that was forked while another thread was in the middle of one.

    A process may live on and still lose what it held: an exception (Ctrl-C) comes between two steps
    and unwinds the thread that knew of it. So a claim can be tied to an object, its holder. When
    the holder is collected, the byte is `lost`. The next caller in this process that acquires it
    gets it, as another process gets the bytes of a dead one.

    Args:
        file: The lock file.
    """

    def __init__(self, file: Descriptor) -> None:
        self._file = file
        self._held: dict[int, object] = {}
        self._successors: dict[int, object] = {}

    def acquire(self, byte: int, holder: object = None) -> bool:
        """Take `byte`; False when another process, or another thread of this one, has it.

        Args:
            byte: The byte to lock.
            holder: The object whose collection ends the claim; None for a claim that only
                `release` ends.

        Raises:
            DescriptorsClosedError: `verify` or `lose` has found out that the application has closed
                the lock file.
        """
        if self._file.is_lost:
            raise self._closed_error()
        claim = object() if holder is None else weakref.ref(holder)
        try:
            # setdefault is one atomic step: the first thread wins, and the others see its claim.
            present = self._held.setdefault(byte, claim)
            if present is not claim and not self._succeeds(claim, byte, present):
                return False
            fcntl.lockf(self._file.number, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES for "taken"
            self._held.pop(byte, None)
            return False
        except BaseException:
            if self._held.get(byte) is claim:
                self.release(byte)
            raise
        return True

    def acquire_many(self, numbers: Sequence[int], holder: object) -> list[range]:
        """Take those of many bytes that are free; successive ones by one call to the kernel.

        Args:
            numbers: The bytes, in ascending order. This process holds none of them for the holder.
            holder: The object whose collection ends the claims.

        Returns:
            What was taken, as ranges for `release_range`.

        Raises:
            DescriptorsClosedError: As `acquire` does.
        """
        taken: list[range] = []
        for span in spans(numbers):
            if len(span) > 1 and self._acquire_all(span, holder):
                taken.append(span)
            else:
                taken += [range(byte, byte + 1) for byte in span if self.acquire(byte, holder)]
        return taken

    def release_range(self, span: range) -> None:
        """Release successive bytes, all of which this process holds."""
        try:
            if not self._file.is_lost:
                fcntl.lockf(self._file.number, fcntl.LOCK_UN, len(span), span.start)
        finally:
            for byte in span:
                self._held.pop(byte, None)

    def release(self, byte: int) -> None:
        """Release `byte`, which this process holds."""
        try:
            if not self._file.is_lost:  # else the kernel has dropped it already
                fcntl.lockf(self._file.number, fcntl.LOCK_UN, 1, byte)
        finally:  # last: until then no other thread may believe that it has the kernel's lock
            self._held.pop(byte, None)

    def holds(self, byte: int) -> bool:
        """Return whether this process holds `byte`."""
        return byte in self._held

    def is_held_by(self, byte: int, holder: object) -> bool:
        """Return whether this process holds `byte` for `holder`."""
        return self._held.get(byte) is weakref.ref(holder)  # an object has one such reference

    def held(self) -> list[int]:
        """Return the bytes that this process holds."""
        return list(self._held.copy())

    def holders(self) -> list[object]:
        """Return the objects that this process holds bytes for, without those collected."""
        claims = self._held.copy().values()
        return [claim() for claim in claims if isinstance(claim, weakref.ref)]

    def lost(self) -> list[int]:
        """Return the bytes whose holder was collected without a release."""
        # A copy, made in one step: a signal handler or `__del__` may take locks meanwhile.
        return [byte for byte, claim in self._held.copy().items() if _is_dead(claim)]

    def owner(self, byte: int) -> int | None:
        """Return the id of the process that holds `byte` (perhaps this one); None if it is free."""
        if byte in self._held:
            return os.getpid()
        if not self._file.is_intact():
            raise self._closed_error()
        kind, pid = _unpack(fcntl.fcntl(self._file.number, fcntl.F_GETLK, _pack(byte)))
        return None if kind == fcntl.F_UNLCK else pid

    def forget(self) -> None:
        """Forget all claims, in a forked child: the kernel gave it none of the parent's locks."""
        self._held = {}
        self._successors = {}

    def verify(self) -> None:
        """Make sure that the lock file is still open.

        Raises:
            DescriptorsClosedError: The application has closed it.
        """
        if not self._file.is_intact():
            if self._file.number >= 0:
                self.lose()
            raise self._closed_error()

    def lose(self) -> None:
        """Touch the lock file no more: the application has closed descriptors of the client."""
        self._file.is_lost = True

    def close(self) -> None:
        """Close the lock file, which drops all locks; calls after that raise ValueError."""
        self._file.close()

    def _acquire_all(self, span: range, holder: object) -> bool:
        """Take successive bytes; False, and none is taken, when one of them is not free."""
        if self._file.is_lost:
            raise self._closed_error()
        claim = weakref.ref(holder)
        end = span.start  # of those that no other thread can take any more
        try:
            while end < span.stop and self._held.setdefault(end, claim) is claim:
                end += 1
            if end == span.stop:
                fcntl.lockf(self._file.number, fcntl.LOCK_EX | fcntl.LOCK_NB, len(span), span.start)
                return True
        except (BlockingIOError, PermissionError):
            pass
        except BaseException:
            self.release_range(range(span.start, end))
            raise
        for byte in range(span.start, end):
            self._held.pop(byte, None)
        return False

    def _closed_error(self) -> Exception:
        if self._file.number < 0:
            return ValueError("the lock file is closed")
        return DescriptorsClosedError(
            "descriptors of the client were closed by the application; create the client after "
            "os.closerange() or after the process has become a daemon"
        )

    def _succeeds(self, claim: object, byte: int, dead: object) -> bool:
        """Replace a dead claim with `claim`; True for one thread only."""
        if not _is_dead(dead):
            return False
        try:
            if self._successors.setdefault(id(dead), claim) is not claim:
                return False
            if self._held.get(byte) is not dead:  # another thread has replaced it
                return False
            self._held[byte] = claim
            return True
        finally:
            if self._successors.get(id(dead)) is claim:
                del self._successors[id(dead)]


def spans(numbers: Sequence[int]) -> Iterator[range]:
    """Yield ascending numbers as ranges of successive ones."""
    start = end = -1
    for number in numbers:
        if number != end:
            if end > start:
                yield range(start, end)
            start = number
        end = number + 1
    if end > start:
        yield range(start, end)


def _is_dead(claim: object) -> bool:
    return isinstance(claim, weakref.ref) and claim() is None
