"""What is parked, and whose it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dataart_mp.queue.owner import Owner

FILE: Final = "parked.db"
"""Where it is, in the spool."""

LONGEST_REST: Final = 300.0
"""Seconds; what seems to have to rest longer was parked before somebody set the clock back."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch to be parked.

    Attributes:
        key: its Idempotency-Key.
        is_identity: one identity, or else actions.
        records: JSON lines.
    """

    key: str
    is_identity: bool
    records: bytes

    @property
    def count(self) -> int:
        """How many records."""
        return self.records.count(b"\n")


@dataclass(frozen=True, slots=True)
class Parked:
    """A batch that is parked; its records stay where they are until it is taken.

    Attributes:
        id: names it, as long as the file is not made anew.
        key: its Idempotency-Key.
        is_identity: one identity, or else actions.
        since: when it was first parked (epoch, ns).
        count: how many records.
        size: how many bytes they take.
        home: the arena whose balance counts it as parked.
        owner: whose it is, or was.
    """

    id: int
    key: str
    is_identity: bool
    since: int
    count: int
    size: int
    home: str
    owner: Owner


class Ownership(Protocol):
    """Who knows whose batches are."""

    def others(self) -> Sequence[str]:
        """The arenas of other clients that live: what they have parked is theirs.

        It spares asking `is_over` of each of their batches.
        """

    def is_over(self, owner: Owner) -> bool:
        """Whether a batch that these owner had, ours or those of the dead, is in them no more."""
