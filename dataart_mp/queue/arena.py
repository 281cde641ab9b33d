"""The arena: one shared mapping that holds the frames, their states and their accounts.

    0            header    magic, layout version, arena id, the sizes below, flags
    4096         counters    ROW_COUNT rows of 8 words: the counters of one thread each
                 states    one byte a frame
                 accounts  32 words a frame: what is in it, and what became of all it ever held
                 frames    `frames` times `stride` bytes, each starting on a page

A word is an unsigned 64-bit integer in native order, aligned: storing one is a single store, and
so is storing a state. Whatever must change together hangs on one such store, because the process
that writes may die between any two of them.

    word of an account   valid while          meaning
    GENERATION           always               times the frame was claimed by a producer
    COUNT, LENGTH, KIND  READY .. SETTLED     records, bytes of content, ACTIONS or IDENTITY (COUNT
                                              without, LENGTH with what was joined to it)
    PROGRESS, BATCH_END  READY .. WAITING     what of the frame is through; end of the batch at hand
    ATTEMPTS, SENT       a batch is at hand   its failed tries so far; whether any request was its
    SINCE                a batch is at hand   when its first try began
    DUE, NOT_BEFORE      READY .. WAITING     when to try again; before that the platform wants none
    POSTPONED            READY .. WAITING     when these two were said
    TAKEN, ADOPTED       FILLING .. SETTLED   the parked batch it was taken from; whether of another
    PARKING              READY .. SETTLED     whether the rest may have been parked
    JOINING              READY .. SETTLED     the frame, plus 1, whose content is being joined to it
    JOINED_LENGTH        JOINING is set       LENGTH, when that is done
    FOLLOWERS            READY .. SETTLED     how many frames were joined to it, at most
    LEADER, its .._GENER JOINED               the frame that holds its content, too, and sends it
    OPENING + column     FILLING .. WAITING   totals of the frame's life when it was claimed
    CLOSING + column     FREE and SETTLED     totals of the frame's life when it was last settled

Moments are nanoseconds of the epoch. The totals exist twice so that one store, that of the state
SETTLED, moves a frame's records from "pending" to "delivered": a death before it leaves the old
account in force, a death after it the new one. What one frame has parked another one takes, so the
column PARKED of a single frame may be less than zero, modulo 2**64; the sum over all is not.
"""

import mmap
import os
import struct
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dataart_mp.queue.anonymous_file import anonymous_file
from dataart_mp.queue.locks import RecordLocks

if TYPE_CHECKING:
    from pathlib import Path

FREE: Final = 0  # a new arena is all zeros, so it is all free
FILLING: Final = 1
READY: Final = 2
SENDING: Final = 3
WAITING: Final = 4
SETTLED: Final = 5
JOINED: Final = 6

ACTIONS: Final = 0
IDENTITY: Final = 1

WORD: Final = 8
GENERATION, COUNT, LENGTH, KIND, PROGRESS, BATCH_END = range(6)
ATTEMPTS, SENT, SINCE, DUE, NOT_BEFORE = range(6, 11)
TAKEN, ADOPTED, PARKING = range(11, 14)
JOINING, FOLLOWERS = 14, 15
OPENING: Final = 16
JOINED_LENGTH, LEADER, LEADER_GENERATION = 21, 22, 23
CLOSING: Final = 24
POSTPONED: Final = 29
ACCOUNT_WORDS: Final = 32
ACCEPTED, DELIVERED, REJECTED, FAILED, PARKED = range(5)  # columns of OPENING and CLOSING
COLUMNS: Final = 5
WORD_MASK: Final = (1 << 64) - 1

ROW_WORDS: Final = 8
ROW_COUNT: Final = 4096

MAGIC: Final = b"DataArtQ"
LAYOUT_VERSION: Final = 1
HEADER: Final = struct.Struct("=8sQ16sQQQ")
"""MAGIC, LAYOUT_VERSION, the arena's id, and the numbers frames, capacity and stride."""
_CLOSED_WORD: Final = 16  # word numbers in the header, beyond the bytes of HEADER
_WANTED_WORD: Final = 17
_REPORTS_WORD: Final = 18
_PAGE: Final = max(4096, mmap.PAGESIZE)


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def stride_of(capacity: int) -> int:
    """Return the bytes from one frame to the next when each holds `capacity` bytes of content."""
    return _pages(capacity + 1)  # at least one NUL follows the content


class Arena:
    """The mapping and where things lie in it. Knows bytes, and nothing of who may write them.

    Args:
        fd: Descriptor of the memory that holds the arena; the arena closes it.

    Attributes:
        path: A label that the spool sets; the arena does not use it. None when the memory has no
            path.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.path: Path | None = None
        header = os.pread(fd, HEADER.size, 0)
        _, _, identity, *sizes = HEADER.unpack(header)
        self.frames: int
        self.capacity: int
        self.stride: int
        self.frames, self.capacity, self.stride = sizes
        self.id = uuid.UUID(bytes=identity).hex
        self._place(self.frames)
        self.memory = mmap.mmap(fd, self._frames + self.frames * self.stride)
        self.words = memoryview(self.memory)[: self._frames].cast("Q")
        self.locks = RecordLocks(fd)

    @classmethod
    def create(cls, frames: int, capacity: int) -> "Arena":
        """Make an arena in new memory, which lasts until no process has it mapped.

        Args:
            frames: The number of frames.
            capacity: The bytes of content that one frame can hold. Untouched pages cost no memory.
        """
        fd = anonymous_file()
        os.ftruncate(fd, cls.size(frames, capacity))
        return cls.format(fd, frames, capacity)

    @classmethod
    def format(cls, fd: int, frames: int, capacity: int) -> "Arena":
        """Make an arena in memory that exists.

        Args:
            fd: Descriptor of `size(frames, capacity)` bytes, all zero; the arena closes it.
            frames: As for `create`.
            capacity: As for `create`.
        """
        identity = uuid.uuid4().bytes
        sizes = frames, capacity, stride_of(capacity)
        os.pwrite(fd, HEADER.pack(MAGIC, LAYOUT_VERSION, identity, *sizes), 0)
        return cls(fd)

    @classmethod
    def size(cls, frames: int, capacity: int) -> int:
        """Return the bytes that an arena takes."""
        return cls._frames_offset(frames) + frames * stride_of(capacity)

    @staticmethod
    def _frames_offset(frames: int) -> int:
        counters = ROW_COUNT * ROW_WORDS * WORD
        return _PAGE + counters + _pages(frames) + _pages(frames * ACCOUNT_WORDS * WORD)

    def _place(self, frames: int) -> None:
        self._counters_word = _PAGE // WORD
        self._states = _PAGE + ROW_COUNT * ROW_WORDS * WORD
        self._states_end = self._states + frames
        self._accounts_word = (self._states + _pages(frames)) // WORD
        self._frames = self._frames_offset(frames)

    # Frames

    def state(self, frame: int) -> int:
        """The state of a frame."""
        return self.memory[self._states + frame]

    def set_state(self, frame: int, state: int) -> None:
        """Store a frame's state: the one step at which its account changes owner."""
        self.memory[self._states + frame] = state

    def find(self, state: int, start: int = 0) -> int:
        """The lowest frame from `start` on that is in `state`; -1 when there is none."""
        at = self.memory.find(state.to_bytes(), self._states + start, self._states_end)
        return at if at < 0 else at - self._states

    def each_in(self, state: int) -> Iterator[int]:
        """The frames in `state`, lowest first, each looked for when it is asked for."""
        frame = self.find(state)
        while frame >= 0:
            yield frame
            frame = self.find(state, frame + 1)

    def all_in(self, state: int) -> list[int]:
        """All frames in `state`, lowest first."""
        return list(self.each_in(state))

    def all_free(self) -> bool:
        """Whether no frame holds, or is about to hold, anything."""
        states = self.memory[self._states : self._states_end]
        return not states.strip(FREE.to_bytes())

    def free(self) -> int:
        """How many frames are free."""
        return self.memory[self._states : self._states_end].count(FREE)

    def account(self, frame: int) -> int:
        """The number of the first word of a frame's account."""
        return self._accounts_word + frame * ACCOUNT_WORDS

    def generation(self, frame: int) -> int:
        """How often a producer has claimed the frame."""
        return self.words[self.account(frame) + GENERATION]

    def base(self, frame: int) -> int:
        """Where a frame's content begins in `memory`."""
        return self._frames + frame * self.stride

    def content(self, frame: int, start: int, end: int) -> bytes:
        """A copy of a part of a frame's content."""
        base = self.base(frame)
        return self.memory[base + start : base + end]

    def wipe(self, frame: int, start: int, end: int) -> None:
        """Fill a part of a frame with zeros again."""
        base = self.base(frame)
        self.memory[base + start : base + end] = bytes(end - start)

    # What all processes know of the whole

    @property
    def closed(self) -> bool:
        """Whether the process that made the arena has closed it for new records."""
        return bool(self.words[_CLOSED_WORD])

    def close_for_good(self) -> None:
        """Take no more records, from any process."""
        self.words[_CLOSED_WORD] = 1

    @property
    def wanted_until(self) -> int:
        """Until when (monotonic, ns) somebody waits for frames to be settled."""
        return self.words[_WANTED_WORD]

    @wanted_until.setter
    def wanted_until(self, moment: int) -> None:
        self.words[_WANTED_WORD] = moment

    @property
    def reports_records(self) -> bool:
        """Whether reports of failures are to hold the records: somebody has an `on_failure`."""
        return bool(self.words[_REPORTS_WORD])

    @reports_records.setter
    def reports_records(self, wanted: bool) -> None:
        self.words[_REPORTS_WORD] = wanted

    def row(self, number: int) -> int:
        """The number of the first word of a row of the counters."""
        return self._counters_word + number * ROW_WORDS

    def close(self) -> None:
        """Unmap the memory and close its descriptor, which drops all locks of this process."""
        self.words.release()
        self.memory.close()
        self.locks.close()
        fd, self.fd = self.fd, -1  # the number may soon be another file's
        if fd >= 0:  # else this is the second call, after an interrupted one
            os.close(fd)
