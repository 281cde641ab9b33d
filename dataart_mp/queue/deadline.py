"""A deadline: the end of a wait."""

from dataart_mp import clock


class Deadline:
    """The end of a wait that begins now.

    Args:
        timeout: Seconds; None is a wait without a limit.
    """

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else clock.monotonic() + timeout

    def over(self) -> bool:
        """Return whether the time is over."""
        return self._end is not None and clock.monotonic() >= self._end

    def left(self) -> float | None:
        """Return the seconds that are left; None without a limit."""
        return None if self._end is None else max(0.0, self._end - clock.monotonic())

    def at_most(self, seconds: float) -> float:
        """Return the seconds that are left, but not more than `seconds`."""
        left = self.left()
        return seconds if left is None else min(seconds, left)
