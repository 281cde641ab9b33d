"""The gate: how many requests of a worker may be in flight, and when the next one may begin.

While a circuit is open, it holds nothing back. The circuit lets one request at a time be sent, and
the other frames must not wait for its response: they are parked, or wait in the queue.
"""

from collections.abc import Callable

from dataart_mp.worker.shared_flow import Pace


class Gate:
    """What permits the requests of one worker; for the thread that begins them.

    Args:
        pace: How many requests the platform accepts, and at which pace.
        most: How many may be in flight at most.
        is_open: Returns whether a circuit is open.
    """

    def __init__(self, pace: Pace, most: int, is_open: Callable[[], bool]) -> None:
        self.most = most
        self._pace = pace
        self._is_open = is_open

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        share = self._pace.share
        return self.most if share >= self.most or self._is_open() else share

    @property
    def is_limited(self) -> bool:
        """Whether requests have to take turns."""
        return self._pace.is_limited and not self._is_open()

    def take_turn(self, now: float) -> float:
        """Return the seconds until a request may begin; 0 if the caller begins one now.

        Args:
            now: The time (monotonic, seconds).
        """
        return self._pace.take_turn(now) if self.is_limited else 0.0
