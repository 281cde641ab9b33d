"""The pace of a shipment: at most so many events per second."""

import time
from typing import Final

from dataart_mp import clock

_BURST_SECONDS: Final = 0.1


class Pace:
    """Lets events pass at a rate, with bursts of a tenth of a second.

    Args:
        rate: Events per second.

    Attributes:
        burst: Number of events that pass at once, at least one.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.burst = max(1, int(rate * _BURST_SECONDS))
        self._next = clock.monotonic()

    def wait(self, count: int = 1) -> None:
        """Wait until some more events may pass.

        Args:
            count: Number of events, at most `burst`.
        """
        now = clock.monotonic()
        if self._next > now:
            time.sleep(self._next - now)
        self._next = max(self._next, now - self.burst / self._rate) + count / self._rate
