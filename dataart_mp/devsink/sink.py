"""The state of a running sink: its counters, store, fault rules, journal and viewers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dataart_mp.devsink.counters.counters import Counters
from dataart_mp.devsink.faults.active import ActiveFaults
from dataart_mp.devsink.http.guard import Guard
from dataart_mp.devsink.live.rate import Rate
from dataart_mp.devsink.live.viewers import Viewers
from dataart_mp.devsink.protocol.payload import payload_of
from dataart_mp.devsink.store.journal import Journal
from dataart_mp.devsink.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dataart_mp.devsink.counters.item_counter import Duplicates
    from dataart_mp.devsink.counters.logged_request import LoggedRequest, Outcome
    from dataart_mp.devsink.http.rejection import RejectionError
    from dataart_mp.devsink.protocol.payload import Payload
    from dataart_mp.devsink.settings import SinkSettings


class Sink:
    """The state that all requests share.

    Attributes:
        settings: Settings of the sink.
        guard: Decides who may send requests.
        counters: Counts of requests and items; a reset replaces the object.
        store: The kept requests and items.
        rate: Arrivals per second; a reset replaces the object.
        faults: The fault rules in force.
        viewers: The open pages.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings
        self.guard = Guard(settings)
        self.faults = ActiveFaults()
        self.viewers = Viewers()
        self.rate = Rate()
        self._journal = None if settings.journal is None else Journal(settings.journal)
        self.store = Store(settings)
        self.counters = Counters(id_field=settings.id_field, after=self.store.newest_request)
        if self._journal is None:
            for _ in self._replayed(self.store.entries()):
                pass
        else:
            self.store.load(self._replayed(self._journal.entries()))

    def accept(
        self, counters: Counters, logged: LoggedRequest, payload: Payload, status: int | None
    ) -> None:
        """End a request that is accepted: count and keep its items."""
        # A request from before a reset belongs to the counters from before it.
        is_current = counters is self.counters
        if self._journal is not None and is_current:
            self._journal.append(logged, payload, status)
        duplicates = counters.accept(payload)
        counters.end(logged, "accepted", status)
        if is_current:
            now = time.time()
            delivery = self.store.delivery(logged, payload, duplicates, now)
            self.store.add(logged, delivery)
            self.rate.at(now).items += logged.count
            self.viewers.deliver(delivery)

    def reject(self, counters: Counters, logged: LoggedRequest, error: RejectionError) -> None:
        """End a request that is wrong."""
        counters.end(logged, "rejected", error.status, rejection=error)
        if counters is self.counters:
            self.store.add(logged, None)
            self.rate.at(time.time()).rejected += 1
            self.viewers.reject(logged)

    def refuse(self, connection: int, error: RejectionError) -> None:
        """Count what a connection sent and could not become a request as a rejected one."""
        logged = self.counters.begin(connection, "?", "?", [])
        self.reject(self.counters, logged, error)

    def end(
        self, counters: Counters, logged: LoggedRequest, outcome: Outcome, status: int | None
    ) -> None:
        """End a request that is neither accepted nor wrong."""
        counters.end(logged, outcome, status)
        if counters is self.counters:
            self.store.add(logged, None)
            if outcome == "faulted":
                self.rate.at(time.time()).faulted += 1
            self.viewers.refresh()

    async def reset(self) -> None:
        """Delete all counts, items and fault rules."""
        self.counters = Counters(id_field=self.settings.id_field)
        self.rate = Rate()
        self.faults.replace([])
        self.viewers.reset()
        if self._journal is not None:
            self._journal.clear()
        await self.store.clear()

    def close(self) -> None:
        """Close the journal and the store."""
        if self._journal is not None:
            self._journal.close()
        self.store.close()

    def _replayed(
        self, entries: Iterable[dict[str, Any]]
    ) -> Iterator[tuple[LoggedRequest, Payload, Duplicates]]:
        """Count the requests that an earlier run accepted."""
        for entry in entries:
            payload = payload_of(entry["kind"], entry["items"], entry["idempotency_key"])
            logged = self.counters.begin(None, "POST", entry["path"], [])
            logged.time = entry["time"]
            logged.size = entry["size"]
            logged.count = len(payload.items)
            logged.idempotency_key = payload.idempotency_key
            duplicates = self.counters.accept(payload)
            self.counters.end(logged, "accepted", entry["status"])
            yield logged, payload, duplicates
