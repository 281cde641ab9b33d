"""The open pages, and what each of them has not received yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink.live.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dataart_mp.devsink.counters.logged_request import LoggedRequest
    from dataart_mp.devsink.store.delivery import Arrival, Delivery
    from dataart_mp.devsink.store.query import Query

# Deliveries kept for a page that does not read; older ones are dropped.
_MAX_DELIVERIES: Final = 10_000
_MAX_REJECTED: Final = 50


@dataclass(frozen=True, slots=True)
class Update:
    """What has changed since a page received its last update.

    Attributes:
        arrivals: Matching items, oldest first; an even sample if there are too many.
        matched: Number of matching items.
        rejected: The newest wrong requests, oldest first.
        is_reset: Whether everything before was deleted.
    """

    arrivals: list[Arrival] = field(default_factory=list)
    matched: int = 0
    rejected: list[LoggedRequest] = field(default_factory=list)
    is_reset: bool = False


class Viewer:
    """One open page.

    Args:
        query: Items that the page shows.

    Attributes:
        has_update: Set when there is an update to take.
    """

    def __init__(self, query: Query) -> None:
        self.has_update = asyncio.Event()
        self._query = query
        self._pace = Pace()
        self._deliveries: deque[Delivery] = deque(maxlen=_MAX_DELIVERIES)
        self._rejected: deque[LoggedRequest] = deque(maxlen=_MAX_REJECTED)
        self._is_reset = False

    def deliver(self, delivery: Delivery) -> None:
        """Add new items."""
        self._deliveries.append(delivery)
        self.has_update.set()

    def reject(self, logged: LoggedRequest) -> None:
        """Add a wrong request."""
        self._rejected.append(logged)
        self.has_update.set()

    def reset(self) -> None:
        """Drop what was added until now, and report the reset."""
        self._deliveries.clear()
        self._rejected.clear()
        self._is_reset = True
        self.has_update.set()

    def skip_arrivals(self) -> None:
        """Drop the items that were added until now."""
        self._deliveries.clear()

    def take(self, now: float) -> Update:
        """Return the update at a time of the monotonic clock, in seconds."""
        matching = [(one, self._indices(one)) for one in self._deliveries]
        matched = sum(len(indices) for _, indices in matching)
        shown = sampled(matching, self._pace.take(matched, now))
        update = Update(shown, matched, list(self._rejected), self._is_reset)
        self._deliveries.clear()
        self._rejected.clear()
        self._is_reset = False
        self.has_update.clear()
        return update

    def _indices(self, delivery: Delivery) -> Sequence[int]:
        query = self._query
        if not query.includes(delivery.kind):
            return ()
        if query.is_open:
            return range(len(delivery))
        return [index for index in range(len(delivery)) if query.selects(delivery, index)]


class Viewers:
    """All open pages."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()

    @contextlib.contextmanager
    def subscribed(self, query: Query) -> Iterator[Viewer]:
        """Subscribe a page to the items that match, as long as the block lasts."""
        viewer = Viewer(query)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def deliver(self, delivery: Delivery) -> None:
        """Report new items."""
        for viewer in self._viewers:
            viewer.deliver(delivery)

    def reject(self, logged: LoggedRequest) -> None:
        """Report a wrong request."""
        for viewer in self._viewers:
            viewer.reject(logged)

    def reset(self) -> None:
        """Report that everything until now was deleted."""
        for viewer in self._viewers:
            viewer.reset()

    def refresh(self) -> None:
        """Report that counts or fault rules have changed."""
        for viewer in self._viewers:
            viewer.has_update.set()


def sampled(matching: Sequence[tuple[Delivery, Sequence[int]]], wanted: int) -> list[Arrival]:
    """Return an even sample of the items at the given indices, in order.

    Args:
        matching: Deliveries, each with the indices of the items to choose from.
        wanted: Size of the sample; at most the number of items.
    """
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
