"""How much arrived in each of the last seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT_SECONDS: Final = 600


@dataclass(slots=True)
class Second:
    """What arrived within one second.

    Attributes:
        time: Its beginning, in seconds since the epoch.
        items: Accepted actions and identities.
        rejected: Wrong requests.
        faulted: Requests that a fault kept from being accepted.
    """

    time: int
    items: int = 0
    rejected: int = 0
    faulted: int = 0


class Rate:
    """The last ten minutes, second by second; a second in which nothing happened is left out."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque(maxlen=KEPT_SECONDS)

    def at(self, now: float) -> Second:
        """The second to count in."""
        moment = int(now)
        # A clock that was set back counts in the newest second there is.
        if not self._seconds or self._seconds[-1].time < moment:
            self._seconds.append(Second(moment))
        return self._seconds[-1]

    def since(self, time: float) -> list[list[int]]:
        """The seconds from this moment's on, oldest first: time, items, rejected, faulted."""
        recent = []
        for second in reversed(self._seconds):
            if second.time < int(time):
                break
            recent.append([second.time, second.items, second.rejected, second.faulted])
        return recent[::-1]
