"""Versions: what a process knew of the outcomes of its records, each time that it read notes.

A version is never changed, and knows its successor. Who refers to one finds all later ones. So no
lock is needed, an exception between any two steps leaves a consistent version, and a version that
nothing refers to is collected.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from dataart_mp.queue.account import FAILED, PARKED, REJECTED
from dataart_mp.queue.frame_writer import Claim
from dataart_mp.queue.outcomes import Note

Outcomes = Mapping[int, int]
"""What became of records of one filling of a frame: an outcome for each number of a record."""

_NOTHING: Final[Mapping[Claim, Outcomes]] = MappingProxyType({})


class Losses(NamedTuple):
    """How many records were settled, but not delivered."""

    rejected: int = 0
    failed: int = 0
    parked: int = 0

    def plus(self, outcomes: Outcomes) -> "Losses":
        """Return the sum with what became of further records."""
        count = Counter(outcomes.values())
        return Losses(
            self.rejected + count[REJECTED],
            self.failed + count[FAILED],
            self.parked + count[PARKED],
        )


class Learned(NamedTuple):
    """A note on records of this process.

    Attributes:
        stamp: The epoch in which their frame was sealed.
        note: The note.
    """

    stamp: int
    note: Note

    @property
    def claim(self) -> Claim:
        """The frame and its generation."""
        return self.note.frame, self.note.generation

    def outcomes(self, most: int | None = None) -> Outcomes:
        """Return the outcome of each record; of the first `most` records of the frame only."""
        first, end = self.note.first, self.note.first + self.note.number
        return dict.fromkeys(
            range(first, end if most is None else min(most, end)), self.note.outcome
        )


_NO_LOSSES: Final = Losses()


class Version:
    """What this process knew when it had read so many notes.

    Attributes:
        head: How many notes were written then, by all processes and for all.
        lost: `Arena.notes_lost` then.
        is_exact: Whether no note was missed until then.
        learned: The notes on its own records since the version before.
        losses: The outcomes of what was settled.
        known: The outcomes of what may not have been settled.
    """

    __slots__ = ("_successor", "head", "is_exact", "known", "learned", "losses", "lost")

    def __init__(
        self,
        head: int,
        lost: int,
        *,
        is_exact: bool = True,
        learned: tuple[Learned, ...] = (),
        losses: Losses = _NO_LOSSES,
        known: Mapping[Claim, Outcomes] = _NOTHING,
    ) -> None:
        self.head, self.lost, self.is_exact = head, lost, is_exact
        self.learned, self.losses, self.known = learned, losses, known
        self._successor: dict[None, Version] = {}

    @property
    def latest(self) -> "Version":
        """The last version of the chain."""
        version = self
        for version in self.later():  # noqa: B007 - the last one is wanted
            pass
        return version

    def later(self) -> "Iterator[Version]":
        """Yield the versions after this one."""
        version = self
        while version._successor:
            version = version._successor[None]
            yield version

    def succeed(self, version: "Version") -> None:
        """Make a version the next one, unless another thread has made one meanwhile."""
        self._successor.setdefault(None, version)
