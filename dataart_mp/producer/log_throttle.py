"""A throttle: turns a flood of equal happenings into a log line now and then; it has no clock."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Count:
    """So many happenings, to be told in one line.

    Attributes:
        amount: how many; none of them was told before.
        seconds: the time they took, since others like them were told; 0.0 of the first ones.
    """

    amount: int
    seconds: float

    def __bool__(self) -> bool:
        return self.amount > 0

    def told(self, noun: str, happened: str) -> str:
        """Say it: "1,800 records dropped in 30 s" of the noun `record`."""
        plural = noun if self.amount == 1 else f"{noun}s"
        text = f"{self.amount:,} {plural} {happened}"
        return f"{text} in {self.seconds:.0f} s" if self.seconds >= 1.0 else text


_NOTHING: Final = Count(0, 0.0)  # one for all: a full buffer asks for each event


@dataclass(slots=True)
class LogThrottle:
    """Counts happenings of one kind, and says when their number is to be told.

    The first is told at once, the next ones together when `interval` is over.

    Args:
        interval: seconds between two tellings.
    """

    interval: float
    _untold: int = field(default=0, init=False)
    _told_at: float | None = field(default=None, init=False)

    def add(self, amount: int, now: float) -> Count:
        """Count `amount` more; what is to be told now, perhaps nothing.

        Args:
            amount: how many more.
            now: monotonic time, in seconds.
        """
        self._untold += amount
        if self._told_at is not None and now < self._told_at + self.interval:
            return _NOTHING
        return self.rest(now)

    def rest(self, now: float) -> Count:
        """What is not told yet, whatever the time."""
        seconds = 0.0 if self._told_at is None else now - self._told_at
        count = Count(self._untold, seconds)
        self._untold, self._told_at = 0, now
        return count
