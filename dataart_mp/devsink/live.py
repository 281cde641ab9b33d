"""Who watches, and what each of them has not been shown yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dataart_mp.devsink.delivery import Arrival, Delivery
    from dataart_mp.devsink.query import Query
    from dataart_mp.devsink.visit import Visit

# Deliveries that wait for a viewer who does not read; older ones he will not see.
_MOST_DELIVERIES: Final = 10_000
_MOST_REJECTED: Final = 50


@dataclass(frozen=True, slots=True)
class News:
    """What a viewer is shown next.

    Attributes:
        arrivals: Items that match, evenly picked if there are too many, oldest first.
        matched: How many matched.
        rejected: The newest wrong requests, oldest first.
        is_reset: Whether everything before was forgotten.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    matched: int = 0
    rejected: list[Visit] = field(default_factory=list)
    is_reset: bool = False


class Viewer:
    """One open page.

    Attributes:
        waiting: Set when there is news.
    """

    def __init__(self, query: Query) -> None:
        self.waiting = asyncio.Event()
        self._query = query
        self._pace = Pace()
        self._deliveries: deque[Delivery] = deque(maxlen=_MOST_DELIVERIES)
        self._rejected: deque[Visit] = deque(maxlen=_MOST_REJECTED)
        self._is_reset = False

    def deliver(self, delivery: Delivery) -> None:
        """There are new items."""
        self._deliveries.append(delivery)
        self.waiting.set()

    def reject(self, visit: Visit) -> None:
        """There is a wrong request."""
        self._rejected.append(visit)
        self.waiting.set()

    def reset(self) -> None:
        """Everything until now is forgotten."""
        self._deliveries.clear()
        self._rejected.clear()
        self._is_reset = True
        self.waiting.set()

    def take(self, now: float) -> News:
        """What is new at this moment of a clock that never goes back."""
        matching = [(one, self._indices(one)) for one in self._deliveries]
        matched = sum(len(indices) for _, indices in matching)
        shown = sampled(matching, self._pace.take(matched, now))
        news = News(shown, matched, list(self._rejected), self._is_reset)
        self._deliveries.clear()
        self._rejected.clear()
        self._is_reset = False
        self.waiting.clear()
        return news

    def _indices(self, delivery: Delivery) -> Sequence[int]:
        query = self._query
        if not query.concerns(delivery.kind):
            return ()
        if query.is_open:
            return range(len(delivery))
        return [index for index, item in enumerate(delivery.encoded) if query.matches(item)]


class Live:
    """All open pages."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()

    @contextlib.contextmanager
    def watch(self, query: Query) -> Iterator[Viewer]:
        """Show somebody what matches, as long as the block lasts."""
        viewer = Viewer(query)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def deliver(self, delivery: Delivery) -> None:
        """There are new items."""
        for viewer in self._viewers:
            viewer.deliver(delivery)

    def reject(self, visit: Visit) -> None:
        """There is a wrong request."""
        for viewer in self._viewers:
            viewer.reject(visit)

    def reset(self) -> None:
        """Everything until now is forgotten."""
        for viewer in self._viewers:
            viewer.reset()

    def touch(self) -> None:
        """Counts or rules have changed."""
        for viewer in self._viewers:
            viewer.waiting.set()


def sampled(matching: Sequence[tuple[Delivery, Sequence[int]]], wanted: int) -> list[Arrival]:
    """So many of the items at these indices, evenly picked, in their order; at most all."""
    total = sum(len(indices) for _, indices in matching)
    picks = iter([total * pick // wanted for pick in range(wanted)])
    pick = next(picks, total)
    shown = []
    start = 0
    for delivery, indices in matching:
        while pick < start + len(indices):
            shown.append(delivery[indices[pick - start]])
            pick = next(picks, total)
        start += len(indices)
    return shown
