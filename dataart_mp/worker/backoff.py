"""Backoff: how long a failed batch waits before it is tried again. Numbers only; no clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The delays between the attempts of one batch, as the Go client has them.

    Args:
        ratio: seconds; after attempt n the batch waits n times as long: 5, 10, 15 with 5.
        retries: how many more attempts follow the first.
    """

    ratio: float
    retries: int

    def delay(self, attempts: int, at_least: float = 0.0) -> float | None:
        """Seconds to wait after so many failed attempts; None when it was the last.

        Args:
            attempts: how many attempts have failed, at least 1.
            at_least: seconds that the platform asked for.
        """
        if attempts > self.retries:
            return None
        return max(self.ratio * attempts, at_least)
