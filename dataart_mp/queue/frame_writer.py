"""A frame writer: the open frame of a producer.

    FREE ──open──► FILLING ──append──► FILLING ──seal──► READY

What `append` has copied outlives the process. It stores no count and no length: records are JSON
Lines, which hold neither a raw newline nor a NUL, and a free frame is all zeros. So the content of
a dead producer's frame is known from its bytes alone, and a record that the death has torn is found
and removed.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from dataart_mp import clock, native
from dataart_mp.queue import checksum
from dataart_mp.queue.arena import FILLING, FREE, READY, Arena
from dataart_mp.queue.durability import BATCH

Claim = tuple[int, int]
"""A frame and its generation: the name of one filling of a frame."""

Origin = tuple[int, bool]
"""The parked batch that a frame is filled from: its id, and whether another client parked it."""

_NO_ORIGIN: Final = (0, False)
_NEWLINE: Final = b"\n"
_NUL: Final = b"\0"


class Taken(NamedTuple):
    """How many of some records a frame took.

    Attributes:
        records: How many; they are the first ones.
        size: Their size in bytes.
        room: How many more records fill the frame; 0 when it is full.
    """

    records: int
    size: int
    room: int


if TYPE_CHECKING or not native.compiled:

    class _Fields:
        __slots__ = ("_arena", "_records", "_start", "claim", "due", "limit", "position", "room")

else:
    _Fields = native.hot_path.FrameWriterFields


class FrameWriter(_Fields):
    """One open frame of this process. The thread that took it from the queue's pool owns it alone.

    Attributes:
        claim: The frame, and its generation.
        position: Where the next record goes, as an offset into the arena's memory.
        limit: The offset behind the last byte of content that fits.
        room: How many more records fill the frame.
        due: When its oldest record has waited long enough (monotonic, seconds).
    """

    __slots__ = ("__weakref__",)

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
        """Claim the lowest free frame, so that few pages are ever touched.

        Args:
            arena: The arena to claim it in.
            kind: ACTIONS or IDENTITY.
            records: How many records fill the frame.
            due: When its oldest record has waited long enough (monotonic, seconds).
            origin: The parked batch that it is filled from; None when a producer fills it.

        Returns:
            The writer; None when no frame is free.
        """
        frame = arena.find(FREE)
        if frame < 0:  # with a full buffer, this is called for each event
            return None
        writer = cls(arena, records, due)
        while frame >= 0:
            if arena.locks.acquire(frame, writer):
                if arena.state(frame) == FREE:
                    writer._begin(frame, kind, origin or _NO_ORIGIN)
                    return writer
                arena.locks.release(frame)
            frame = arena.find(FREE, frame + 1)
        return None

    def _begin(self, frame: int, kind: int, origin: Origin) -> None:
        arena = self._arena
        taken, adopted = origin
        account = arena.account(frame)
        generation = account.open(kind, arena.process_words, taken, adopted=adopted)
        account.opened = clock.now()
        arena.set_state(frame, FILLING)
        self.claim = (frame, generation)
        self.position = self._start = arena.base(frame)
        self.limit = self.position + arena.capacity

    @property
    def written(self) -> int:
        """How many records the frame holds."""
        return self._records - self.room

    def fill(self, content: bytes) -> None:
        """Copy all records that it was opened for at once."""
        end = self.position + len(content)
        self._arena.memory[self.position : end] = content
        self.position, self.room = end, 0

    def fitting(self, lines: memoryview, count: int) -> tuple[int, int]:
        """Return how many of `count` records fit, and their size in bytes."""
        space = self.limit - self.position
        if count <= self.room and len(lines) <= space:
            return count, len(lines)
        content = bytes(lines[:space])
        size = content.rfind(_NEWLINE) + 1
        records = content.count(_NEWLINE, 0, size)
        if records <= self.room:
            return records, size
        rest = content.split(_NEWLINE, self.room)[-1]
        return self.room, len(content) - len(rest)

    def seal(self) -> bool:
        """Hand the frame to the workers; False when it is empty and is free again."""
        count = self.written
        frame = self.claim[0]
        self._arena.account(frame).seal(count, self.position - self._start)
        return _release(self._arena, frame, count)


def filled(arena: Arena, frame: int) -> tuple[int, int, int]:
    """Return what a frame in FILLING holds, from its content alone.

    Returns:
        The number of whole records, their size in bytes, and the number of bytes ever written,
        which is larger when a death tore the last record.
    """
    content = arena.content(frame, 0, arena.capacity + 1)
    first_hole = content.find(_NUL)
    length = content.rfind(_NEWLINE, 0, first_hole) + 1
    return content.count(_NEWLINE, 0, length), length, len(content.rstrip(_NUL))


def count_filled(arena: Arena, frame: int) -> int:
    """Return how many whole records a frame in FILLING holds; see `filled`, which takes longer."""
    start = arena.base(frame)
    end = start + arena.capacity
    first_hole = arena.memory.find(_NUL, start, end)
    return arena.memory[start : end if first_hole < 0 else first_hole].count(_NEWLINE)


def salvage(arena: Arena, frame: int) -> bool:
    """Seal a frame whose producer died, or lost it to an exception, in the middle of a record.

    The caller owns the frame.

    Returns:
        Whether it is READY; else it held no whole record and is free again.
    """
    account = arena.account(frame)
    if account.taken:  # the batch that it was filled from is still parked
        arena.wipe(frame, 0, arena.capacity)
        count, length = 0, 0
    else:
        count, length, written = filled(arena, frame)
        arena.wipe(frame, length, written)  # a record without its end was never accepted
        if arena.durability:
            checksum.store(account, arena.content(frame, 0, length))
        if arena.durability == BATCH:
            arena.syncer.sync()
    account.seal(count, length)
    return _release(arena, frame, count)


def _release(arena: Arena, frame: int, count: int) -> bool:
    arena.set_state(frame, READY if count else FREE)
    arena.locks.release(frame)
    return count > 0
