"""The pace: when the next request may begin."""

import math
import threading


class Pace:
    """Spreads the requests of several threads over time. It has no clock: the caller passes it.

    Args:
        rate: Requests per second; None: no limit.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._next = -math.inf
        self._lock = threading.Lock()

    def take_turn(self, now: float) -> float:
        """Reserve the next turn.

        Args:
            now: The time (monotonic, seconds).

        Returns:
            Seconds until the request of the caller may begin.
        """
        with self._lock:
            start = max(now, self._next)
            self._next = start + self._interval
            return start - now

    def pause(self, until: float) -> None:
        """Let no request begin before a time (monotonic, seconds): the platform is too busy.

        Turns that were taken before are not affected.
        """
        with self._lock:
            self._next = max(self._next, until)
