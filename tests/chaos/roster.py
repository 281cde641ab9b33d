"""The roster: a file mapped by all processes of a run, with an entry for each process.

    word 0      STOPPED: no process emits any more
    word 8 ..   one entry per process, ENTRY_WORDS words each:
                PID  STARTED  ORDERLY  STOP_REQUESTED, and one account of ACCOUNT_WORDS words per
                thread: CONFIRMED  BUSY_SINCE  SETTLED  SETTLED_AT  REFUSED  FILES_READ
                CLOSED

Each word has one writer and is written by a single store, so its value is valid even when the
writer is killed. The audit trusts this file, not the processes.
"""

import mmap
import os
import time
from pathlib import Path
from typing import Final

from tests.chaos.procfs import start_time

THREADS: Final = 4
"""The most threads of a process that emit."""

_ENDING_SECONDS: Final = 0.2
_ENTRIES_AT: Final = 8
_PID, _STARTED, _ORDERLY, _STOP_REQUESTED = range(4)
_ACCOUNTS_AT: Final = 4
_CONFIRMED, _BUSY_SINCE, _SETTLED, _SETTLED_AT, _REFUSED, _FILES_READ, _CLOSED = range(7)
_ACCOUNT_WORDS: Final = 7
_ENTRY_WORDS: Final = _ACCOUNTS_AT + THREADS * _ACCOUNT_WORDS
_WORD: Final = 8


class Roster:
    """The mapped file.

    Args:
        path: A file that `create` made.
    """

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls, path: Path, entries: int) -> "Roster":
        """Create a file with this many entries; unused ones take no disk space."""
        with path.open("xb") as file:
            os.truncate(file.fileno(), (_ENTRIES_AT + entries * _ENTRY_WORDS) * _WORD)
        return cls(path)

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._memory.close()

    @property
    def stopped(self) -> bool:
        """Whether all producers are to stop."""
        return bool(self._words[0])

    def stop(self) -> None:
        """Stop all producers."""
        self._words[0] = 1

    def entry(self, number: int) -> "Entry":
        """Return the entry with this number."""
        return Entry(self._words, number)


class Entry:
    """The entry of one process.

    Attributes:
        number: The number of the entry.
    """

    def __init__(self, words: memoryview, number: int) -> None:
        self.number = number
        self._words = words
        self._at = _ENTRIES_AT + number * _ENTRY_WORDS

    def register(self, *, orderly: bool) -> None:
        """Make this process the one that the entry describes.

        Args:
            orderly: Whether this process, unless it is killed, calls `announce_end` before it ends.
        """
        self._words[self._at + _STARTED] = start_time(os.getpid()) or 0
        self._words[self._at + _ORDERLY] = orderly
        self._words[self._at + _PID] = os.getpid()

    def announce_end(self) -> None:
        """Announce that this process is about to end.

        It waits until processes that were killed before the call have died. So what this process
        does next does not depend on whether it is the last one at this moment.
        """
        self._words[self._at + _ORDERLY] = False
        time.sleep(_ENDING_SECONDS)

    @property
    def pid(self) -> int:
        """The id of the process; 0 if none has registered yet."""
        return int(self._words[self._at + _PID])

    @property
    def started(self) -> int:
        """When that process started, in clock ticks."""
        return int(self._words[self._at + _STARTED])

    @property
    def orderly(self) -> bool:
        """Whether the process neither is ending nor ends unannounced."""
        return bool(self._words[self._at + _ORDERLY])

    @property
    def stop_requested(self) -> bool:
        """Whether the process, an application, wants its producers to stop."""
        return bool(self._words[self._at + _STOP_REQUESTED])

    def request_stop(self) -> None:
        """Ask the producers of this application to stop."""
        self._words[self._at + _STOP_REQUESTED] = 1

    def account(self, thread: int) -> "ThreadAccount":
        """Return the account of one of the process's threads."""
        producer = self.number * THREADS + thread
        return ThreadAccount(
            self._words, self._at + _ACCOUNTS_AT + thread * _ACCOUNT_WORDS, producer
        )

    def accounts(self) -> list["ThreadAccount"]:
        """Return the accounts of all threads."""
        return [self.account(thread) for thread in range(THREADS)]


class ThreadAccount:
    """What one thread has emitted; each such thread is a producer to the audit.

    Attributes:
        producer: The number of the producer, part of the `_id` of each of its events.
    """

    def __init__(self, words: memoryview, at: int, producer: int) -> None:
        self.producer = producer
        self._words = words
        self._at = at

    @property
    def confirmed(self) -> int:
        """The number of the last event that was accepted; so were all before it."""
        return int(self._words[self._at + _CONFIRMED])

    def confirm(self, number: int) -> None:
        """Record that the client has accepted this event, and that the call has returned."""
        self._words[self._at + _CONFIRMED] = number
        self._words[self._at + _BUSY_SINCE] = 0

    def begin_call(self) -> None:
        """Record that a call of the client begins."""
        self._words[self._at + _BUSY_SINCE] = time.monotonic_ns()

    def end_call(self) -> None:
        """Record that the call has returned or raised."""
        self._words[self._at + _BUSY_SINCE] = 0

    @property
    def busy_since(self) -> float | None:
        """When the current call began (monotonic, seconds); None outside a call."""
        since = int(self._words[self._at + _BUSY_SINCE])
        return since / 1e9 if since else None

    @property
    def refused(self) -> int:
        """How many calls found the buffer full."""
        return int(self._words[self._at + _REFUSED])

    def refuse(self) -> None:
        """Count a call that found the buffer full."""
        self._words[self._at + _REFUSED] += 1

    @property
    def files_read(self) -> int:
        """How many files of the client were opened, read and closed."""
        return int(self._words[self._at + _FILES_READ])

    def add_files_read(self, count: int) -> None:
        """Count files of the client that were opened, read and closed."""
        self._words[self._at + _FILES_READ] += count

    @property
    def has_closed_descriptors(self) -> bool:
        """Whether the process has closed all its descriptors, those of the client included."""
        return bool(self._words[self._at + _CLOSED])

    def descriptors_closed(self) -> None:
        """Record that the process has closed all its descriptors."""
        self._words[self._at + _CLOSED] = 1

    def settle(self, number: int) -> None:
        """Record that, according to the client, all events up to this one are settled."""
        self._words[self._at + _SETTLED_AT] = 0
        self._words[self._at + _SETTLED] = number
        self._words[self._at + _SETTLED_AT] = time.monotonic_ns()  # the wall clock is stepped

    @property
    def settled(self) -> tuple[int, float]:
        """The last event that the client reported as settled, and when (epoch, seconds)."""
        at = int(self._words[self._at + _SETTLED_AT])
        if not at:
            return 0, 0.0
        ago = time.monotonic() - at / 1e9
        return int(self._words[self._at + _SETTLED]), time.time() - ago
