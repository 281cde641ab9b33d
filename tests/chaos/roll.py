"""The roll: a file mapped by all processes of a run, in which each keeps its own account.

    word 0      ENOUGH: nobody emits any more
    word 8 ..   one entry a process, ENTRY_WORDS words each:
                PID  BORN  ORDERLY  LEAVE, and one writer of LANE_WORDS words a thread:
                NOTED  SINCE  SETTLED  SETTLED_AT  REFUSED

A word has one writer, and storing it is a single store: what stands in the file when its writer is
killed is true. The file, and not the process, is what the auditor believes.
"""

import mmap
import os
import time
from pathlib import Path
from typing import Final

from tests.chaos.procfs import born

THREADS: Final = 4
"""The most threads of a process that emit."""

_DYING_SECONDS: Final = 0.2
_ENTRIES_AT: Final = 8
_PID, _BORN, _ORDERLY, _LEAVE = range(4)
_LANES_AT: Final = 4
_NOTED, _SINCE, _SETTLED, _SETTLED_AT, _REFUSED = range(5)
_LANE_WORDS: Final = 5
_ENTRY_WORDS: Final = _LANES_AT + THREADS * _LANE_WORDS
_WORD: Final = 8


class Roll:
    """The mapped file.

    Args:
        path: of a file that `create` made.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls, path: Path, entries: int) -> "Roll":
        """A new file with room for so many processes; what is not used takes no disk."""
        with path.open("xb") as file:
            os.truncate(file.fileno(), (_ENTRIES_AT + entries * _ENTRY_WORDS) * _WORD)
        return cls(path)

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._memory.close()

    @property
    def enough(self) -> bool:
        """Whether nobody is to emit any more."""
        return bool(self._words[0])

    def call_it_a_day(self) -> None:
        """Let nobody emit any more."""
        self._words[0] = 1

    def entry(self, number: int) -> "Entry":
        """A process's account."""
        return Entry(self._words, number)


class Entry:
    """The account of one process."""

    def __init__(self, words: memoryview, number: int) -> None:
        self.number = number
        self._words = words
        self._at = _ENTRIES_AT + number * _ENTRY_WORDS

    def sign(self, *, orderly: bool) -> None:
        """Say who writes here from now on.

        Args:
            orderly: whether this process, unless killed, says `farewell` before it ends.
        """
        self._words[self._at + _BORN] = born(os.getpid()) or 0
        self._words[self._at + _ORDERLY] = orderly
        self._words[self._at + _PID] = os.getpid()

    def farewell(self) -> None:
        """Say that this process is about to end.

        Others that were killed up to now are dead when it returns: then it counts what this process
        finds, and not whether it is the last at this very moment.
        """
        self._words[self._at + _ORDERLY] = False
        time.sleep(_DYING_SECONDS)

    @property
    def pid(self) -> int:
        """Who writes here; 0 when nobody does yet."""
        return int(self._words[self._at + _PID])

    @property
    def born(self) -> int:
        """When that process was born, as the kernel says it."""
        return int(self._words[self._at + _BORN])

    @property
    def orderly(self) -> bool:
        """Whether the process does not end just now, nor without a word."""
        return bool(self._words[self._at + _ORDERLY])

    @property
    def leave(self) -> bool:
        """Whether the process, an application, has told its producers to leave."""
        return bool(self._words[self._at + _LEAVE])

    def tell_to_leave(self) -> None:
        """Tell the producers of this application to leave."""
        self._words[self._at + _LEAVE] = 1

    def writer(self, thread: int) -> "FrameWriter":
        """The account of one of the process's threads."""
        producer = self.number * THREADS + thread
        return FrameWriter(self._words, self._at + _LANES_AT + thread * _LANE_WORDS, producer)

    def writers(self) -> list["FrameWriter"]:
        """The accounts of all threads."""
        return [self.writer(thread) for thread in range(THREADS)]


class FrameWriter:
    """The account of one thread: a producer, as the auditor counts them.

    Attributes:
        producer: its number, part of the `_id` of all that it emits.
    """

    def __init__(self, words: memoryview, at: int, producer: int) -> None:
        self.producer = producer
        self._words = words
        self._at = at

    @property
    def noted(self) -> int:
        """The events 1 to this one were accepted."""
        return int(self._words[self._at + _NOTED])

    def note(self, number: int) -> None:
        """The client has accepted this event; and whatever the thread was at is over."""
        self._words[self._at + _NOTED] = number
        self._words[self._at + _SINCE] = 0

    def begin(self) -> None:
        """A call of the client begins."""
        self._words[self._at + _SINCE] = time.monotonic_ns()

    def end(self) -> None:
        """The call has returned, or raised."""
        self._words[self._at + _SINCE] = 0

    @property
    def busy_since(self) -> float | None:
        """When (monotonic, seconds) the call began that has not returned yet."""
        since = int(self._words[self._at + _SINCE])
        return since / 1e9 if since else None

    @property
    def refused(self) -> int:
        """How many calls found no room."""
        return int(self._words[self._at + _REFUSED])

    def refuse(self) -> None:
        """Count a call that found no room."""
        self._words[self._at + _REFUSED] += 1

    def settle(self, number: int) -> None:
        """The client has said that all up to this event is settled."""
        self._words[self._at + _SETTLED_AT] = 0
        self._words[self._at + _SETTLED] = number
        self._words[self._at + _SETTLED_AT] = time.time_ns()

    @property
    def settled(self) -> tuple[int, float]:
        """The last event that the client called settled, and when (epoch, seconds) that was."""
        at = int(self._words[self._at + _SETTLED_AT])
        return (int(self._words[self._at + _SETTLED]), at / 1e9) if at else (0, 0.0)
