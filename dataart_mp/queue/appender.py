"""The appender: the hot path in C, for the queue of one process.

It emits actions into the frame writer that is idle, and changes frames when it is full. See
`_hot_path.c`. This module says where in the arena everything lies.
"""

import sys
from typing import Final

from dataart_mp import clock
from dataart_mp.native import hot_path
from dataart_mp.queue import account, arena, descriptor
from dataart_mp.queue.account import Account
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.frame_writer import FrameWriter
from dataart_mp.queue.guard import ForkGuard, flag_of
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.queue.writer_pool import WriterPool

# Elsewhere a descriptor has no mark that C could look at.
_CHANGES_FRAMES: Final = sys.platform == "linux"

hot_path.configure(
    {
        "FREE": arena.FREE,
        "FILLING": arena.FILLING,
        "READY": arena.READY,
        "WORDS": account.WORDS,
        "TOTALS": account.TOTALS,
        "GENERATION": Account.generation.offset,
        "COUNT": Account.count.offset,
        "LENGTH": Account.length.offset,
        "OPENING": account.OPENING,
        "CLOSING": account.CLOSING,
        "PROCESS": account.PROCESS,
        "OPENED": Account.opened.offset,
        "CLOCK": clock.CLOCK,
        "CLOSED_WORD": arena._CLOSED_WORD,
        "NOTE_HEAD_WORD": arena._NOTE_HEAD_WORD,
        "GETSIG": getattr(descriptor, "_GETSIG", 0),
        "MARK": getattr(descriptor, "_MARK", 0),
    }
)


class Appender(hot_path.AppenderBase):
    """Emits usual actions, once `begin` was called in this process.

    Args:
        arena: Where the frames are.
        work: The pipe that notifies workers.
        pool: The frame writers of this process.
        guard: Whether this process may use the queue without a further check.
        records: How many records fill a frame.
        interval: Seconds after which a frame that is not full is due to be sealed.

    Attributes:
        has_begun: Whether `begin` was called in this process.
    """

    __slots__ = ("_fork_guard", "_pool", "has_begun")

    def __init__(
        self,
        arena: Arena,
        work: WakeupPipe,
        pool: WriterPool,
        guard: ForkGuard,
        records: int,
        interval: float,
    ) -> None:
        self.has_begun = False
        self._pool = pool
        self._fork_guard = guard
        self.arena, self.memory = arena, arena.memory
        self.idle, self.writer_type = pool.idle, FrameWriter
        self.records, self.interval = records, interval
        self.lock_file, self.work = arena._lock_file, work._write_end
        self.frames, self.stride, self.capacity = arena.frames, arena.stride, arena.capacity
        self.states, self.accounts = arena._states, arena._accounts_word
        self.contents = arena.base(0)

    def begin(self) -> None:
        """Append actions from now on. Workers have been provided for this process."""
        pool, process = self._pool, self.arena.process
        self.held, self.open, self.sealed = self.arena.locks._held, pool._open, pool._sealed
        self.stamps = pool.marks.stamps
        self.pid, self.start = process.pid, process.start
        self.guard, self.guard_pid = flag_of(self._fork_guard)
        self.changes_frames = _CHANGES_FRAMES
        self.has_begun = True

    def end(self) -> None:
        """Open and seal no frames until `begin`, in a forked child."""
        self.changes_frames = False
        self.has_begun = False
