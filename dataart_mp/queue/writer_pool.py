"""The writer pool: the frames that this process has open, and how they are sealed.

    append ──► writer taken from the pool ──copy──► put back, or sealed when it is full

A thread that appends takes a frame writer out of the pool and puts it back. A thread, a signal
handler or a `__del__` that comes meanwhile finds the pool empty and opens another frame. So nothing
can deadlock, and a child forked in the middle starts with an empty pool.

An exception (Ctrl-C) may come between any two steps. Then no thread knows the writer any more. The
locks show it (`RecordLocks.lost`), and the next call that seals releases the frame by its content,
as if its process had died.
"""

import contextlib
import weakref
from collections.abc import Iterable
from typing import Final

from dataart_mp.errors import DescriptorsClosedError
from dataart_mp.queue import janitor
from dataart_mp.queue.arena import FREE, SETTLED, Arena
from dataart_mp.queue.frame_writer import Claim, FrameWriter
from dataart_mp.queue.marks import Marks
from dataart_mp.queue.wakeup import WakeupPipe

# A writer that is due but in use by a thread is looked at again after this time.
_IN_USE_SECONDS: Final = 0.01
# The lock file is verified at most this often: at full speed, a frame is opened every 20 us.
_VERIFIED_SECONDS: Final = 0.001


class WriterPool:
    """The frame writers of one process.

    Class attributes:
        writer_type: What it opens frames with.

    Args:
        arena: Where the frames are.
        work: The pipe that notifies workers.

    Attributes:
        marks: Covers what this process has emitted; see `marks`.
        idle: The writers that no thread uses. A thread takes one by `pop` and puts it back by
            `append`; each is a single step.
    """

    writer_type: type[FrameWriter] = FrameWriter

    def __init__(self, arena: Arena, work: WakeupPipe) -> None:
        self._arena = arena
        self._work = work
        self.marks = Marks(arena)
        self.idle: list[FrameWriter] = []
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget what belongs to the process: in a forked child it is the parent's."""
        self.idle.clear()
        self._verify_at = 0.0
        self._open: dict[Claim, weakref.ref[FrameWriter]] = {}
        self._sealed: dict[int, int] = {}
        self.marks.start_afresh(self._sealed, self._open)

    def forked(self) -> None:
        """Leave the parent's writers to the parent. Comes before the locks are forgotten."""
        for writer in self._arena.locks.holders():
            if isinstance(writer, FrameWriter):
                writer.limit = -1  # an append that the fork has interrupted finds no room there
        self.start_afresh()

    @property
    def has_open(self) -> bool:
        """Whether this process has a frame open."""
        return bool(self._open)

    def open(self, kind: int, records: int, now: float, interval: float) -> FrameWriter | None:
        """Open a frame; None when none is free. See `FrameWriter.open`.

        Raises:
            DescriptorsClosedError: The application has closed the lock file.
        """
        if now >= self._verify_at:
            self._verify_at = now + _VERIFIED_SECONDS
            self._arena.locks.verify()
        writer = self.writer_type.open(self._arena, kind, records, now + interval)
        if writer is not None:
            self._open[writer.claim] = weakref.ref(writer)
        return writer

    def seal(self, writer: FrameWriter) -> None:
        """Hand a writer's frame, which the caller has taken, to the workers."""
        frame = writer.claim[0]
        if not self._arena.locks.is_held_by(frame, writer):
            return  # a fork has interrupted the append: in the child, the writer is the parent's
        self.marks.seal(writer.claim)
        is_intact = self._work.is_intact()
        if not is_intact:
            self._arena.locks.lose()  # the frame is sealed in memory, and workers look for it
        if writer.seal() and is_intact:
            self._work.write(frame)
        self._open.pop(writer.claim, None)  # last: `close` waits for it

    def seal_all(self) -> None:
        """Seal all open frames, except those that a thread is writing to at this moment."""
        self._recover()
        for _, writer in self._writers():
            if writer is not None:
                self._take_and_seal(writer)

    def seal_each(self, claims: Iterable[Claim]) -> None:
        """Seal some of the open frames, except those that a thread is writing to."""
        for claim in claims:
            reference = self._open.get(claim)
            writer = None if reference is None else reference()
            if writer is not None:
                self._take_and_seal(writer)

    def seal_due(self, now: float) -> float | None:
        """Seal the frames whose oldest record has waited long enough.

        Args:
            now: The time (monotonic, seconds).

        Returns:
            Seconds until the next one is due; None when none is open.
        """
        self._recover()
        waits: list[float] = []
        for _, writer in self._writers():
            if writer is None:
                waits.append(_IN_USE_SECONDS)
            elif writer.due > now:
                waits.append(writer.due - now)
            elif not self._take_and_seal(writer):
                waits.append(_IN_USE_SECONDS)
        return min(waits, default=None)

    def claims(self) -> tuple[list[Claim], list[Claim]]:
        """Return the claims that are open, and those that were sealed last of each frame."""
        # The open ones are listed first: what is sealed in between is in both lists.
        opened = [claim for claim, _ in self._writers()]
        return opened, list(self._sealed.copy().items())

    def is_open(self, claim: Claim) -> bool:
        """Return whether a claim's frame is still open in this process."""
        return claim in self._open

    def is_settled(self, claim: Claim) -> bool:
        """Return whether all records of a claim are settled."""
        frame, generation = claim
        return self._arena.generation(frame) != generation or self._arena.state(frame) in (
            FREE,
            SETTLED,
        )

    def _recover(self) -> None:
        """Release the frames that an exception (Ctrl-C), between two steps, took from a thread."""
        with contextlib.suppress(DescriptorsClosedError):  # then only the end of this process can
            for frame in janitor.recover(self._arena):
                self._work.notify(frame)
        lost = self._arena.locks.lost()
        for claim, writer in self._writers():
            frame, generation = claim
            if writer is None and frame not in lost:
                if generation > self._sealed.get(frame, 0):
                    self.marks.seal(claim)
                self._open.pop(claim, None)

    def _take_and_seal(self, writer: FrameWriter) -> bool:
        try:
            self.idle.remove(writer)
        except ValueError:  # a thread is writing to it
            return False
        self.seal(writer)
        return True

    def _writers(self) -> list[tuple[Claim, FrameWriter | None]]:
        # A copy, made in one step: a signal handler or `__del__` may open another one meanwhile.
        return [(claim, writer()) for claim, writer in self._open.copy().items()]


HOLDING: Final = (WriterPool._take_and_seal.__code__,)
"""The functions that hold a writer in a local variable while they run."""
