"""Backoff: how long a failed batch waits before it is tried again. Numbers only; no clock, no dice.

With a ratio of 5 seconds:

    linear        5, 10, 15, 20, …     the Go client's
    exponential   5, 10, 20, 40, …
"""

from dataclasses import dataclass
from typing import Final

from dataart_mp.config.client_config import BackoffKind

LONGEST_DELAY: Final = 300.0
"""Seconds that no delay grows beyond; the ratio itself may be longer."""
_JITTER: Final = 0.25  # of the delay; added, for what a platform asks for is a minimum
_MOST_DOUBLINGS: Final = 32  # far beyond LONGEST_DELAY, and no overflow


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delays between the attempts of one batch.

    Args:
        kind: how they grow.
        ratio: seconds; the first delay.
        retries: how many more attempts follow the first.
        jitter: whether each delay is lengthened by up to a quarter, so that batches that failed
            together don't come back together.
        deadline: seconds after a batch's first attempt in which all others must begin; None: no
            limit.
    """

    kind: BackoffKind
    ratio: float
    retries: int
    jitter: bool = False
    deadline: float | None = None

    def delay(
        self, attempts: int, at_least: float = 0.0, *, age: float = 0.0, chance: float = 0.0
    ) -> float | None:
        """Seconds to wait after so many failed attempts; None when it was the last.

        Args:
            attempts: how many attempts have failed, at least 1.
            at_least: seconds that the platform asked for.
            age: seconds since the first attempt began.
            chance: a random number from 0 to 1.
        """
        if attempts > self.retries:
            return None
        delay = max(min(self._growth(attempts), max(LONGEST_DELAY, self.ratio)), at_least)
        if self.jitter:
            delay *= 1.0 + _JITTER * chance
        if self.deadline is not None and age + delay > self.deadline:
            return None
        return delay

    def gave_up_because(self, attempts: int) -> str:
        """Why there was no delay any more after so many failed attempts."""
        return "retries exhausted" if attempts > self.retries else "delivery_timeout over"

    def _growth(self, attempts: int) -> float:
        if self.kind == "linear":
            return self.ratio * attempts
        return self.ratio * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS)
