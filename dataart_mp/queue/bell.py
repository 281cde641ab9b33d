"""A bell: a pipe that wakes whoever waits for work, or for room.

A bell is a wake-up, never the truth. What it announces stands in the arena; a ring that gets lost
(a full pipe, a listener killed between hearing and acting) costs a little latency and nothing else.
"""

import math
import os
import select

_RING_BYTES = 4  # at most PIPE_BUF, so a ring is written and read whole: no lock to orphan


class Bell:
    """One pipe. Any process that holds it may ring, and one listener hears each ring."""

    def __init__(self, listening: int, ringing: int) -> None:
        self.listening = listening
        self.ringing = ringing

    @classmethod
    def make(cls) -> "Bell":
        """A new bell. Ringing never blocks, listening does."""
        listening, ringing = os.pipe()
        os.set_blocking(ringing, False)
        return cls(listening, ringing)

    def ring(self, number: int = 0) -> bool:
        """Wake one listener and tell it `number`; False when the pipe is full of rings."""
        ring = number.to_bytes(_RING_BYTES, "little")
        try:
            return os.write(self.ringing, ring) == _RING_BYTES
        except BlockingIOError:
            return False

    def listen(self) -> int:
        """Wait for a ring, without a limit, and return its number.

        Of several listeners that block in `read` the kernel wakes one; had they polled, it would
        wake them all for each ring.
        """
        while True:
            try:
                return int.from_bytes(os.read(self.listening, _RING_BYTES), "little")
            except BlockingIOError:  # somebody uses `wait` on this bell
                self._poll(None)

    def wait(self, timeout: float | None) -> int | None:
        """Wait at most `timeout` seconds (None: no limit) for a ring.

        Returns:
            Its number; None when none came, or when another listener was quicker.
        """
        os.set_blocking(self.listening, False)
        ring = self._read(_RING_BYTES) if self._poll(timeout) else b""
        return int.from_bytes(ring, "little") if ring else None

    def rings_pending(self) -> bool:
        """Whether rings are there that nobody has heard yet."""
        return self._poll(0)

    def silence(self) -> None:
        """Drop the rings that are there, a thousand at most; wait for none."""
        os.set_blocking(self.listening, False)
        self._read(_RING_BYTES * 1024)

    def _read(self, size: int) -> bytes:
        try:
            return os.read(self.listening, size)
        except BlockingIOError:  # another listener was quicker
            return b""

    def _poll(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self.listening, select.POLLIN)
        return bool(poll.poll(None if timeout is None else math.ceil(timeout * 1000)))

    def close(self) -> None:
        """Close both ends, in this process."""
        fd, self.listening = self.listening, -1  # the number may soon be another file's
        if fd >= 0:  # else this is the second call, after an interrupted one
            os.close(fd)
        fd, self.ringing = self.ringing, -1
        if fd >= 0:
            os.close(fd)
