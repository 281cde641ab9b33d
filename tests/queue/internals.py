"""The internals of the queue that tests use; other test modules import them from here."""

from typing import Any

import pytest

from dataart_mp.queue import guard, janitor, lifetime, lock_file, producer_end
from dataart_mp.queue.accounting import balance
from dataart_mp.queue.arena import FILLING, FREE, READY, SENDING, SETTLED, WAITING, Arena
from dataart_mp.queue.companion import NoCompanion
from dataart_mp.queue.counters import DROPPED_FULL, REQUESTS, Counters
from dataart_mp.queue.descriptor import Descriptor
from dataart_mp.queue.durability import NONE
from dataart_mp.queue.frame_writer import FrameWriter, Taken
from dataart_mp.queue.guard import ForkGuard
from dataart_mp.queue.locks import JANITOR, LOADER, PLACES, ROWS
from dataart_mp.queue.process import NOBODY, Process
from dataart_mp.queue.producer_end import ProducerEnd
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.release import wake
from dataart_mp.queue.role import may_act, role
from dataart_mp.queue.wakeup import WakeupPipe

__all__ = [
    "DROPPED_FULL",
    "FILLING",
    "FREE",
    "JANITOR",
    "LOADER",
    "NOBODY",
    "NONE",
    "PLACES",
    "READY",
    "REQUESTS",
    "ROWS",
    "SENDING",
    "SETTLED",
    "WAITING",
    "Arena",
    "Counters",
    "Descriptor",
    "ForkGuard",
    "FrameWriter",
    "NoCompanion",
    "Process",
    "ProducerEnd",
    "Taken",
    "WakeupPipe",
    "balance",
    "idle_writers",
    "intercept_writes",
    "janitor",
    "lifetime",
    "lock_file",
    "make_guard",
    "make_pid_guard",
    "may_act",
    "release_got_records",
    "role",
    "shorten_waits",
    "wake",
]

make_guard = guard.make
make_pid_guard = guard._PidGuard


def idle_writers(queue: RecordQueue) -> list[FrameWriter]:
    """Return the list of frame writers that no thread uses; changing it changes the queue."""
    return queue.producer._idle


def release_got_records(queue: RecordQueue) -> None:
    """Release the frames whose records `get` has returned or is about to return."""
    queue._reader._handed.clear()
    queue._reader._unread.clear()


def intercept_writes(queue: RecordQueue, memory: Any, words: Any, locks: Any) -> None:
    """Replace what the queue writes to: the bytes and words of the arena, and its locks."""
    arena: Any = queue.arena
    arena.memory, arena.words, arena.locks = memory, words, locks
    arena._accounts.clear()  # they refer to the words as they were
    queue.producer._memory = memory


def shorten_waits(
    monkeypatch: pytest.MonkeyPatch,
    *,
    interrupted: float,
    look: float,
    close: float | None = None,
) -> None:
    """Shorten the waits of calls on a queue that cannot succeed.

    Args:
        monkeypatch: Restores them after the test.
        interrupted: Seconds that `flush` waits for a call that it has interrupted.
        look: Seconds after which a waiting call looks by itself.
        close: Seconds that `close` waits for other calls; None leaves it as it is.
    """
    monkeypatch.setattr(producer_end, "_INTERRUPTED_SECONDS", interrupted)
    monkeypatch.setattr(lifetime, "_LOOK_SECONDS", look)
    if close is not None:
        monkeypatch.setattr(lifetime, "_VISITORS_SECONDS", close)
