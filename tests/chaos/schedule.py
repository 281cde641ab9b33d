"""The schedule: work that is due later in a run."""

import heapq
import itertools
import time
from collections.abc import Callable


class Schedule:
    """Calls functions when their time has come, in one thread."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, work: Callable[[], object]) -> None:
        """Have `run_due` call `work` when this many seconds have passed."""
        heapq.heappush(self._entries, (time.monotonic() + seconds, next(self._order), work))

    def run_due(self) -> None:
        """Call everything that is due."""
        now = time.monotonic()
        while self._entries and self._entries[0][0] <= now:
            heapq.heappop(self._entries)[2]()

    def clear(self) -> None:
        """Forget everything that is not due yet."""
        self._entries.clear()
