"""A writer: the frame that a producer is filling.

    FREE ──open──► FILLING ──append──► FILLING ──seal──► READY

What `append` copied outlives the process. It writes no count and no length: records are JSON lines,
which hold neither a raw newline nor a NUL, and a free frame is all zeros. So what a dead producer
left behind can be told from its content alone, a record that was torn by the death included.
"""

import bisect
import itertools
from typing import Final, NamedTuple

from dataart_mp.queue.arena import (
    ADOPTED,
    CLOSING,
    COLUMNS,
    COUNT,
    FILLING,
    FREE,
    GENERATION,
    KIND,
    LENGTH,
    OPENING,
    READY,
    TAKEN,
    WORD,
    Arena,
)

Claim = tuple[int, int]
"""A frame and its generation: what names one filling of a frame, and no other, for ever."""

Origin = tuple[int, bool]
"""The parked batch that a frame is filled from: its id, and whether another client parked it."""

_NOTHING: Final = memoryview(bytes((OPENING - COUNT) * WORD)).cast("Q")
_NEWLINE: Final = b"\n"
_NUL: Final = b"\0"


class Taken(NamedTuple):
    """How much of some records a frame took.

    Attributes:
        records: how many; they are the first ones.
        size: how many bytes these are.
        room: how many more make the frame a full request; 0: it is one.
    """

    records: int
    size: int
    room: int


class FrameWriter:
    """One open frame of this process. Whoever took it from the queue's pool owns it alone.

    Attributes:
        claim: the frame, and its generation.
        position: where the next record goes, as an offset into the arena's memory.
        limit: the offset behind the last byte of content that fits.
        room: how many more records make the frame a full request.
        due: when (monotonic, seconds) its oldest record has waited long enough.
    """

    __slots__ = ("__weakref__", "_arena", "_records", "claim", "due", "limit", "position", "room")

    claim: Claim
    position: int
    limit: int

    def __init__(self, arena: Arena, records: int, due: float) -> None:
        self._arena = arena
        self._records = self.room = records
        self.due = due

    @classmethod
    def open(
        cls, arena: Arena, kind: int, records: int, due: float, origin: Origin | None = None
    ) -> "FrameWriter | None":
        """Claim the lowest free frame, so that few pages are ever touched; None when none is."""
        frame = arena.find(FREE)
        if frame < 0:  # a full buffer asks for each event
            return None
        writer = cls(arena, records, due)
        while frame >= 0:
            if arena.locks.acquire(frame, writer):
                if arena.state(frame) == FREE:
                    _open_account(arena, frame, kind, origin)
                    writer._begin(frame)
                    return writer
                arena.locks.release(frame)
            frame = arena.find(FREE, frame + 1)
        return None

    def _begin(self, frame: int) -> None:
        self.claim = (frame, self._arena.generation(frame))
        self.position = self._arena.base(frame)
        self.limit = self.position + self._arena.capacity

    def fill(self, content: bytes) -> None:
        """Copy all records that it was opened for, at once."""
        end = self.position + len(content)
        self._arena.memory[self.position : end] = content
        self.position, self.room = end, 0

    def fitting(self, lines: memoryview, count: int) -> tuple[int, int]:
        """How many of `count` records fit in, and how many bytes these are."""
        space = self.limit - self.position
        if count <= self.room and len(lines) <= space:
            return count, len(lines)
        records = bytes(lines).split(_NEWLINE, min(count, self.room))[: self.room]
        ends = [*itertools.accumulate(len(record) + 1 for record in records if record)]
        fitting = bisect.bisect_right(ends, space)
        return fitting, ends[fitting - 1] if fitting else 0

    def seal(self) -> bool:
        """Hand the frame to the workers; False when it is empty and became free again."""
        frame, _ = self.claim
        length = self.position - self._arena.base(frame)
        return _hand_over(self._arena, frame, self._records - self.room, length)


def filled(arena: Arena, frame: int) -> tuple[int, int, int]:
    """What a frame in FILLING holds, by its content alone.

    Returns:
        The number of whole records, the bytes they take, and the bytes ever written: more than
        that when a death tore the last record.
    """
    content = arena.content(frame, 0, arena.capacity + 1)
    first_hole = content.find(_NUL)
    length = content.rfind(_NEWLINE, 0, first_hole) + 1
    return content.count(_NEWLINE, 0, length), length, len(content.rstrip(_NUL))


def salvage(arena: Arena, frame: int) -> bool:
    """Seal a frame whose producer died, or lost it to an exception, in the middle of a record.

    The caller owns the frame. Returns False when nothing whole was in it.
    """
    if arena.words[arena.account(frame) + TAKEN]:  # what it was filled from is still parked
        arena.wipe(frame, 0, arena.capacity)
        return _hand_over(arena, frame, 0, 0)
    count, length, written = filled(arena, frame)
    arena.wipe(frame, length, written)  # a record without its end was never accepted
    return _hand_over(arena, frame, count, length)


def _open_account(arena: Arena, frame: int, kind: int, origin: Origin | None) -> None:
    words, account = arena.words, arena.account(frame)
    words[account + GENERATION] += 1
    opening, closing = account + OPENING, account + CLOSING
    words[opening : opening + COLUMNS] = words[closing : closing + COLUMNS]
    words[account + COUNT : opening] = _NOTHING
    words[account + KIND] = kind  # whoever salvages the frame must know it
    if origin is not None:
        words[account + TAKEN], words[account + ADOPTED] = origin
    arena.set_state(frame, FILLING)


def _hand_over(arena: Arena, frame: int, count: int, length: int) -> bool:
    words, account = arena.words, arena.account(frame)
    words[account + COUNT] = count
    words[account + LENGTH] = length
    arena.set_state(frame, READY if count else FREE)
    arena.locks.release(frame)
    return count > 0
