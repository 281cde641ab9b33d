"""The items of an accepted request, as they are stored and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

if TYPE_CHECKING:
    from dataart_mp.devsink.counters.item_counter import Duplicates
    from dataart_mp.devsink.protocol.kind import Kind

DuplicateKind = Literal["explained", "unexplained"]


class Arrival(NamedTuple):
    """One item, and how it arrived.

    Attributes:
        kind: Kind of the item.
        number: Number of the item among its kind, counted from 1.
        time: When it was accepted, in seconds since the epoch.
        request: Number of its request.
        duplicate: Whether a repeated request explains that it arrived before; None: it did not.
        item: The item as JSON with sorted keys.
    """

    kind: Kind
    number: int
    time: float
    request: int
    duplicate: DuplicateKind | None
    item: bytes

    def as_json(self) -> bytes:
        """Return the JSON for `/_sink/arrivals` and the live page."""
        about = {
            "kind": self.kind,
            "number": self.number,
            "time": self.time,
            "request": self.request,
            "duplicate": self.duplicate,
        }
        # The item is already JSON.
        return b'%b,"item":%b}' % (orjson.dumps(about)[:-1], self.item)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The items of one request.

    Attributes:
        kind: Kind of the items.
        last: Number of the last item among its kind, counted from 1.
        time: When they were accepted, in seconds since the epoch.
        request: Number of the request.
        duplicates: Which of the items arrived before.
        encoded: Each item as JSON with sorted keys.
    """

    kind: Kind
    last: int
    time: float
    request: int
    duplicates: Duplicates
    encoded: list[bytes]

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> Arrival:
        """Return one item; the index must not be negative."""
        return Arrival(
            self.kind,
            self.last - len(self.encoded) + 1 + index,
            self.time,
            self.request,
            self.duplicate(index),
            self.encoded[index],
        )

    def duplicate(self, index: int) -> DuplicateKind | None:
        """Return whether an item is a duplicate, and of which kind."""
        if index not in self.duplicates.indices:
            return None
        return "explained" if self.duplicates.explained else "unexplained"
