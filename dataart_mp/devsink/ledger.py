"""The book of the sink: every request, every item, and what came twice."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from dataart_mp.devsink.head import kind_of
from dataart_mp.devsink.stats import SinkStats
from dataart_mp.devsink.tally import Tally, digest_of, digests_of
from dataart_mp.devsink.visit import Outcome, Visit

if TYPE_CHECKING:
    from dataart_mp.devsink.head import Kind
    from dataart_mp.devsink.parcel import Parcel
    from dataart_mp.devsink.rejection import RejectionError
    from dataart_mp.devsink.tally import Doubles


class Ledger:
    """Counts requests and items. Every request ends in exactly one counter.

    Attributes:
        in_flight: The requests that have not ended, by number.
        ids: How often each value of the id field arrived.
    """

    def __init__(self, *, id_field: str, after: int = 0) -> None:
        self.in_flight: dict[int, Visit] = {}
        self.ids: Counter[str | int] = Counter()
        self._id_field = id_field
        self._tallies: dict[Kind, Tally] = {"actions": Tally(), "identities": Tally()}
        self._by_key: Counter[str] = Counter()
        self._answered: dict[tuple[Kind, str], bytes] = {}
        self._after = after
        self._arrived = 0
        self._outcomes: Counter[Outcome] = Counter()
        self._peak_in_flight = 0
        self._repeated = 0
        self._reused_keys = 0
        self._connections: set[int] = set()
        self._bytes = 0
        self._by_status: Counter[str] = Counter()
        self._by_path: Counter[str] = Counter()

    def arrive(
        self, connection: int | None, method: str, path: str, headers: list[tuple[bytes, bytes]]
    ) -> Visit:
        """Open the entry of a request whose head was read."""
        self._arrived += 1
        number = self._after + self._arrived
        visit = Visit(number, time.time(), connection, method, path, headers)
        self.in_flight[number] = visit
        if connection is not None:
            self._connections.add(connection)
        self._by_path[path if kind_of(path) else "other"] += 1
        self._peak_in_flight = max(self._peak_in_flight, len(self.in_flight))
        return visit

    def accept(self, parcel: Parcel) -> Doubles:
        """Count the items of a request that is answered with a 2xx; say which came before."""
        digests = digests_of(parcel.encoded)
        repeated = self._repeats(parcel, digests)
        if parcel.kind == "actions":
            self._count_actions(parcel.items)
        return self._tallies[parcel.kind].add(digests, repeated=repeated)

    def close(
        self,
        visit: Visit,
        outcome: Outcome,
        status: int | None,
        *,
        rejection: RejectionError | None = None,
    ) -> None:
        """Write down how a request ended."""
        visit.outcome = outcome
        visit.status = status
        visit.rejection = rejection
        visit.seconds = time.time() - visit.time
        del self.in_flight[visit.number]
        self._outcomes[outcome] += 1
        self._by_status["none" if status is None else str(status)] += 1
        if outcome == "accepted":
            self._bytes += visit.size

    def most_common_keys(self, count: int) -> list[tuple[str, int]]:
        """The keys of which most actions arrived, and how many."""
        return self._by_key.most_common(count)

    def stats(self) -> SinkStats:
        """The balance."""
        actions, identities = self._tallies["actions"], self._tallies["identities"]
        return SinkStats(
            requests=self._arrived,
            accepted_requests=self._outcomes["accepted"],
            rejected_requests=self._outcomes["rejected"],
            faulted_requests=self._outcomes["faulted"],
            unfinished_requests=self._outcomes["unfinished"],
            in_flight=len(self.in_flight),
            peak_in_flight=self._peak_in_flight,
            repeated_requests=self._repeated,
            reused_keys=self._reused_keys,
            connections=len(self._connections),
            bytes=self._bytes,
            by_status=dict(self._by_status),
            by_path=dict(self._by_path),
            actions=actions.arrived,
            distinct_actions=actions.distinct,
            explained_doubles=actions.explained,
            unexplained_doubles=actions.unexplained,
            identities=identities.arrived,
            distinct_identities=identities.distinct,
            explained_identity_doubles=identities.explained,
            unexplained_identity_doubles=identities.unexplained,
            by_key=dict(self._by_key),
            distinct_ids=len(self.ids),
        )

    def _repeats(self, parcel: Parcel, digests: list[bytes]) -> bool:
        """Whether an accepted request had the same Idempotency-Key and the same items."""
        if parcel.idempotency_key is None:
            return False
        content = digest_of(digests)
        name = (parcel.kind, parcel.idempotency_key)
        earlier = self._answered.setdefault(name, content)
        if earlier is content:
            return False
        if earlier == content:
            self._repeated += 1
            return True
        self._reused_keys += 1
        return False

    def _count_actions(self, actions: list[dict[str, Any]]) -> None:
        self._by_key.update(action["key"] for action in actions)
        for action in actions:
            metadata = action["metadata"]
            identifier = metadata.get(self._id_field) if metadata else None
            if type(identifier) is str or type(identifier) is int:
                self.ids[identifier] += 1
