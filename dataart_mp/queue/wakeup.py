"""A wakeup pipe: wakes a process that waits for work, or for a free frame.

A notification is a hint. The state of a frame in the arena is the fact. A notification that is lost
(the pipe was full, or the process that read it died before it acted) costs latency and nothing
else, because every waiter also looks at the states from time to time.
"""

import math
import os
import select
import struct
import time
from typing import Final

from dataart_mp.queue.descriptor import Descriptor
from dataart_mp.queue.polling import make_poll

# Less than PIPE_BUF, so each notification is written and read whole (POSIX, write(2)): no lock is
# needed, and no death leaves half of one in the pipe.
_MESSAGE_BYTES: Final = 4
_MESSAGE: Final = struct.Struct("<I")
# They are written together or not at all, also if others write at the same time.
_MOST_AT_ONCE: Final = select.PIPE_BUF // _MESSAGE_BYTES
_DRAIN_BYTES: Final = 1024 * _MESSAGE_BYTES
_LOST_SECONDS: Final = 1.0


class WakeupPipe:
    """One pipe. Any process that holds it may notify, and one waiter reads each notification.

    When the application has closed an end, nothing is written to or read from the file that has
    its number now: a notification is lost then, as with a full pipe, and a wait just takes its
    time.

    Args:
        read_fd: The end that waiters read.
        write_fd: The end that `notify` writes, which does not block.

    Attributes:
        is_intact: Returns whether `notify` still writes to this pipe.
        is_readable: Returns whether `wait_at_most` still reads this pipe.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_end = Descriptor(read_fd)
        self._write_end = Descriptor(write_fd)
        self.is_intact = self._write_end.is_intact
        self.is_readable = self._read_end.is_intact

    @property
    def read_fd(self) -> int:
        """The end that waiters read; -1 when it is closed."""
        return self._read_end.number

    @property
    def write_fd(self) -> int:
        """The end that `notify` writes, which never blocks; -1 when it is closed."""
        return self._write_end.number

    @classmethod
    def make(cls) -> "WakeupPipe":
        """Make a new pipe."""
        read_fd, write_fd = os.pipe()
        os.set_blocking(write_fd, False)
        return cls(read_fd, write_fd)

    def notify(self, number: int = 0) -> bool:
        """Wake one waiter and pass it `number`; False when the pipe is full."""
        return self.is_intact() and self.write(number)

    def write(self, number: int) -> bool:
        """Notify as `notify` does; for a caller that has just made sure that it `is_intact`."""
        return self._write(number.to_bytes(_MESSAGE_BYTES, "little"))

    def notify_each(self, count: int) -> bool:
        """Wake `count` waiters, or as many as one write can; False when the pipe is full."""
        return self.is_intact() and self._write(bytes(min(count, _MOST_AT_ONCE) * _MESSAGE_BYTES))

    def _write(self, messages: bytes) -> bool:
        try:
            return os.write(self._write_end.number, messages) == len(messages)
        except BlockingIOError:
            return False

    def wait(self) -> int:
        """Wait for a notification, without a limit, and return its number.

        Of several threads that block in `read` the kernel wakes one. If they polled, it would wake
        all of them for each notification.
        """
        while True:
            try:
                return int.from_bytes(os.read(self.read_fd, _MESSAGE_BYTES), "little")
            except BlockingIOError:  # `wait_at_most` was used on this pipe, too
                self._poll(None)

    def wait_at_most(self, seconds: float | None) -> int | None:
        """Wait at most `seconds` (None: without a limit) for a notification.

        Returns:
            Its number; None when none came, or when another waiter read it first.
        """
        if not self._read_end.is_intact():
            time.sleep(_LOST_SECONDS if seconds is None else seconds)
            return None
        os.set_blocking(self.read_fd, False)
        message = self._read(_MESSAGE_BYTES) if self._poll(seconds) else b""
        return int.from_bytes(message, "little") if message else None

    def make_nonblocking(self) -> int:
        """Have no read of this pipe block, in any process, and return the end that waiters read."""
        os.set_blocking(self.read_fd, False)
        return self.read_fd

    def read_at_once(self, most: int) -> list[int]:
        """Return the numbers of notifications that are there, at most so many, without waiting.

        The reading end must not block.
        """
        try:
            messages = os.read(self._read_end.number, most * _MESSAGE_BYTES)
        except BlockingIOError:  # there is none
            return []
        if len(messages) == _MESSAGE_BYTES:
            return [int.from_bytes(messages, "little")]
        return [number for (number,) in _MESSAGE.iter_unpack(messages)]

    def has_notifications(self) -> bool:
        """Return whether the pipe holds notifications that nobody has read yet."""
        return self._read_end.is_intact() and self._poll(0)

    def drain(self) -> None:
        """Discard the notifications in the pipe, at most a thousand, without waiting."""
        if self._read_end.is_intact():
            os.set_blocking(self.read_fd, False)
            self._read(_DRAIN_BYTES)

    def close(self) -> None:
        """Close both ends in this process. A second call does nothing."""
        self._read_end.close()
        self._write_end.close()

    def _read(self, size: int) -> bytes:
        try:
            return os.read(self.read_fd, size)
        except BlockingIOError:  # another waiter read it first
            return b""

    def _poll(self, seconds: float | None) -> bool:
        poll = make_poll()
        poll.register(self.read_fd, select.POLLIN)
        return bool(poll.poll(None if seconds is None else math.ceil(seconds * 1000)))
