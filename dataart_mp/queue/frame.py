"""A frame: the records a worker has claimed, and what became of them so far.

    READY ──claim──► SENDING ──settle──► SETTLED ──wipe──► FREE
      ▲                 │ postpone
      └──── WAITING ◄───┘

A frame is sent from its front to its back. What is through is kept in one word, so that whoever
goes on with the frame (this process after a backoff, another one after a death) starts where it
stopped, and with the same cut: a batch that is sent again has the same content and the same key.
"""

from typing import Final

from dataart_mp.queue.arena import (
    ACCEPTED,
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
    OPENING,
    PROGRESS,
    READY,
    REJECTED,
    SENDING,
    SETTLED,
    SINCE,
    WAITING,
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
    def is_identity(self) -> bool:
        """Whether it holds one identity, and not actions."""
        return self._words[self._account + KIND] == IDENTITY

    @property
    def attempts(self) -> int:
        """How often the batch at its front has failed."""
        return self._words[self._account + ATTEMPTS]

    @property
    def since(self) -> int:
        """When what is at its front was first tried (epoch, ns)."""
        return self._words[self._account + SINCE]

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
        for word in (ATTEMPTS, SINCE):  # what comes next has not been tried
            self._words[self._account + word] = 0
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
        self._words[self._account + BATCH_END] = batch_end
        if not self._words[self._account + SINCE]:
            self._words[self._account + SINCE] = now

    def postpone(self, due: int) -> None:
        """Let go of the frame until `due` (epoch, ns): then any worker may try again."""
        self._words[self._account + ATTEMPTS] += 1
        self._words[self._account + DUE] = due
        self._arena.set_state(self.number, WAITING)
        self._arena.locks.release(self.number)

    def settle(self) -> None:
        """Close the frame's account: every record is through. The frame is free again."""
        words, account = self._words, self._account
        _, rejected, failed = self._progress()
        count = words[account + COUNT]
        outcome = {
            ACCEPTED: count,
            DELIVERED: count - rejected - failed,
            REJECTED: rejected,
            FAILED: failed,
        }
        for column, amount in outcome.items():
            words[account + CLOSING + column] = words[account + OPENING + column] + amount
        self._arena.set_state(self.number, SETTLED)
        clear(self._arena, self.number)

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


def wake(arena: Arena, number: int, now: int) -> bool:
    """Make a WAITING frame READY when its time (`now`: epoch, ns) has come; True if it did."""
    if due_at(arena, number) > now or not arena.locks.acquire(number):
        return False
    due = arena.state(number) == WAITING
    if due:
        arena.set_state(number, READY)
    arena.locks.release(number)
    return due
