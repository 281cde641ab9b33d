"""The counters of the sink: requests, items and duplicates."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeGuard

from dataart_mp.devsink.counters.item_counter import ItemCounter, digest_of, digests_of
from dataart_mp.devsink.counters.logged_request import LoggedRequest, Outcome
from dataart_mp.devsink.protocol.kind import kind_of
from dataart_mp.devsink.stats import SinkStats

if TYPE_CHECKING:
    from dataart_mp.devsink.counters.item_counter import Duplicates
    from dataart_mp.devsink.http.rejection import RejectionError
    from dataart_mp.devsink.protocol.kind import Kind
    from dataart_mp.devsink.protocol.payload import Payload


class Counters:
    """Counts requests and items. Every request ends in exactly one counter.

    Attributes:
        in_flight: The requests that have not ended, by number.
        ids: How often each value of the id field arrived.

    Args:
        id_field: Field of an action's metadata for `ids`.
        after: Number of the last request before the first one to count.
    """

    def __init__(self, *, id_field: str, after: int = 0) -> None:
        self.in_flight: dict[int, LoggedRequest] = {}
        self.ids: Counter[str | int] = Counter()
        self._id_field = id_field
        self._items: dict[Kind, ItemCounter] = {
            "actions": ItemCounter(),
            "identities": ItemCounter(by_content=False),
        }
        self._by_key: Counter[str] = Counter()
        self._accepted: dict[tuple[Kind, str], bytes] = {}
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

    def begin(
        self, connection: int | None, method: str, path: str, headers: list[tuple[bytes, bytes]]
    ) -> LoggedRequest:
        """Count a request whose head was read, and return its log entry."""
        self._arrived += 1
        number = self._after + self._arrived
        logged = LoggedRequest(number, time.time(), connection, method, path, headers)
        self.in_flight[number] = logged
        if connection is not None:
            self._connections.add(connection)
        self._by_path[path if kind_of(path) else "other"] += 1
        self._peak_in_flight = max(self._peak_in_flight, len(self.in_flight))
        return logged

    def accept(self, payload: Payload) -> Duplicates:
        """Count the items of an accepted request, and return which of them are duplicates."""
        digests = digests_of(payload.encoded)
        repeated = self._repeats(payload, digests)
        if payload.kind == "actions":
            self._count_actions(payload.items)
        return self._items[payload.kind].add(digests, repeated=repeated)

    def end(
        self,
        logged: LoggedRequest,
        outcome: Outcome,
        status: int | None,
        *,
        rejection: RejectionError | None = None,
    ) -> None:
        """Count how a request ended."""
        logged.outcome = outcome
        logged.status = status
        logged.rejection = rejection
        logged.seconds = time.time() - logged.time
        del self.in_flight[logged.number]
        self._outcomes[outcome] += 1
        self._by_status["none" if status is None else str(status)] += 1
        if outcome == "accepted":
            self._bytes += logged.size

    def most_common_keys(self, count: int) -> list[tuple[str, int]]:
        """Return the most frequent keys of actions, each with its count."""
        return self._by_key.most_common(count)

    def stats(self) -> SinkStats:
        """Return all counts."""
        actions, identities = self._items["actions"], self._items["identities"]
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
            explained_duplicates=actions.explained,
            unexplained_duplicates=actions.unexplained,
            identities=identities.arrived,
            distinct_identities=identities.distinct,
            explained_identity_duplicates=identities.explained,
            by_key=dict(self._by_key),
            distinct_ids=len(self.ids),
        )

    def _repeats(self, payload: Payload, digests: list[bytes]) -> bool:
        """Return whether an accepted request had the same Idempotency-Key and the same items."""
        if payload.idempotency_key is None:
            return False
        content = digest_of(digests)
        name = (payload.kind, payload.idempotency_key)
        earlier = self._accepted.setdefault(name, content)
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
            if is_identifier(identifier):
                self.ids[identifier] += 1


def is_identifier(value: object) -> TypeGuard[str | int]:
    """Return whether a value of the id field counts: text or an integer."""
    return isinstance(value, str | int) and not isinstance(value, bool)
