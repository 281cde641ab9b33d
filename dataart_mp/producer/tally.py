"""A tally: turns a flood of equal happenings into a log line now and then; it has no clock."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts happenings of one kind, and says when their number is to be told.

    The first is told at once, the next ones together when `interval` is over.

    Args:
        interval: seconds between two tellings.
    """

    interval: float
    _untold: int = field(default=0, init=False)
    _told_at: float | None = field(default=None, init=False)

    def add(self, amount: int, now: float) -> int:
        """Count `amount` more; the number to tell now, or 0.

        Args:
            amount: how many more.
            now: monotonic time, in seconds.
        """
        self._untold += amount
        return self.due(now)

    def due(self, now: float) -> int:
        """The number to tell now, or 0."""
        if not self._untold or (self._told_at is not None and now < self._told_at + self.interval):
            return 0
        self._told_at = now
        return self.rest()

    def rest(self) -> int:
        """The number not told yet, whatever the time."""
        untold, self._untold = self._untold, 0
        return untold
