"""The number of arrivals in each of the last seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT_SECONDS: Final = 600


@dataclass(slots=True)
class Second:
    """Counts of one second.

    Attributes:
        time: Start of the second, in seconds since the epoch.
        items: Accepted actions and identities.
        rejected: Wrong requests.
        faulted: Valid requests that were not accepted because of a fault.
    """

    time: int
    items: int = 0
    rejected: int = 0
    faulted: int = 0


class Rate:
    """Counts per second for the last ten minutes, without the seconds in which nothing happened."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque(maxlen=KEPT_SECONDS)

    def at(self, now: float) -> Second:
        """Return the counts of the current second, to be changed by the caller."""
        start = int(now)
        # If the clock was set back, the newest second continues.
        if not self._seconds or self._seconds[-1].time < start:
            self._seconds.append(Second(start))
        return self._seconds[-1]

    def since(self, time: float) -> list[list[int]]:
        """Return the seconds from a time on, oldest first: time, items, rejected, faulted."""
        recent = []
        for second in reversed(self._seconds):
            if second.time < int(time):
                break
            recent.append([second.time, second.items, second.rejected, second.faulted])
        return recent[::-1]
