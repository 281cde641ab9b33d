"""The account of a frame: 32 words that say what it holds, and what became of all it ever held.

    word  name                  valid in states      meaning
    0     generation            always               times a producer has claimed the frame
    1     count                 READY .. SETTLED     its records, without those joined to it
    2     length                READY .. SETTLED     bytes of content, with what was joined to it
    3     kind                  FILLING .. SETTLED   ACTIONS or IDENTITY
    4     progress              READY .. WAITING     what is done with; see `Progress`
    5     batch_end             READY .. WAITING     where the batch in progress ends
    6     attempts              batch in progress    failed attempts of it so far
    7     sent                  batch in progress    whether any request carried it
    8     since                 batch in progress    when its first attempt began; of a whole frame
                                                     that was released, it is kept
    9     due                   WAITING              when to try again
    10    not_before            WAITING              the platform wants no attempt before this
    11    taken                 FILLING .. SETTLED   id of the parked batch it was filled from, or 0
    12    origin                FILLING .. SETTLED   2 * taken + whether another client parked it
    13    parking               READY .. SETTLED     whether the rest may have been parked
    14    joining               READY .. SETTLED     1 + the frame that is being joined to it, or 0
    15    followers             READY .. SETTLED     the most frames that were joined to it
    16    opening totals        FILLING .. WAITING   five totals when it was claimed
    21    joined_length         joining is set       what `length` becomes when that is complete
          joined_at             JOINED               where its content begins in its leader's
    22    opened                FILLING .. WAITING   when its first record came, by `clock.now`
          leader                JOINED               the frame that holds its content, too
    23    noted                 SENDING, WAITING     its generation, if there may be a note of an
                                                     outcome (see `outcomes`) that is not stored yet
          leader_generation     JOINED               its leader's generation
    24    closing totals        FREE, SETTLED        five totals when it was last settled
    29    postponed             WAITING              when `due` was set
    30    process               FILLING, SENDING     id and start of the process that owns it

In an arena with durability, it has 64 words. That is a sector of the disk, so a power failure
leaves it as it was at some moment. See `checksum` for the first two:

    32    appended              FILLING .. SETTLED   length and checksum of what was appended
    33    synced                FILLING .. SETTLED   the same of what is on the disk
    34    appended_again        FILLING .. SETTLED   a copy of `appended`, if that is damaged
    35    generation_again      always               a copy of `generation`, if that is damaged
    36    unused

Times are nanoseconds of the clock of the queue (see `clock`). A batch is in progress when
`batch_end` lies behind what is done with.

The totals exist twice, so that one store, that of the state SETTLED, moves a frame's records from
pending to delivered. A death before that store leaves the opening totals in force, a death after it
the closing ones. One frame may park what another one takes back, so the total PARKED of a single
frame may be negative, modulo 2**64. The sum over all frames is not.
"""

from typing import Final, NamedTuple, overload

from dataart_mp.queue.process import Process

ACTIONS: Final = 0
IDENTITY: Final = 1

WORD_BYTES: Final = 8
WORDS: Final = 32
CHECKED_WORDS: Final = 64
"""The words of an account in an arena with durability."""
WORD_MASK: Final = (1 << 64) - 1

ACCEPTED, DELIVERED, REJECTED, FAILED, PARKED = range(5)
"""The five totals."""
TOTALS: Final = 5
_COUNT: Final = 1
_LENGTH: Final = 2
_KIND: Final = 3
_PROGRESS: Final = 4
_BATCH_END: Final = 5
_SENT: Final = 7
_SINCE: Final = 8
_TAKEN: Final = 11
_PARKING: Final = 13
_JOINING: Final = 14
_FOLLOWERS: Final = 15
_JOINED_LENGTH: Final = 21
OPENING: Final = 16
"""Where the opening totals begin."""
PROCESS: Final = 30
"""Where the two words of the process are."""
CLOSING: Final = 24
"""Where the closing totals begin."""
_PROCESS_END: Final = PROCESS + 2
_FRESH: Final = bytes((OPENING - _KIND) * WORD_BYTES)
_FRESH_WORDS: Final = [0] * (OPENING - _KIND)
_ZEROS: Final = memoryview(bytes((OPENING - _COUNT) * WORD_BYTES)).cast("Q")

_COUNT_BITS: Final = 20
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
_THROUGH_SHIFT: Final = 2 * _COUNT_BITS
_COUNTS_MASK: Final = (1 << _THROUGH_SHIFT) - 1
MAX_RECORDS: Final = _COUNT_MASK
"""The most records of a frame: as many as `progress` can count."""
MAX_CAPACITY: Final = (1 << 24) - 1
"""The most bytes of a frame's content: as many as `progress` can count."""


class Progress(NamedTuple):
    """What of a frame's content is finished, from its front; packed into one word.

    Attributes:
        through: Bytes (24 bits).
        rejected: Records among them that the platform rejected (20 bits).
        failed: Records among them that failed permanently (20 bits).
    """

    through: int
    rejected: int
    failed: int


class Evicted(NamedTuple):
    """Parked records that were discarded to make room for others.

    Attributes:
        own: Those that the balance of the frame's own arena counted as parked.
        adopted: Those of clients that are gone.
    """

    own: int
    adopted: int


def can_follow(words: list[int], *, refused_too: bool) -> bool:
    """Return whether a frame can be joined to another one.

    Args:
        words: The words of its account before the totals.
        refused_too: Whether it may have been sent, and released because the platform had not
            processed it.
    """
    if words[_KIND:] == _FRESH_WORDS:  # as nearly always
        return True
    return _is_untouched(words) and not words[_FOLLOWERS] and (refused_too or not words[_SINCE])


def _is_untouched(words: list[int]) -> bool:
    return not (
        words[_BATCH_END] or words[_PROGRESS] or words[_KIND] or words[_TAKEN] or words[_PARKING]
    )


def is_adopted(origin: int) -> bool:
    """Return what the word `origin` says: whether another client had parked the batch."""
    return bool(origin & 1)


class Word:
    """One word of an account, read and written as an attribute. Storing it is a single store.

    Attributes:
        offset: Its place in the account, in words.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset

    @overload
    def __get__(self, account: None, owner: type) -> "Word": ...

    @overload
    def __get__(self, account: "Account", owner: type) -> int: ...

    def __get__(self, account: "Account | None", owner: type) -> "Word | int":
        return self if account is None else account.words[account.first + self.offset]

    def __set__(self, account: "Account", value: int) -> None:
        account.words[account.first + self.offset] = value


class Account:
    """A typed view of one frame's account.

    Args:
        words: The arena's words.
        first: Number of the account's first word.
    """

    __slots__ = ("first", "words")

    generation = Word(0)
    count = Word(_COUNT)
    length = Word(_LENGTH)
    kind = Word(_KIND)
    batch_end = Word(_BATCH_END)
    attempts = Word(6)
    sent = Word(_SENT)
    since = Word(_SINCE)
    due = Word(9)
    not_before = Word(10)
    taken = Word(_TAKEN)
    parking = Word(_PARKING)
    joining = Word(_JOINING)
    followers = Word(_FOLLOWERS)
    joined_length = Word(_JOINED_LENGTH)
    joined_at = Word(_JOINED_LENGTH)
    opened = Word(22)
    leader = Word(22)
    noted = Word(23)
    leader_generation = Word(23)
    postponed = Word(29)
    appended = Word(32)
    synced = Word(33)
    appended_again = Word(34)
    generation_again = Word(35)
    _progress = Word(_PROGRESS)
    origin = Word(12)

    def __init__(self, words: memoryview, first: int) -> None:
        self.words = words
        self.first = first

    @property
    def progress(self) -> Progress:
        """What is done with. Setting it is a single store."""
        word = self._progress
        return Progress(
            word >> _THROUGH_SHIFT, word >> _COUNT_BITS & _COUNT_MASK, word & _COUNT_MASK
        )

    @progress.setter
    def progress(self, progress: Progress) -> None:
        through, rejected, failed = progress
        self._progress = through << _THROUGH_SHIFT | rejected << _COUNT_BITS | failed

    @property
    def through(self) -> int:
        """Bytes of content that are finished."""
        return self._progress >> _THROUGH_SHIFT

    @property
    def adopted(self) -> bool:
        """Whether another client had parked the batch that the frame was filled from."""
        return is_adopted(self.origin)

    @property
    def is_origin_sound(self) -> bool:
        """Whether both words that name the parked batch agree, so that neither is damaged."""
        return self.origin >> 1 == self.taken

    @property
    def process(self) -> Process:
        """The process that owned the frame last; stored before the state that says so."""
        start = self.first + PROCESS
        return Process(*self.words[start : start + 2])

    @process.setter
    def process(self, process: Process) -> None:
        start = self.first + PROCESS
        self.words[start], self.words[start + 1] = process

    def set_process(self, process: memoryview) -> None:
        """Store the words of the process that owns the frame; then the state that says so."""
        first = self.first
        self.words[first + PROCESS : first + _PROCESS_END] = process

    @property
    def is_untouched(self) -> bool:
        """Whether it holds actions straight from a producer, none of which may have arrived.

        Only such frames are joined.
        """
        return _is_untouched(self.words[self.first : self.first + OPENING].tolist())

    @property
    def length_if_fresh(self) -> int:
        """Its length, if it holds actions straight from a producer and nothing else was done to it.

        Else 0.
        """
        first = self.first
        rest = self.words[first + _KIND : first + OPENING].tobytes()
        return self.words[first + _LENGTH] if rest == _FRESH else 0

    def aim_at_all(self, length: int, now: int) -> None:
        """Begin a batch of all content of a fresh frame, and say that a request carries it.

        Args:
            length: Where the content ends.
            now: The time (ns).
        """
        words, first = self.words, self.first
        words[first + _SINCE] = now
        words[first + _BATCH_END] = length
        words[first + _SENT] = 1

    def advance(self, through: int, rejected: int = 0, failed: int = 0) -> None:
        """Set what is done with, in a single store.

        Args:
            through: Bytes that are finished.
            rejected: More records that were rejected.
            failed: More records that failed permanently.
        """
        at = self.first + _PROGRESS
        counts = self.words[at] & _COUNTS_MASK
        self.words[at] = through << _THROUGH_SHIFT | counts + (rejected << _COUNT_BITS) + failed

    @property
    def is_untouched_filling(self) -> bool:
        """Whether no word is set that a frame gets when it is sealed, or later."""
        first, kind = self.first, Account.kind.offset
        words = self.words[first + _COUNT : first + OPENING].tolist()
        for offset in (kind, Account.taken.offset, Account.origin.offset):
            words[offset - _COUNT] = 0
        return not any(words) and self.kind in (ACTIONS, IDENTITY)

    def open(self, kind: int, process: memoryview, taken: int = 0, *, adopted: bool = False) -> int:
        """Begin a new filling. The caller then stores the state FILLING.

        Args:
            kind: ACTIONS or IDENTITY; needed to complete the frame of a dead producer.
            process: The words of the process that owns it.
            taken: Id of the parked batch that it is filled from; 0 for none.
            adopted: Whether another client had parked that batch.

        Returns:
            The generation.
        """
        # Called for each frame on the path of an event, so words are stored by their numbers.
        words, first = self.words, self.first
        generation: int = words[first] + 1
        words[first] = generation
        opening, closing = first + OPENING, first + CLOSING
        words[opening : opening + TOTALS] = words[closing : closing + TOTALS]
        words[first + _COUNT : opening] = _ZEROS
        words[first + PROCESS : first + _PROCESS_END] = process
        if kind != ACTIONS:
            self.kind = kind
        if taken:
            self.taken, self.origin = taken, taken << 1 | adopted
        return generation

    def seal(self, count: int, length: int) -> None:
        """Store what the frame holds: `count` records of `length` bytes."""
        words, first = self.words, self.first
        words[first + _COUNT] = count
        words[first + _LENGTH] = length

    def reopen(self, kind: int) -> None:
        """Forget all about its content, except that it is there. For a damaged frame."""
        first = self.first
        self.words[first + _COUNT : first + OPENING] = _ZEROS
        self.kind = kind

    def restart_times(self, now: int) -> None:
        """Let its age and that of its batch begin now, and its delay be over: the clock has ended.

        Args:
            now: The time (ns) by the clock that replaces it.
        """
        self.opened = self.postponed = self.due = self.not_before = now
        if self.since:  # else no attempt was made
            self.since = now

    def close(self, parked: int, evicted: Evicted) -> None:
        """Write the closing totals. The caller then stores the state SETTLED.

        Args:
            parked: Records that were parked; 0 when all content is finished.
            evicted: Records that were discarded to make room for those; they count as failed.
        """
        count = self.count
        _, rejected, failed = self.progress
        # A batch that this client has parked was counted as accepted, and is parked no longer.
        returned = count if self.taken and not self.adopted else 0
        # Totals of a leader are negative, modulo 2**64, where what was joined to it has failed:
        # each follower counts its own records as delivered.
        self._close(
            count - returned + evicted.adopted,
            count - rejected - failed - parked,
            rejected,
            failed + evicted.own + evicted.adopted,
            parked - returned - evicted.own,
        )

    def close_delivered(self, length: int) -> None:
        """Record that all content was delivered, and write the closing totals; see `close`.

        For a frame that a producer filled, and that was fresh before one request carried it.

        Args:
            length: Where the content ends.
        """
        self.words[self.first + _PROGRESS] = length << _THROUGH_SHIFT
        self.close_joined()

    def close_joined(self) -> None:
        """Write the closing totals of a frame all of whose records were delivered; see `close`.

        For a JOINED frame, whose leader carried them. It was not parked, as every one that is
        joined.
        """
        words, first = self.words, self.first
        count, opening, closing = words[first + _COUNT], first + OPENING, first + CLOSING
        words[closing : closing + TOTALS] = words[opening : opening + TOTALS]
        words[closing] = words[closing] + count & WORD_MASK
        words[closing + 1] = words[closing + 1] + count & WORD_MASK

    def opening(self) -> list[int]:
        """Return the five totals when the frame was last claimed."""
        return self._totals(OPENING)

    def closing(self) -> list[int]:
        """Return the five totals when the frame was last settled."""
        return self._totals(CLOSING)

    def set_totals(self, opening: list[int], closing: list[int]) -> None:
        """Store both groups of totals. For a frame that no other process uses.

        Args:
            opening: The five totals when the frame was last claimed.
            closing: The five totals when it was last settled.
        """
        for offset, totals in ((OPENING, opening), (CLOSING, closing)):
            for total, amount in enumerate(totals):
                self.words[self.first + offset + total] = amount & WORD_MASK

    def add_lost(self, records: int) -> None:
        """Count records that damage has made unreadable: as accepted, and as failed.

        For a frame that no other process uses.
        """
        if records:
            totals = self.opening(), self.closing()
            for each in totals:
                each[ACCEPTED] += records
                each[FAILED] += records
            self.set_totals(*totals)

    def due_at(self, now: int, *, early: bool = False) -> int:
        """Return when the batch of a WAITING frame may be tried again.

        That is at once when it seems to have been postponed in the future: its times are damaged,
        or were written by a release that used the wall clock.

        Args:
            now: The time (ns).
            early: Return the earliest time that the platform allows, not the planned one.

        Returns:
            The time (ns).
        """
        if self.postponed > now:
            return now
        return self.not_before if early else self.due

    def _close(
        self, accepted: int, delivered: int, rejected: int, failed: int, parked: int
    ) -> None:
        words, opening, closing = self.words, self.first + OPENING, self.first + CLOSING
        before: list[int] = words[opening : opening + TOTALS].tolist()
        words[closing] = before[0] + accepted & WORD_MASK
        words[closing + 1] = before[1] + delivered & WORD_MASK
        words[closing + 2] = before[2] + rejected & WORD_MASK
        words[closing + 3] = before[3] + failed & WORD_MASK
        words[closing + 4] = before[4] + parked & WORD_MASK

    def _totals(self, offset: int) -> list[int]:
        start = self.first + offset
        totals: list[int] = self.words[start : start + TOTALS].tolist()
        return totals
