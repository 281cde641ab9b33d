"""The state of a running sink: its book, its rules, its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataart_mp.devsink.faults import Faults
from dataart_mp.devsink.journal import Journal
from dataart_mp.devsink.ledger import Ledger
from dataart_mp.devsink.parcel import parcel_of

if TYPE_CHECKING:
    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.settings import SinkSettings
    from dataart_mp.devsink.visit import Visit


class Sink:
    """What all requests share.

    Attributes:
        settings: What it was told.
        ledger: What it counted; another object after a reset.
        faults: What it was told to do wrong.
    """

    def __init__(self, settings: SinkSettings) -> None:
        self.settings = settings
        self.faults = Faults()
        self.ledger = self._new_ledger()
        self._journal = None if settings.journal is None else Journal(settings.journal)
        self._replay()

    def accept(self, ledger: Ledger, visit: Visit, parcel: Parcel, status: int | None) -> None:
        """Count the items of a request that is answered with a 2xx."""
        # A request from before a reset belongs to the book that was closed then.
        if self._journal is not None and ledger is self.ledger:
            self._journal.append(visit, parcel, status)
        ledger.accept(parcel)

    def reset(self) -> None:
        """Forget all counts, items and rules."""
        self.ledger = self._new_ledger()
        self.faults.replace([])
        if self._journal is not None:
            self._journal.clear()

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _new_ledger(self) -> Ledger:
        settings = self.settings
        return Ledger(
            keep=settings.keep, keep_requests=settings.keep_requests, id_field=settings.id_field
        )

    def _replay(self) -> None:
        if self._journal is None:
            return
        for entry in self._journal.entries():
            parcel = parcel_of(entry["kind"], entry["items"], entry["idempotency_key"])
            visit = self.ledger.arrive(None, "POST", entry["path"], [])
            visit.time = entry["time"]
            visit.size = entry["size"]
            visit.count = len(parcel.items)
            visit.idempotency_key = parcel.idempotency_key
            self.ledger.accept(parcel)
            self.ledger.close(visit, "accepted", entry["status"])
