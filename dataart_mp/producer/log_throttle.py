"""Reduce many equal occurrences to one log line per interval. The caller supplies the time."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Occurrences to report in one log line.

    Attributes:
        amount: Their number; none of them was reported before.
        seconds: Time since the previous report; 0.0 for the first one.
    """

    amount: int
    seconds: float

    def __bool__(self) -> bool:
        return self.amount > 0

    def describe(self, noun: str, verb: str) -> str:
        """Return a phrase such as "1,800 records dropped in 30 s".

        Args:
            noun: The singular of what occurred, such as `record`.
            verb: What happened to it, such as `dropped`.
        """
        nouns = noun if self.amount == 1 else f"{noun}s"
        text = f"{self.amount:,} {nouns} {verb}"
        return f"{text} in {self.seconds:.0f} s" if self.seconds >= 1.0 else text


_NOTHING: Final = Occurrences(0, 0.0)  # shared: with a full buffer, each event returns it


@dataclass(slots=True)
class LogThrottle:
    """Counts occurrences of one kind, and decides when to report them.

    The first occurrence is reported at once, later ones together, once per interval.

    Args:
        interval: Minimum time between two reports, in seconds.
    """

    interval: float
    _unreported: int = field(default=0, init=False)
    _reported_at: float | None = field(default=None, init=False)

    def count(self, amount: int, now: float) -> Occurrences:
        """Count further occurrences, and return those to report now; these may be none.

        Args:
            amount: Number of further occurrences.
            now: Monotonic time, in seconds.
        """
        self._unreported += amount
        if self._reported_at is not None and now < self._reported_at + self.interval:
            return _NOTHING
        return self.remaining(now)

    def remaining(self, now: float) -> Occurrences:
        """Return all occurrences that were not reported yet, even within the interval.

        Args:
            now: Monotonic time, in seconds.
        """
        seconds = 0.0 if self._reported_at is None else now - self._reported_at
        occurrences = Occurrences(self._unreported, seconds)
        self._unreported, self._reported_at = 0, now
        return occurrences
