"""What an accepted request brought, as it is kept and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson

if TYPE_CHECKING:
    from dataart_mp.devsink.head import Kind
    from dataart_mp.devsink.tally import Doubles

Double = Literal["explained", "unexplained"]


class Arrival(NamedTuple):
    """One item, and how it came.

    Attributes:
        kind: What it is.
        number: Counted from 1, for each kind by itself.
        time: When it was accepted, in seconds since the epoch.
        request: Number of the request that brought it.
        double: Whether it had come before, and whether the request explains it.
        item: It itself, as JSON with sorted keys.
    """

    kind: Kind
    number: int
    time: float
    request: int
    double: Double | None
    item: bytes

    def as_json(self) -> bytes:
        """For `/_sink/arrivals` and the live page."""
        about = {
            "kind": self.kind,
            "number": self.number,
            "time": self.time,
            "request": self.request,
            "double": self.double,
        }
        # The item is JSON already.
        return b'%b,"item":%b}' % (orjson.dumps(about)[:-1], self.item)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The items of one request.

    Attributes:
        kind: What they are.
        last: Number of the last one, counted from 1, for each kind by itself.
        time: When they were accepted, in seconds since the epoch.
        request: Number of the request that brought them.
        doubles: Which had come before.
        encoded: They themselves, each as JSON with sorted keys.
    """

    kind: Kind
    last: int
    time: float
    request: int
    doubles: Doubles
    encoded: list[bytes]

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> Arrival:
        """One of them; the index is not a negative one."""
        return Arrival(
            self.kind,
            self.last - len(self.encoded) + 1 + index,
            self.time,
            self.request,
            self._double(index),
            self.encoded[index],
        )

    def _double(self, index: int) -> Double | None:
        if index not in self.doubles.indices:
            return None
        return "explained" if self.doubles.explained else "unexplained"
