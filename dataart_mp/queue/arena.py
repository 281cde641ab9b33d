"""The arena: one shared mapping that holds the frames, their states and their accounts.

    0            header    magic, layout version, arena id, the sizes below, flags
    4096         counters    ROW_COUNT rows of 8 words: the counters of one thread each
                 states    one byte a frame
                 accounts  32 words a frame: what is in it, and what became of all it ever held
                 frames    `frames` times `stride` bytes, each starting on a page

A word is an unsigned 64-bit integer in native order, aligned: storing one is a single store, and
so is storing a state. Whatever must change together hangs on one such store, because the process
that writes may die between any two of them.
"""

import mmap
import os
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataart_mp.queue.account import MAX_CAPACITY, WORD_BYTES, WORDS, Account
from dataart_mp.queue.anonymous_file import anonymous_file
from dataart_mp.queue.locks import RecordLocks

FREE: Final = 0  # a new arena is all zeros, so it is all free
FILLING: Final = 1
READY: Final = 2
SENDING: Final = 3
WAITING: Final = 4
SETTLED: Final = 5
JOINED: Final = 6

ROW_WORDS: Final = 8
ROW_COUNT: Final = 4096

_MAGIC: Final = b"DataArtQ"
_VERSION: Final = 1
_HEADER: Final = struct.Struct("=8sQ16sQQQ")  # magic, version, id, frames, capacity, stride
_CLOSED_WORD: Final = 16  # word numbers in the header, clear of what _HEADER holds
_WANTED_WORD: Final = 17
_REPORTS_WORD: Final = 18
_MOST_FRAMES: Final = 1_000_000
_PAGE: Final = max(4096, mmap.PAGESIZE)


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


MAPPED_HERE: Final[set[Path]] = set()
"""The files of this process's arenas. It must open none of them a second time: closing it again
would drop all its locks."""


class ArenaError(Exception):
    """A file does not hold an arena that can be used.

    Attributes:
        reason: one word: foreign, newer, corrupt or truncated.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


class Arena:
    """The mapping and where things lie in it. Knows bytes, and nothing of who may write them.

    Args:
        fd: descriptor of the file that holds the arena; the arena closes it.

    Attributes:
        path: where the file is, if a path leads to it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.path: Path | None = None
        header = os.pread(fd, _HEADER.size, 0)
        _, _, identity, *sizes = _HEADER.unpack(header)
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
    def create(cls, frames: int, capacity: int, fd: int | None = None) -> "Arena":
        """A new arena.

        Args:
            frames: how many frames.
            capacity: bytes of content one frame can hold. Untouched pages cost no memory.
            fd: an empty file to lie in, whose room on the disk is reserved; None is memory that
                no path leads to, and that goes when its last process has gone.

        Raises:
            OSError: the disk has no room for it.
        """
        size = cls.size(frames, capacity)
        if fd is None:
            fd = anonymous_file()
            os.ftruncate(fd, size)
        else:
            _reserve(fd, size)
        identity = uuid.uuid4().bytes
        sizes = frames, capacity, _stride(capacity)
        os.pwrite(fd, _HEADER.pack(_MAGIC, _VERSION, identity, *sizes), 0)
        return cls(fd)

    @classmethod
    def size(cls, frames: int, capacity: int) -> int:
        """The bytes that an arena takes."""
        return cls._frames_offset(frames) + frames * _stride(capacity)

    @classmethod
    def reopen(cls, fd: int) -> "tuple[Arena, bool]":
        """The arena in a file that may have come to harm.

        Returns:
            The arena, and whether its file is whole. What a file has lost is zeros now.

        Raises:
            ArenaError: the file is no arena, or not of this layout.
            OSError: the disk has no room for what is missing.
        """
        frames, capacity = _check_header(os.pread(fd, _HEADER.size, 0))
        size = cls.size(frames, capacity)
        whole = os.fstat(fd).st_size >= size
        if not whole:
            _reserve(fd, size)
        return cls(fd), whole

    @staticmethod
    def _frames_offset(frames: int) -> int:
        counters = ROW_COUNT * ROW_WORDS * WORD_BYTES
        return _PAGE + counters + _pages(frames) + _pages(frames * WORDS * WORD_BYTES)

    def _place(self, frames: int) -> None:
        self._counters_word = _PAGE // WORD_BYTES
        self._states = _PAGE + ROW_COUNT * ROW_WORDS * WORD_BYTES
        self._states_end = self._states + frames
        self._accounts_word = (self._states + _pages(frames)) // WORD_BYTES
        self._frames = self._frames_offset(frames)

    def named(self, path: Path | None) -> None:
        """Know which path leads to the arena."""
        self.path = path
        if path is not None:
            MAPPED_HERE.add(path)

    # Frames

    def state(self, frame: int) -> int:
        """Return the state of a frame."""
        return self.memory[self._states + frame]

    def set_state(self, frame: int, state: int) -> None:
        """Store a frame's state: the one step that decides what its account means."""
        self.memory[self._states + frame] = state

    def find(self, state: int, start: int = 0) -> int:
        """Return the lowest frame from `start` on that is in `state`; -1 when there is none."""
        at = self.memory.find(state.to_bytes(), self._states + start, self._states_end)
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
        states = self.memory[self._states : self._states_end]
        return not states.strip(FREE.to_bytes())

    def free(self) -> int:
        """Return how many frames are free."""
        return self.memory[self._states : self._states_end].count(FREE)

    def account(self, frame: int) -> Account:
        """Return a view of a frame's account."""
        return Account(self.words, self._accounts_word + frame * WORDS)

    def generation(self, frame: int) -> int:
        """Return how often a producer has claimed the frame."""
        return self.words[self._accounts_word + frame * WORDS + Account.generation.offset]

    def base(self, frame: int) -> int:
        """Return where a frame's content begins in `memory`."""
        return self._frames + frame * self.stride

    def content(self, frame: int, start: int, end: int) -> bytes:
        """Return a copy of a part of a frame's content."""
        base = self.base(frame)
        return self.memory[base + start : base + end]

    def write(self, frame: int, start: int, content: bytes) -> None:
        """Copy bytes into a frame."""
        at = self.base(frame) + start
        self.memory[at : at + len(content)] = content

    def wipe(self, frame: int, start: int, end: int) -> None:
        """Fill a part of a frame with zeros."""
        base = self.base(frame)
        self.memory[base + start : base + end] = bytes(end - start)

    # Flags that all processes share

    @property
    def closed(self) -> bool:
        """Whether the client is closed for new records, in all processes."""
        return bool(self.words[_CLOSED_WORD])

    def close_for_good(self) -> None:
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

    def row(self, number: int) -> int:
        """Return the number of the first word of a row of counters."""
        return self._counters_word + number * ROW_WORDS

    def close(self) -> None:
        """Unmap the memory and close the file; with it go all locks of this process."""
        if self.path is not None:
            MAPPED_HERE.discard(self.path)
        self.words.release()
        self.memory.close()
        self.locks.close()
        fd, self.fd = self.fd, -1  # the number may soon be another file's
        if fd >= 0:  # else this is the second call, after an interrupted one
            os.close(fd)


def _stride(capacity: int) -> int:
    return _pages(capacity + 1)  # at least one NUL behind the content ends it


def _check_header(header: bytes) -> tuple[int, int]:
    """The numbers of frames and of bytes that a frame holds.

    Raises:
        ArenaError: it is not the header of an arena of this layout.
    """
    if len(header) < _HEADER.size:
        raise ArenaError("truncated", f"only {len(header)} bytes of its header are there")
    magic, version, _, frames, capacity, stride = _HEADER.unpack(header)
    if magic != _MAGIC:
        raise ArenaError("foreign", f"it begins with {magic!r}, and not with {_MAGIC!r}")
    if version > _VERSION:
        raise ArenaError(
            "newer",
            f"its layout is {version}, this release knows {_VERSION}: use the release that made it",
        )
    known = 1 <= frames <= _MOST_FRAMES and 1 <= capacity <= MAX_CAPACITY
    if not known or stride != _stride(capacity):
        raise ArenaError("corrupt", f"{frames} frames of {capacity} bytes every {stride} make none")
    return frames, capacity


def _reserve(fd: int, size: int) -> None:
    """Make the file so large, with room on the disk: a store without room would be SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    chunk = bytes(1 << 20)  # macOS has no such call; writing has the same effect
    for start in range(os.fstat(fd).st_size, size, len(chunk)):
        os.pwrite(fd, chunk[: size - start], start)
