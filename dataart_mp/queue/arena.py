"""The arena: one shared mapping that holds the frames, their states and their accounts.

    0            header    magic, layout version, arena id, sizes; see `header`; flags
    4096         counters  ROW_COUNT rows of 8 words, one row a thread; see `counters`
                 notes     NOTE_COUNT notes of 2 words; see `outcomes`
                 states    one byte a frame
                 accounts  32 words a frame, or 64 with durability; see `account`
                 frames    `frames` times `stride` bytes, each frame begins on a page

A word is an unsigned 64-bit integer in native byte order, aligned, so storing one is a single
store, and so is storing a state. Whatever must change together depends on one such store, because
the process that writes may die between any two of them.
"""

import mmap
import os
import sys
import uuid
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dataart_mp import clock
from dataart_mp.errors import DescriptorsClosedError
from dataart_mp.queue import lock_file, process
from dataart_mp.queue.account import WORD_BYTES, WORD_MASK, Account
from dataart_mp.queue.anonymous_file import anonymous_file
from dataart_mp.queue.descriptor import Descriptor
from dataart_mp.queue.durability import BATCH, INTERVAL, NONE
from dataart_mp.queue.header import CHECKED, PLAIN, Header
from dataart_mp.queue.locks import PLACES, RecordLocks
from dataart_mp.queue.process import World
from dataart_mp.queue.syncer import Syncer

if TYPE_CHECKING:
    from pathlib import Path

    from dataart_mp.queue.status import WorkerRow

FREE: Final = 0  # a new arena is all zeros, so it is all free
FILLING: Final = 1
READY: Final = 2
SENDING: Final = 3
WAITING: Final = 4
SETTLED: Final = 5
JOINED: Final = 6

_STATE_BYTES: Final = tuple(state.to_bytes() for state in range(JOINED + 1))

ROW_WORDS: Final = 8
ROW_COUNT: Final = 2048

NOTE_WORDS: Final = 2
NOTE_COUNT: Final = 8192
_COUNTING_WORDS: Final = ROW_COUNT * ROW_WORDS + NOTE_COUNT * NOTE_WORDS

_WORLD_WORD: Final = 8  # three words
_CLOSED_WORD: Final = 16  # word numbers in the first page, behind the header
_WANTED_WORD: Final = 17
_REPORTS_WORD: Final = 18
_TROUBLE_WORD: Final = 19
_LOT_WORD: Final = 20
_DURABILITY_WORD: Final = 24
_SYNCED_AT_WORD: Final = 25
_NOTE_HEAD_WORD: Final = 56
_NOTES_LOST_WORD: Final = 57
FLOW_WORD: Final = 64
FLOW_WORDS: Final = 64
"""Words for the state of the flow of requests, which are floating-point numbers."""
_PAGE: Final = max(4096, mmap.PAGESIZE)


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


_lost_mappings: Final[list[mmap.mmap]] = []


def stride_of(capacity: int) -> int:
    """Return the bytes from one frame to the next when each holds `capacity` bytes of content."""
    return _pages(capacity + 1)  # at least one NUL follows the content


class Arena:
    """The mapping and where things lie in it. Knows bytes, and nothing of who may write them.

    Args:
        fd: Descriptor of the memory that holds the arena; the arena closes it.
        lock_fd: Descriptor of its lock file, which all processes that use the arena inherit; the
            arena closes it. None makes a new one, for the first process that uses the arena.

    Attributes:
        process: This process, as the owner of frames; NOBODY when the others could not identify it.
        process_words: The same as words.
        syncer: Brings what was stored to the disk.
        can_discard: Whether `discard` works: on Linux, in memory that has no name in a file system.
        flow: Words that workers share, as floating-point numbers; zeros in a new arena.
        path: A label that the spool sets; the arena does not use it. None when the memory has no
            path.
    """

    def __init__(self, fd: int, lock_fd: int | None = None) -> None:
        self._file = Descriptor(fd)
        self.path: Path | None = None
        header = Header.read(fd)
        self.frames, self.capacity, self.stride = header.frames, header.capacity, header.stride
        self.id = uuid.UUID(bytes=header.identity).hex
        self._place(header)
        self.memory = mmap.mmap(fd, self._frames + self.frames * self.stride)
        self.words = memoryview(self.memory)[: self._frames].cast("Q")
        flow = slice(FLOW_WORD * WORD_BYTES, (FLOW_WORD + FLOW_WORDS) * WORD_BYTES)
        self.flow = memoryview(self.memory)[flow].cast("d")
        self._accounts: dict[int, Account] = {}  # of the frames that this process has looked at
        try:
            self._lock_file = Descriptor(lock_file.make() if lock_fd is None else lock_fd)
        except OSError:
            self.flow.release()
            self.words.release()
            self.memory.close()
            raise
        # A file keeps its pages: its room on the disk is reserved.
        self.can_discard = sys.platform == "linux" and not os.fstat(fd).st_nlink
        self.syncer = Syncer(self._file, self.memory)
        self.locks = RecordLocks(self._lock_file)
        self.identify()

    @classmethod
    def create(cls, frames: int, capacity: int, durability: int = NONE) -> "Arena":
        """Make an arena in new memory, which lasts until no process has it mapped.

        Args:
            frames: The number of frames.
            capacity: The bytes of content that one frame can hold. Untouched pages cost no memory.
            durability: What of it a power failure may cost; see `durability`.
        """
        fd = anonymous_file()
        try:
            os.ftruncate(fd, cls.size(frames, capacity, durability))
            return cls.format(fd, frames, capacity, durability)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def format(cls, fd: int, frames: int, capacity: int, durability: int = NONE) -> "Arena":
        """Make an arena in memory that exists.

        Args:
            fd: Descriptor of as many bytes as `size` returns, all zero; the arena closes it.
            frames: As for `create`.
            capacity: As for `create`.
            durability: As for `create`.
        """
        layout = CHECKED if durability else PLAIN
        Header(uuid.uuid4().bytes, frames, capacity, stride_of(capacity), layout).write(fd)
        arena = cls(fd)
        arena.words[_DURABILITY_WORD] = durability
        arena.settle_in()
        return arena

    @classmethod
    def size(cls, frames: int, capacity: int, durability: int = NONE) -> int:
        """Return the bytes that an arena takes."""
        layout = CHECKED if durability else PLAIN
        return cls.size_of(Header(b"", frames, capacity, stride_of(capacity), layout))

    @classmethod
    def size_of(cls, header: Header) -> int:
        """Return the bytes that the arena with this header takes."""
        return cls._frames_offset(header) + header.frames * header.stride

    @staticmethod
    def _frames_offset(header: Header) -> int:
        counters = _COUNTING_WORDS * WORD_BYTES
        accounts = header.frames * header.account_words * WORD_BYTES
        return _PAGE + counters + _pages(header.frames) + _pages(accounts)

    def _place(self, header: Header) -> None:
        self._counters_word = _PAGE // WORD_BYTES
        self._states = _PAGE + _COUNTING_WORDS * WORD_BYTES
        self._states_end = self._states + header.frames
        self._accounts_word = (self._states + _pages(header.frames)) // WORD_BYTES
        self._account_words = header.account_words
        self._is_checked = header.layout == CHECKED
        self._frames = self._frames_offset(header)

    # Processes

    @property
    def fd(self) -> int:
        """Descriptor of the memory; -1 when the arena is closed."""
        return self._file.number

    @property
    def lock_fd(self) -> int:
        """Descriptor of the lock file; -1 when the arena is closed."""
        return self._lock_file.number

    @property
    def world(self) -> World:
        """Where the process ids in the accounts have a meaning."""
        high, low, namespace = self.words[_WORLD_WORD : _WORLD_WORD + 3].tolist()
        return World(high << 64 | low, namespace)

    def settle_in(self) -> None:
        """Give process ids and times in the accounts the meaning that they have for this process.

        For an arena that no other process uses. What the accounts say of owners is forgotten, and
        after another boot (or if that cannot be excluded) what they say of times, too. What was
        known of the flow of requests is forgotten.
        """
        boot, namespace = process.world()
        is_same_boot = bool(boot) and boot == self.world.boot
        now = clock.now()
        words = array("Q", [boot >> 64, boot & WORD_MASK, namespace])
        self.words[_WORLD_WORD : _WORLD_WORD + 3] = memoryview(words)
        self.words[FLOW_WORD : FLOW_WORD + FLOW_WORDS] = memoryview(array("Q", [0] * FLOW_WORDS))
        for frame in range(self.frames):
            if self.generation(frame):
                self.account(frame).process = process.NOBODY
            if not is_same_boot and self.state(frame) == FILLING:
                self.account(frame).opened = now
            elif not is_same_boot and self.state(frame) in (READY, SENDING, WAITING):
                self.account(frame).restart_times(now)
        self.identify()

    def identify(self) -> None:
        """Find out which process this is; after a fork, another one."""
        here = process.world()
        self.process = process.current() if here.is_known and here == self.world else process.NOBODY
        self.process_words = memoryview(array("Q", self.process))

    def _disown(self) -> None:
        """Say of the frames that this process owns that it does so no longer, though it lives."""
        for byte in self.locks.held():
            if byte < self.frames:
                self.account(byte).process = process.NOBODY

    def is_owner_alive(self, frame: int) -> bool:
        """Return whether another process that owned a frame last is alive, whatever locks it has.

        False also when this process cannot know: it is of another boot, or of another namespace.
        """
        owner = self.account(frame).process
        can_judge = self.process not in (process.NOBODY, owner)
        return can_judge and process.is_alive(owner)

    def is_worker_alive(self, row: "WorkerRow") -> bool:
        """Return whether a process has the place of a worker.

        Args:
            row: What the worker in that place has said of itself last.
        """
        try:
            return self.locks.owner(PLACES + row.place) is not None
        except DescriptorsClosedError:
            return row.is_recent(clock.now())

    # Frames

    def state(self, frame: int) -> int:
        """Return the state of a frame."""
        return self.memory[self._states + frame]

    def state_at(self, frame: int) -> int:
        """Return where a frame's state is in `memory`."""
        return self._states + frame

    def set_state(self, frame: int, state: int) -> None:
        """Store a frame's state: the one step that decides what its account means."""
        self.memory[self._states + frame] = state

    def states_in_use(self) -> bytes:
        """Return the state of each frame, up to the last one that is not free."""
        return self.memory[self._states : self._states_end].rstrip(_STATE_BYTES[FREE])

    def find(self, state: int, start: int = 0) -> int:
        """Return the lowest frame from `start` on that is in `state`; -1 when there is none."""
        at = self.memory.find(_STATE_BYTES[state], self._states + start, self._states_end)
        return at if at < 0 else at - self._states

    def each_in(self, state: int) -> Iterator[int]:
        """Yield the frames in `state`, lowest first; each is looked up when it is asked for."""
        frame = self.find(state)
        while frame >= 0:
            yield frame
            frame = self.find(state, frame + 1)

    def all_in(self, state: int) -> list[int]:
        """Return all frames in `state`, lowest first."""
        return list(self.each_in(state))

    def all_free(self) -> bool:
        """Return whether no frame holds, or is about to hold, anything."""
        return not self.states().strip(FREE.to_bytes())

    def states(self, frames: range | None = None) -> bytes:
        """Return the states of all frames, one byte for each, or of those in a range."""
        wanted = range(self.frames) if frames is None else frames
        return self.memory[self._states + wanted.start : self._states + wanted.stop]

    def free(self) -> int:
        """Return how many frames are free."""
        return self.states().count(FREE)

    def account(self, frame: int) -> Account:
        """Return a view of a frame's account."""
        account = self._accounts.get(frame)
        if account is None:
            account = Account(self.words, self._accounts_word + frame * self._account_words)
            self._accounts[frame] = account
        return account

    def account_at(self, frame: int) -> int:
        """Return where a frame's account begins in `words`."""
        return self._accounts_word + frame * self._account_words

    def generation(self, frame: int) -> int:
        """Return how often a producer has claimed the frame."""
        first = self._accounts_word + frame * self._account_words
        return self.words[first + Account.generation.offset]

    def generations(self, frames: range | None = None) -> list[int]:
        """Return the generations of all frames, or of those in a range."""
        wanted = range(self.frames) if frames is None else frames
        return self.column(Account.generation.offset, wanted)

    def counts(self, frames: range) -> list[int]:
        """Return how many records the frames in a range were sealed with."""
        return self.column(Account.count.offset, frames)

    def column(self, offset: int, frames: range) -> list[int]:
        """Return one word of the account of each frame in a range, each by a single load.

        Args:
            offset: The place of the word in an account.
            frames: The numbers of the frames, without gaps.
        """
        first, size = self._accounts_word + offset, self._account_words
        return self.words[first + frames.start * size : first + frames.stop * size : size].tolist()

    def base(self, frame: int) -> int:
        """Return where a frame's content begins in `memory`."""
        return self._frames + frame * self.stride

    def content(self, frame: int, start: int, end: int) -> bytes:
        """Return a copy of a part of a frame's content."""
        base = self._frames + frame * self.stride
        return self.memory[base + start : base + end]

    def write(self, frame: int, start: int, content: bytes) -> None:
        """Copy bytes into a frame."""
        at = self.base(frame) + start
        self.memory[at : at + len(content)] = content

    def wipe(self, frame: int, start: int, end: int) -> None:
        """Fill a part of a frame with zeros."""
        base = self._frames + frame * self.stride
        self.memory[base + start : base + end] = bytes(end - start)

    def give_back(self, frame: int, end: int) -> None:
        """Fill the beginning of a frame with zeros, by giving its memory back to the system.

        For frames that have held more than they usually do. Only the first page is kept.
        """
        page = mmap.PAGESIZE
        if self.can_discard and end > page:
            self.discard(frame, page, end)
            end = page
        self.wipe(frame, 0, end)

    def discard(self, frame: int, start: int, end: int) -> None:
        """Fill a part of a frame with zeros, by giving its memory back, if it `can_discard`.

        Args:
            frame: The frame.
            start: Where the part begins, at a page.
            end: Where it ends, in bytes.
        """
        self.memory.madvise(mmap.MADV_REMOVE, self.base(frame) + start, end - start)

    def avoid_read_ahead(self) -> None:
        """Have the first store to a page of a file prepare that page only.

        Otherwise Linux reads ahead, in units that grow to several megabytes, though there is
        nothing to read. One such store takes up to 10 ms, and a producer makes it. Of memory
        without a name in a file system, nothing is read ahead.
        """
        if not self.can_discard:
            self.memory.madvise(mmap.MADV_RANDOM)

    # Flags that all processes share

    @property
    def closed(self) -> bool:
        """Whether the client is closed for new records, in all processes."""
        return bool(self.words[_CLOSED_WORD])

    def close_permanently(self) -> None:
        """Refuse new records from now on, from any process."""
        self.words[_CLOSED_WORD] = 1

    @property
    def wanted_until(self) -> int:
        """Until when some process waits for frames to be settled (monotonic, ns)."""
        return self.words[_WANTED_WORD]

    @wanted_until.setter
    def wanted_until(self, moment: int) -> None:
        self.words[_WANTED_WORD] = moment

    @property
    def reports_records(self) -> bool:
        """Whether reports of failures hold the records: the client has an `on_failure`."""
        return bool(self.words[_REPORTS_WORD])

    @reports_records.setter
    def reports_records(self, wanted: bool) -> None:
        self.words[_REPORTS_WORD] = wanted

    @property
    def spool_trouble(self) -> int:
        """What was reported to be wrong with the spool, as bits; 0 when it can be used."""
        return self.words[_TROUBLE_WORD]

    @spool_trouble.setter
    def spool_trouble(self, trouble: int) -> None:
        self.words[_TROUBLE_WORD] = trouble

    @property
    def lot_file(self) -> int:
        """The file of parked batches that the balance agrees with; 0 when nothing was parked."""
        return self.words[_LOT_WORD]

    @lot_file.setter
    def lot_file(self, identity: int) -> None:
        self.words[_LOT_WORD] = identity

    @property
    def durability(self) -> int:
        """What a power failure may cost; see `durability`. The header says whether it is NONE."""
        if not self._is_checked:
            return NONE
        return BATCH if self.words[_DURABILITY_WORD] == BATCH else INTERVAL

    @property
    def synced_at(self) -> int:
        """When some process began to bring to the disk what was appended (monotonic, ns)."""
        return self.words[_SYNCED_AT_WORD]

    @synced_at.setter
    def synced_at(self, moment: int) -> None:
        self.words[_SYNCED_AT_WORD] = moment

    def row(self, number: int) -> int:
        """Return the number of the first word of a row of counters."""
        return self._counters_word + number * ROW_WORDS

    @property
    def note_head(self) -> int:
        """How many notes were ever written."""
        return self.words[_NOTE_HEAD_WORD]

    @note_head.setter
    def note_head(self, number: int) -> None:
        self.words[_NOTE_HEAD_WORD] = number

    @property
    def notes_lost(self) -> int:
        """Changes when a note could not be written."""
        return self.words[_NOTES_LOST_WORD]

    @notes_lost.setter
    def notes_lost(self, number: int) -> None:
        self.words[_NOTES_LOST_WORD] = number & WORD_MASK

    def note_at(self, number: int) -> int:
        """Return the number of the first word of a note."""
        first = self._counters_word + ROW_COUNT * ROW_WORDS
        return first + number % NOTE_COUNT * NOTE_WORDS

    def close(self) -> None:
        """Unmap the memory and close its descriptors, which drops all locks of this process."""
        if self.fd >= 0:
            self._disown()
        self.flow.release()
        self.words.release()
        if self._file.is_intact():
            self.memory.close()
        elif self.fd >= 0:
            # The mapping has a duplicate of the descriptor, which belongs to another file now, too.
            _lost_mappings.append(self.memory)
        self.locks.close()
        self._file.close()
