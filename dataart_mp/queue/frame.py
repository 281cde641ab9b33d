"""A frame: the records a worker has claimed, and what became of them so far.

    READY ──claim──► SENDING ──settle──► SETTLED ──free──► FREE
     ▲ │                │                   ▲
     │ └──────join──────┼─────► JOINED ─────┘  (with its leader)
     └─── WAITING ◄─────┘ postpone

A frame is sent from its front to its back. One word holds how much of it is finished: delivered,
rejected, failed or parked. Any process that continues with it (this one after a backoff, another
one after a death) starts where it stopped and cuts it in the same places: a batch that is sent
again has the same content and the same key. A batch is *in progress* from the moment it is aimed at
until that word says that it is finished. Times are those of the clock of the queue; see `clock`.
"""

from typing import Final

from dataart_mp.queue import joining, outcomes
from dataart_mp.queue.account import DELIVERED, FAILED, IDENTITY, PARKED, REJECTED, Account
from dataart_mp.queue.arena import READY, SENDING, WAITING, Arena
from dataart_mp.queue.owner import Owner

_JOINING: Final = Account.joining.offset


class Frame:
    """A frame in SENDING that one thread of this process owns.

    Attributes:
        number: Its number in the arena.
        account: Its account.
        followers: The frames that this process has joined to it.
    """

    __slots__ = ("__weakref__", "_arena", "account", "followers", "number")

    def __init__(self, arena: Arena, number: int) -> None:
        self.number = number
        self.account = arena.account(number)
        self.followers: list[int] = []
        self._arena = arena

    @classmethod
    def claim(cls, arena: Arena, number: int) -> "Frame | None":
        """Claim a frame that is READY; None when it is not, or another thread has its lock."""
        memory, at = arena.memory, arena.state_at(number)
        if memory[at] != READY:
            return None
        frame = cls(arena, number)
        if not arena.locks.acquire(number, frame):
            return None
        if memory[at] != READY:  # another worker had it in between
            arena.locks.release(number)
            return None
        account = frame.account
        account.set_process(arena.process_words)
        memory[at] = SENDING
        if account.words[account.first + _JOINING]:
            joining.complete(arena, number)
        return frame

    @property
    def key(self) -> str:
        """The Idempotency-Key of its content: always the same, and of no other content."""
        return f"{self._arena.id}-{self.number}-{self._arena.generation(self.number)}"

    @property
    def owner(self) -> Owner:
        """This filling of the frame, as the owner of a parked batch."""
        return Owner(self._arena.id, self.number, self.account.generation)

    @property
    def is_identity(self) -> bool:
        """Whether it holds one identity, or else actions."""
        return self.account.kind == IDENTITY

    @property
    def count(self) -> int:
        """Records that it was sealed with, without those that were joined to it."""
        return self.account.count

    @property
    def length(self) -> int:
        """Bytes of records that it holds."""
        return self.account.length

    @property
    def taken(self) -> int:
        """Id of the parked batch that it was filled from; 0 when a producer filled it."""
        return self.account.taken

    @property
    def may_be_parked(self) -> bool:
        """Whether a worker was about to park it, and may have died before it said so."""
        return self.account.parking > 0

    @property
    def can_lead(self) -> bool:
        """Whether other frames can be joined to it."""
        return self.account.is_untouched

    @property
    def has_followers(self) -> bool:
        """Whether it holds, or may hold, what was joined to it."""
        return self.account.followers > 0

    @property
    def was_refused(self) -> bool:
        """Whether it was sent, and released because the platform had not processed it."""
        return self.since > 0 and not self.is_in_progress

    # The batch in progress

    @property
    def is_in_progress(self) -> bool:
        """Whether a batch is in progress: an attempt was prepared, and it is not finished."""
        return self.account.batch_end > self.account.through

    @property
    def attempts(self) -> int:
        """Failed attempts of the batch in progress."""
        return self.account.attempts if self.is_in_progress else 0

    @property
    def since(self) -> int:
        """When the first attempt of the batch in progress, or of one that was released, began (ns).

        0 without one.
        """
        is_released = not self.account.through
        return self.account.since if self.is_in_progress or is_released else 0

    @property
    def is_sent_again(self) -> bool:
        """Whether a request for the batch in progress is a retry of an earlier request."""
        return self.attempts > 0 and self.account.sent > 0

    @property
    def may_have_arrived(self) -> bool:
        """Whether a request for the batch in progress was sent, and may have been processed."""
        return self.is_in_progress and self.account.sent > 0

    def is_early(self, now: int) -> bool:
        """Return whether an attempt at `now` (ns) comes before the batch is due."""
        return now < self._due(now)

    def spans(self) -> list[tuple[int, int]]:
        """Return what is still to be sent, as (start, end) offsets, cut as in the last attempt."""
        length = self.account.length
        through = self.account.through
        cut = self.account.batch_end
        if through < cut < length:
            return [(through, cut), (cut, length)]
        return [(through, length)] if through < length else []

    def content(self, start: int, end: int) -> bytes:
        """Return the records between two offsets, as JSON Lines."""
        return self._arena.content(self.number, start, end)

    def aim(self, batch_end: int, now: int) -> None:
        """Record which batch is about to be sent: from what is done with to `batch_end`.

        It is recorded before the request is sent. If this process dies after the platform took the
        batch, the next one sends the same batch under the same key, not a larger one under another.

        Args:
            batch_end: Offset at which the batch ends.
            now: The time (ns).
        """
        account = self.account
        if not self.is_in_progress:
            # A frame that was released keeps the time of its first attempt.
            account.since = (0 if account.through else account.since) or now
            account.attempts = 0
            account.sent = 0
        account.batch_end = batch_end

    def mark_sent(self) -> None:
        """Record that a request for the batch in progress is sent."""
        self.account.sent = 1

    def release_batch(self) -> None:
        """Record that the batch in progress, all of the frame, was not processed.

        From then on other frames can be joined to it, or it to another one. The next request has
        another key if its content is another one.
        """
        self.account.batch_end = 0

    def mark_parking(self, parking: bool) -> None:
        """Record that what is left is about to be parked, or that it was not."""
        self.account.parking = parking

    def advance(self, end: int, *, rejected: int = 0, failed: int = 0) -> None:
        """Record that all content up to `end` is finished.

        Args:
            end: Offset at which the batch ended.
            rejected: Records of the batch that the platform rejected.
            failed: Records of the batch that failed permanently.
        """
        account = self.account
        may_be_noted = account.noted == account.generation
        if rejected or failed or may_be_noted:
            self._note(end, rejected, failed)
        account.advance(end, rejected, failed)
        if rejected or failed or may_be_noted:
            account.noted = 0

    def _note(self, end: int, rejected: int, failed: int) -> None:
        through = self.account.through
        first = self.content(0, through).count(b"\n")
        delivered = self.content(through, end).count(b"\n") - rejected - failed
        for outcome, count in ((REJECTED, rejected), (FAILED, failed), (DELIVERED, delivered)):
            if count > 0:
                outcomes.note(self._arena, self.number, first, count, outcome)
                first += count

    def note_parked(self) -> None:
        """Note, for the producers of its records, that all that is left is parked."""
        through = self.account.through
        first = self.content(0, through).count(b"\n")
        count = self.content(through, self.length).count(b"\n")
        outcomes.note(self._arena, self.number, first, count, PARKED)

    def postpone(self, now: int, due: int, not_before: int = 0) -> None:
        """Release the frame until `due`: the batch in progress has failed once more.

        Args:
            now: The time (ns).
            due: When any worker may try again (ns).
            not_before: The earliest time that the platform allows (ns).
        """
        self.account.attempts += 1
        self._wait(now, due, not_before)

    def keep_waiting(self, now: int, until: int, not_before: int = 0) -> int:
        """Release the frame, and count no attempt. It is due when it was, or at `until`.

        Args:
            now: The time (ns).
            until: When it is due at the earliest (ns).
            not_before: The earliest time that the platform allows (ns).

        Returns:
            When it is due (ns).
        """
        due = max(self._due(now), until)
        self._wait(now, due, not_before)
        return due

    def _wait(self, now: int, due: int, not_before: int) -> None:
        account = self.account
        account.postponed = now
        account.due = due
        account.not_before = not_before
        self._arena.set_state(self.number, WAITING)
        self._arena.locks.release(self.number)

    def _due(self, now: int) -> int:
        """When the batch in progress may be tried again (ns); 0 when it has not failed."""
        return self.account.due_at(now) if self.attempts else 0
