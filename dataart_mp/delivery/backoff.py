"""Backoff: the delays between the attempts to deliver a batch.

With a ratio of 5 seconds:

    linear        5, 10, 15, 20, …     as in the Go client
    exponential   5, 10, 20, 40, …
"""

from dataclasses import dataclass
from typing import Final, Self

from dataart_mp.config import ClientConfig
from dataart_mp.config.client_config import BackoffKind

LONGEST_DELAY: Final = 300.0
"""Seconds up to which a delay grows; a ratio may be longer."""
LATER_DELAY: Final = 1.0
"""Seconds after which a platform that was too busy, and named no time, is tried again."""
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

    @classmethod
    def of(cls, config: ClientConfig) -> Self:
        """Return the policy that a configuration describes."""
        return cls(
            config.backoff,
            config.flush_backoff_ratio,
            config.flush_num_retries,
            jitter=config.backoff_jitter,
            deadline=config.delivery_timeout,
        )

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
        return self._in_time(delay, age, chance)

    def delay_if_busy(
        self, at_least: float = 0.0, *, age: float = 0.0, chance: float = 0.0
    ) -> float | None:
        """Return the delay after the platform was too busy: that is not a failed attempt.

        Args:
            at_least: The shortest delay that the platform asks for, in seconds.
            age: As for `delay`.
            chance: As for `delay`.

        Returns:
            Seconds; None if the retry would start after the deadline.
        """
        return self._in_time(max(min(self.ratio, LATER_DELAY), at_least), age, chance)

    def exhausted_reason(self, attempts: int) -> str:
        """Return why `delay` was None after this many failed attempts."""
        return "retries exhausted" if attempts > self.retries else "delivery_timeout over"

    def _in_time(self, delay: float, age: float, chance: float) -> float | None:
        if self.jitter:
            delay *= 1.0 + _JITTER * chance
        is_late = self.deadline is not None and age + delay > self.deadline
        return None if is_late else delay

    def _growth(self, attempts: int) -> float:
        if self.kind == "linear":
            return self.ratio * attempts
        return self.ratio * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
