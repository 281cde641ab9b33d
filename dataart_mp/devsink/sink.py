"""The state of a running sink: its book, its store, its rules, its journal, its viewers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from dataart_mp.devsink.faults import Faults
from dataart_mp.devsink.guard import Guard
from dataart_mp.devsink.journal import Journal
from dataart_mp.devsink.ledger import Ledger
from dataart_mp.devsink.live import Live
from dataart_mp.devsink.parcel import parcel_of
from dataart_mp.devsink.rate import Rate
from dataart_mp.devsink.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.rejection import RejectionError
    from dataart_mp.devsink.settings import SinkSettings
    from dataart_mp.devsink.tally import Doubles
    from dataart_mp.devsink.visit import Outcome, Visit


class Sink:
    """What all requests share.

    Attributes:
        settings: What it was told.
        guard: Who may talk to it.
        ledger: What it counted; another object after a reset.
        store: What it keeps.
        rate: What arrived when.
        faults: What it was told to do wrong.
        live: Who watches.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings
        self.guard = Guard(settings)
        self.faults = Faults()
        self.live = Live()
        self.rate = Rate()
        self._journal = None if settings.journal is None else Journal(settings.journal)
        self.store = Store(settings)
        self.ledger = Ledger(id_field=settings.id_field, after=self.store.newest_request)
        if self._journal is None:
            for _ in self._replayed(self.store.entries()):
                pass
        else:
            self.store.load(self._replayed(self._journal.entries()))

    def accept(self, ledger: Ledger, visit: Visit, parcel: Parcel, status: int | None) -> None:
        """Count and keep the items of a request that is answered with a 2xx; it has ended."""
        # A request from before a reset belongs to the book that was closed then.
        is_current = ledger is self.ledger
        if self._journal is not None and is_current:
            self._journal.append(visit, parcel, status)
        doubles = ledger.accept(parcel)
        ledger.close(visit, "accepted", status)
        if is_current:
            now = time.time()
            delivery = self.store.delivery(visit, parcel, doubles, now)
            self.store.add(visit, delivery)
            self.rate.at(now).items += visit.count
            self.live.deliver(delivery)

    def reject(self, ledger: Ledger, visit: Visit, error: RejectionError) -> None:
        """Write down that a request was wrong."""
        ledger.close(visit, "rejected", error.status, rejection=error)
        if ledger is self.ledger:
            self.store.add(visit, None)
            self.rate.at(time.time()).rejected += 1
            self.live.reject(visit)

    def end(self, ledger: Ledger, visit: Visit, outcome: Outcome, status: int | None) -> None:
        """Write down that a request ended otherwise."""
        ledger.close(visit, outcome, status)
        if ledger is self.ledger:
            self.store.add(visit, None)
            if outcome == "faulted":
                self.rate.at(time.time()).faulted += 1
            self.live.touch()

    async def reset(self) -> None:
        """Forget all counts, items and rules."""
        self.ledger = Ledger(id_field=self.settings.id_field)
        self.rate = Rate()
        self.faults.replace([])
        self.live.reset()
        if self._journal is not None:
            self._journal.clear()
        await self.store.clear()

    def close(self) -> None:
        """Close journal and store."""
        if self._journal is not None:
            self._journal.close()
        self.store.close()

    def _replayed(
        self, entries: Iterable[dict[str, Any]]
    ) -> Iterator[tuple[Visit, Parcel, Doubles]]:
        """Count what an earlier run accepted."""
        for entry in entries:
            parcel = parcel_of(entry["kind"], entry["items"], entry["idempotency_key"])
            visit = self.ledger.arrive(None, "POST", entry["path"], [])
            visit.time = entry["time"]
            visit.size = entry["size"]
            visit.count = len(parcel.items)
            visit.idempotency_key = parcel.idempotency_key
            doubles = self.ledger.accept(parcel)
            self.ledger.close(visit, "accepted", entry["status"])
            yield visit, parcel, doubles
