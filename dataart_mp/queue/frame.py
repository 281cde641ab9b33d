"""A frame: the records a worker has claimed, and what became of them so far.

    READY ──claim──► SENDING ──settle──► SETTLED ──wipe──► FREE
      ▲               │   │ postpone       ▲  (delivered, rejected, given up, or parked)
      └──── WAITING ◄─┼───┘                │
                      └── join ──► JOINED ─┘  (when the frame that it was joined to is through)

A frame is sent from its front to its back. What is through is kept in one word, so that whoever
goes on with the frame (this process after a backoff, another one after a death) starts where it
stopped, and with the same cut: a batch that is sent again has the same content and the same key.
A batch is *at hand* from when it is aimed at until that word says that it is through.

Under backlog, frames can be *joined*: the leader gets a copy of the other's content and sends it
with its own, in one request. Each goes on counting its own records; the one store JOINED decides
who sends them. What of all of them was rejected or given up, the leader counts: its DELIVERED may
be less than zero, modulo 2**64; the sum over all frames is not.
"""

import time
from typing import Final

from dataart_mp.queue.account import Evicted
from dataart_mp.queue.arena import (
    ACCEPTED,
    ADOPTED,
    ATTEMPTS,
    BATCH_END,
    CLOSING,
    COLUMNS,
    COUNT,
    DELIVERED,
    DUE,
    FAILED,
    FOLLOWERS,
    FREE,
    GENERATION,
    IDENTITY,
    JOINED,
    JOINED_LENGTH,
    JOINING,
    KIND,
    LEADER,
    LEADER_GENERATION,
    LENGTH,
    NOT_BEFORE,
    OPENING,
    PARKED,
    PARKING,
    POSTPONED,
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
from dataart_mp.queue.owner import Owner

# PROGRESS: bytes through (24 bits), records rejected (20 bits) and given up (20 bits) among them.
_COUNT_BITS: Final = 20
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
_THROUGH_SHIFT: Final = 2 * _COUNT_BITS
MAX_RECORDS: Final = _COUNT_MASK
MAX_CAPACITY: Final = (1 << 24) - 1
_TURN_SECONDS: Final = 0.001


class Frame:
    """A frame in SENDING that one thread of this process owns."""

    __slots__ = ("__weakref__", "_account", "_arena", "_followers", "_words", "number")

    def __init__(self, arena: Arena, number: int) -> None:
        self.number = number
        self._arena = arena
        self._words = arena.words
        self._account = arena.account(number)
        self._followers: list[int] = []

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
        frame._complete_joining()
        return frame

    @property
    def key(self) -> str:
        """The same whenever this content is sent, and never the key of another content."""
        return f"{self._arena.id}-{self.number}-{self._words[self._account + GENERATION]}"

    @property
    def owner(self) -> Owner:
        """Whose a batch is that this filling of the frame parks, or has taken."""
        return Owner(self._arena.id, self.number, self._words[self._account + GENERATION])

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
        return now < self._due(now)

    @property
    def count(self) -> int:
        """How many records it was sealed with; its own, without what was joined to it."""
        return self._words[self._account + COUNT]

    @property
    def length(self) -> int:
        """How many bytes of records it holds."""
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

    @property
    def is_joinable(self) -> bool:
        """Whether it can be joined to another one, or another one to it.

        It holds actions, comes straight from a producer, and nobody has aimed at any of it.
        """
        words, account = self._words, self._account
        states = (BATCH_END, PROGRESS, KIND, TAKEN, PARKING, FOLLOWERS)
        return not any(words[account + word] for word in states)

    def join(self, other: "Frame") -> None:
        """Send what is in `other` with what is in this one; for the two there must be room.

        Both are claimed and joinable, but that this one may have followers already. Of `other`
        nothing is left to do, and it is nobody's any more.
        """
        words, account = self._words, self._account
        end = self.length
        words[account + JOINED_LENGTH] = end + other.length
        words[account + JOINING] = other.number + 1
        at = self._arena.base(self.number) + end
        self._arena.memory[at : at + other.length] = other.content(0, other.length)
        words[other._account + LEADER] = self.number
        words[other._account + LEADER_GENERATION] = words[account + GENERATION]
        words[account + FOLLOWERS] += 1
        self._arena.set_state(other.number, JOINED)
        self._complete_joining()
        self._arena.locks.release(other.number)
        self._followers.append(other.number)

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

    def postpone(self, now: int, due: int, not_before: int = 0) -> None:
        """The batch at hand has failed: let go of the frame until `due`.

        Args:
            now: the time (epoch, ns).
            due: when any worker may try again (epoch, ns).
            not_before: when somebody may at the earliest have it tried before that.
        """
        self._words[self._account + ATTEMPTS] += 1
        self._wait(now, due, not_before)

    def keep_waiting(self, now: int, not_before: int) -> int:
        """Let go of the frame, and no try counts; it is due when it was, if not `not_before`.

        Args:
            now: the time (epoch, ns).
            not_before: as for `postpone`.

        Returns:
            When it is due (epoch, ns).
        """
        due = max(self._due(now), not_before)
        self._wait(now, due, not_before)
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

    def _complete_joining(self) -> None:
        """Take what was joined for ours, or wipe what was copied when it came to nothing."""
        words, account = self._words, self._account
        joining = words[account + JOINING]
        if not joining:
            return
        if self._follows(joining - 1):
            words[account + LENGTH] = words[account + JOINED_LENGTH]
        else:
            self._arena.wipe(self.number, self.length, words[account + JOINED_LENGTH])
        words[account + JOINING] = 0

    def _follows(self, number: int) -> bool:
        """Whether a frame has been joined to this one."""
        words, account = self._words, self._arena.account(number)
        return (
            self._arena.state(number) == JOINED
            and words[account + LEADER] == self.number
            and words[account + LEADER_GENERATION] == words[self._account + GENERATION]
        )

    def _settle_followers(self) -> None:
        """Before the leader: as long as it is there, somebody will see to them."""
        count = self._words[self._account + FOLLOWERS]
        if len(self._followers) == count:
            followers = self._followers
        else:  # this frame was another one's before
            followers = [each for each in self._arena.all_in(JOINED) if self._follows(each)]
        for number in followers:
            _settle_joined(self._arena, number, self)

    def _settle(self, parked: int, evicted: Evicted) -> None:
        self._settle_followers()
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

    def _wait(self, now: int, due: int, not_before: int) -> None:
        self._words[self._account + POSTPONED] = now
        self._words[self._account + DUE] = due
        self._words[self._account + NOT_BEFORE] = not_before
        self._arena.set_state(self.number, WAITING)
        self._arena.locks.release(self.number)

    def _due(self, now: int) -> int:
        """When the batch at hand is to be tried again (epoch, ns); 0 when it has not failed."""
        return due_at(self._arena, self.number, now) if self.attempts else 0

    def _progress(self) -> tuple[int, int, int]:
        word = self._words[self._account + PROGRESS]
        return (
            word >> _THROUGH_SHIFT,
            word >> _COUNT_BITS & _COUNT_MASK,
            word & _COUNT_MASK,
        )


def _settle_joined(arena: Arena, number: int, leader: Frame) -> None:
    """Close a JOINED frame's account: for all that it says, its records are delivered."""
    while not arena.locks.acquire(number, leader):  # somebody sees just now that it isn't READY
        time.sleep(_TURN_SECONDS)
    words, account = arena.words, arena.account(number)
    opening, closing = account + OPENING, account + CLOSING
    words[closing : closing + COLUMNS] = words[opening : opening + COLUMNS]
    for column in (ACCEPTED, DELIVERED):
        words[closing + column] = words[opening + column] + words[account + COUNT] & WORD_MASK
    arena.set_state(number, SETTLED)
    clear(arena, number)


def clear(arena: Arena, number: int) -> None:
    """Give back a SETTLED frame that the caller owns, all zeros as every free frame."""
    arena.wipe(number, 0, arena.words[arena.account(number) + LENGTH])
    arena.set_state(number, FREE)
    arena.locks.release(number)


def due_at(arena: Arena, number: int, now: int, *, early: bool = False) -> int:
    """When a WAITING frame is to be tried again.

    That is at once when it seems to have been postponed in times to come. Somebody has set the
    clock back then, and nobody knows how long it has waited.

    Args:
        arena: where it is.
        number: the frame.
        now: the time (epoch, ns).
        early: whether it need not be due, if only the platform wants no more waiting.

    Returns:
        When (epoch, ns).
    """
    words, account = arena.words, arena.account(number)
    if words[account + POSTPONED] > now:
        return now
    return words[account + (NOT_BEFORE if early else DUE)]


def wake(arena: Arena, number: int, now: int, *, early: bool = False) -> bool:
    """Make a WAITING frame READY when its time has come; True if it did.

    Args:
        arena: where it is.
        number: the frame.
        now: the time (epoch, ns).
        early: as for `due_at`.
    """
    if due_at(arena, number, now, early=early) > now or not arena.locks.acquire(number):
        return False
    waiting = arena.state(number) == WAITING
    if waiting:
        arena.set_state(number, READY)
    arena.locks.release(number)
    return waiting
