"""A frame: the records a worker has claimed, and what became of them so far.

    READY ──claim──► SENDING ──settle──► SETTLED ──wipe──► FREE
      ▲                 │ postpone          (delivered, rejected, given up, or parked)
      └──── WAITING ◄───┘

A frame is sent from its front to its back. What is through is kept in one word, so that whoever
goes on with the frame (this process after a backoff, another one after a death) starts where it
stopped, and with the same cut: a batch that is sent again has the same content and the same key.
A batch is *at hand* from when it is aimed at until that word says that it is through.
"""

from typing import Final

from dataart_mp.parking.parcel import Evicted, Hands
from dataart_mp.queue.arena import (
    ACCEPTED,
    ADOPTED,
    ATTEMPTS,
    BATCH_END,
    CLOSING,
    COUNT,
    DELIVERED,
    DUE,
    FAILED,
    FREE,
    GENERATION,
    IDENTITY,
    KIND,
    LENGTH,
    NOT_BEFORE,
    OPENING,
    PARKED,
    PARKING,
    PROGRESS,
    READY,
    REJECTED,
    SENDING,
    SENT,
    SETTLED,
    SINCE,
    TAKEN,
    WAITING,
    WORD_MASK,
    Arena,
)

# PROGRESS: bytes through (24 bits), records rejected (20 bits) and given up (20 bits) among them.
_COUNT_BITS: Final = 20
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
_THROUGH_SHIFT: Final = 2 * _COUNT_BITS
MAX_RECORDS: Final = _COUNT_MASK
MAX_CAPACITY: Final = (1 << 24) - 1


class Frame:
    """A frame in SENDING that one thread of this process owns."""

    __slots__ = ("__weakref__", "_account", "_arena", "_words", "number")

    def __init__(self, arena: Arena, number: int) -> None:
        self.number = number
        self._arena = arena
        self._words = arena.words
        self._account = arena.account(number)

    @classmethod
    def claim(cls, arena: Arena, number: int) -> "Frame | None":
        """Take a frame that is READY; None when it isn't, or when another was quicker."""
        if arena.state(number) != READY:
            return None
        frame = cls(arena, number)
        if not arena.locks.acquire(number, frame):
            return None
        if arena.state(number) != READY:
            arena.locks.release(number)
            return None
        arena.set_state(number, SENDING)
        return frame

    @property
    def key(self) -> str:
        """The same whenever this content is sent, and never the key of another content."""
        return f"{self._arena.id}-{self.number}-{self._words[self._account + GENERATION]}"

    @property
    def hands(self) -> Hands:
        """Whose a batch is that this filling of the frame parks, or has taken."""
        return Hands(self._arena.id, self.number, self._words[self._account + GENERATION])

    @property
    def taken(self) -> int:
        """The parked batch that it was filled from; 0: it was filled by a producer."""
        return self._words[self._account + TAKEN]

    @property
    def may_be_parked(self) -> bool:
        """Whether somebody was about to park it, and may have died over that."""
        return self._words[self._account + PARKING] > 0

    @property
    def is_identity(self) -> bool:
        """Whether it holds one identity, and not actions."""
        return self._words[self._account + KIND] == IDENTITY

    @property
    def is_under_way(self) -> bool:
        """Whether a batch is at hand: it was tried, or tried to be, and is not through."""
        return self._words[self._account + BATCH_END] > self._progress()[0]

    @property
    def attempts(self) -> int:
        """How often the batch at hand has failed."""
        return self._words[self._account + ATTEMPTS] if self.is_under_way else 0

    @property
    def since(self) -> int:
        """When the batch at hand was first tried (epoch, ns); 0 when none is."""
        return self._words[self._account + SINCE] if self.is_under_way else 0

    @property
    def is_sent_again(self) -> bool:
        """Whether a request for the batch at hand is a retry: one has failed that was its own."""
        return self.attempts > 0 and self._words[self._account + SENT] > 0

    def is_early(self, now: int) -> bool:
        """Whether the batch at hand still has to wait at `now`: somebody has woken it before."""
        return now < self._due()

    @property
    def count(self) -> int:
        """How many records it was sealed with."""
        return self._words[self._account + COUNT]

    @property
    def length(self) -> int:
        """How many bytes of records it was sealed with."""
        return self._words[self._account + LENGTH]

    def spans(self) -> list[tuple[int, int]]:
        """What is still to be sent, as (start, end) offsets, in the cut of the last attempt."""
        length = self._words[self._account + LENGTH]
        through = self._progress()[0]
        cut = self._words[self._account + BATCH_END]
        if through < cut < length:
            return [(through, cut), (cut, length)]
        return [(through, length)] if through < length else []

    def content(self, start: int, end: int) -> bytes:
        """The records between two offsets, as JSON lines."""
        return self._arena.content(self.number, start, end)

    def advance(self, end: int, *, rejected: int = 0, failed: int = 0) -> None:
        """All up to `end` is through; `rejected` and `failed` of its records were not delivered."""
        _, before_rejected, before_failed = self._progress()
        self._words[self._account + PROGRESS] = (
            end << _THROUGH_SHIFT
            | (before_rejected + rejected) << _COUNT_BITS
            | (before_failed + failed)
        )

    def aim(self, batch_end: int, now: int) -> None:
        """Say at `now` (epoch, ns) what is about to be sent: what is not through, to `batch_end`.

        Said before, not after: should this process die after the platform took the batch, the
        next one sends the same batch under the same key, and not a larger one under another.
        """
        if not self.is_under_way:
            self._words[self._account + SINCE] = now
            self._words[self._account + ATTEMPTS] = 0
            self._words[self._account + SENT] = 0
        self._words[self._account + BATCH_END] = batch_end

    def mark_sent(self) -> None:
        """The batch at hand is on its way."""
        self._words[self._account + SENT] = 1

    def postpone(self, due: int, not_before: int = 0) -> None:
        """The batch at hand has failed: let go of the frame until `due`.

        Args:
            due: when any worker may try again (epoch, ns).
            not_before: when somebody may at the earliest have it tried before that.
        """
        self._words[self._account + ATTEMPTS] += 1
        self._wait(due, not_before)

    def keep_waiting(self, not_before: int) -> int:
        """Let go of the frame, and no try counts; it is due when it was, if not `not_before`.

        Returns:
            When it is due (epoch, ns).
        """
        due = max(self._due(), not_before)
        self._wait(due, not_before)
        return due

    def hand_back(self) -> None:
        """Let go of the frame: any worker may go on with it at once."""
        self._arena.set_state(self.number, READY)
        self._arena.locks.release(self.number)

    def mark_parking(self, parking: bool) -> None:
        """Say that what is not through is about to be parked; or that it was not."""
        self._words[self._account + PARKING] = parking

    def settle(self) -> None:
        """Close the frame's account: every record is through. The frame is free again."""
        self._settle(0, Evicted(0, 0))

    def settle_parked(self, evicted: Evicted) -> None:
        """Close the frame's account: what is not through is parked. The frame is free again.

        Args:
            evicted: the records that had to go for it; they are given up.
        """
        through = self._progress()[0]
        parked = self.content(through, self.length).count(b"\n")
        self._settle(parked, evicted)

    def _settle(self, parked: int, evicted: Evicted) -> None:
        words, account = self._words, self._account
        _, rejected, failed = self._progress()
        count = words[account + COUNT]
        # What was parked before is accepted already, and parked no more.
        home = count if words[account + TAKEN] and not words[account + ADOPTED] else 0
        outcome = {
            ACCEPTED: count - home + evicted.adopted,
            DELIVERED: count - rejected - failed - parked,
            REJECTED: rejected,
            FAILED: failed + sum(evicted),
            PARKED: parked - home - evicted.own,
        }
        for column, amount in outcome.items():
            total = words[account + OPENING + column] + amount
            words[account + CLOSING + column] = total & WORD_MASK
        self._arena.set_state(self.number, SETTLED)
        clear(self._arena, self.number)

    def _wait(self, due: int, not_before: int) -> None:
        self._words[self._account + DUE] = due
        self._words[self._account + NOT_BEFORE] = not_before
        self._arena.set_state(self.number, WAITING)
        self._arena.locks.release(self.number)

    def _due(self) -> int:
        """When the batch at hand is to be tried again (epoch, ns); 0 when it has not failed."""
        return due_at(self._arena, self.number) if self.attempts else 0

    def _progress(self) -> tuple[int, int, int]:
        word = self._words[self._account + PROGRESS]
        return (
            word >> _THROUGH_SHIFT,
            word >> _COUNT_BITS & _COUNT_MASK,
            word & _COUNT_MASK,
        )


def clear(arena: Arena, number: int) -> None:
    """Give back a SETTLED frame that the caller owns, all zeros as every free frame."""
    arena.wipe(number, 0, arena.words[arena.account(number) + LENGTH])
    arena.set_state(number, FREE)
    arena.locks.release(number)


def due_at(arena: Arena, number: int) -> int:
    """When a WAITING frame is to be tried again (epoch, ns)."""
    return arena.words[arena.account(number) + DUE]


def wake(arena: Arena, number: int, now: int, *, early: bool = False) -> bool:
    """Make a WAITING frame READY when its time has come; True if it did.

    Args:
        arena: where it is.
        number: the frame.
        now: the time (epoch, ns).
        early: whether it need not be due, if only the platform wants no more waiting.
    """
    time_word = NOT_BEFORE if early else DUE
    if arena.words[arena.account(number) + time_word] > now or not arena.locks.acquire(number):
        return False
    waiting = arena.state(number) == WAITING
    if waiting:
        arena.set_state(number, READY)
    arena.locks.release(number)
    return waiting
