"""Backoff: the delays between the attempts to deliver a batch.

With a ratio of 5 seconds:

    linear        5, 10, 15, 20, …     as in the Go client
    exponential   5, 10, 20, 40, …
"""

from dataclasses import dataclass
from typing import Final

from dataart_mp.config.client_config import BackoffKind

LONGEST_DELAY: Final = 300.0
"""Seconds up to which a delay grows; a ratio may be longer."""
_JITTER: Final = 0.25  # of the delay; only added, because what the platform asks for is a minimum
_MOST_DOUBLINGS: Final = 32  # far beyond LONGEST_DELAY, and no overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """A retry policy. It returns numbers only: the caller owns the clock and the random numbers.

    Args:
        kind: How the delays grow.
        ratio: The first delay, in seconds.
        retries: How many attempts may follow the first.
        jitter: Whether each delay is lengthened by up to a quarter, so that batches that failed
            together are not retried together.
        deadline: No retry starts later than this many seconds after the first attempt; None means
            no limit.
    """

    kind: BackoffKind
    ratio: float
    retries: int
    jitter: bool = False
    deadline: float | None = None

    def delay(
        self, attempts: int, at_least: float = 0.0, *, age: float = 0.0, chance: float = 0.0
    ) -> float | None:
        """Return the delay before the next attempt in seconds; None if there is none.

        Args:
            attempts: How many attempts have failed, at least 1.
            at_least: The shortest delay that the platform asks for, in seconds.
            age: Seconds since the first attempt began.
            chance: A random number from 0 to 1.
        """
        if attempts > self.retries:
            return None
        delay = max(min(self._growth(attempts), max(LONGEST_DELAY, self.ratio)), at_least)
        if self.jitter:
            delay *= 1.0 + _JITTER * chance
        if self.deadline is not None and age + delay > self.deadline:
            return None
        return delay

    def exhausted_reason(self, attempts: int) -> str:
        """Return why `delay` was None after this many failed attempts."""
        return "retries exhausted" if attempts > self.retries else "delivery_timeout over"

    def _growth(self, attempts: int) -> float:
        if self.kind == "linear":
            return self.ratio * attempts
        return self.ratio * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
