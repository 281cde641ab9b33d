"""The producer's end of the queue: what a process that emits does with it."""

import contextlib
import functools
import sys
import weakref
from queue import Full
from typing import TYPE_CHECKING, Final

from dataart_mp import clock, native
from dataart_mp.errors import DescriptorsClosedError, EventError
from dataart_mp.queue.account import ACTIONS, IDENTITY
from dataart_mp.queue.accounting import pending_in
from dataart_mp.queue.arena import FILLING, FREE, JOINED, READY, SENDING, WAITING, Arena
from dataart_mp.queue.companion import AbandonedError
from dataart_mp.queue.deadline import Deadline
from dataart_mp.queue.durability import BATCH
from dataart_mp.queue.durable_pool import pool_of
from dataart_mp.queue.frame_writer import FrameWriter, Taken
from dataart_mp.queue.lifetime import Lifetime, Visitor
from dataart_mp.queue.mark import Mark
from dataart_mp.queue.room import Room
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.queue.worker_end import WorkerEnd
from dataart_mp.queue.writer_pool import HOLDING

if TYPE_CHECKING:
    from types import FrameType

if TYPE_CHECKING or native.compiled:
    from dataart_mp.queue.appender import Appender

# The methods of a client that append, for its log.
EMIT_ACTION: Final = "emit_action"
EMIT_ACTIONS: Final = "emit_actions"
IDENTIFY: Final = "identify"

# How long `flush` waits for the writer of a call that it has itself interrupted.
_INTERRUPTED_SECONDS: Final = 0.5


class ProducerEnd:
    """What a process that emits does with a queue; for any thread.

    Args:
        arena: Where the frames are.
        work: The pipe that notifies workers.
        lifetime: This process's use of the queue.
        worker_end: Retries, for `flush`, what waits.
        records: How many records fill a frame.
        interval: Seconds after which a frame that is not full is due to be sealed.

    Attributes:
        appender: Emits usual actions; None if the hot path in C is not in use, or if the arena
            survives a power failure.
    """

    def __init__(
        self,
        arena: Arena,
        work: WakeupPipe,
        lifetime: Lifetime,
        worker_end: WorkerEnd,
        records: int,
        interval: float,
    ) -> None:
        self._arena = arena
        self._work = work
        self._lifetime = lifetime
        self._worker_end = worker_end
        self._records = records
        self._interval = interval
        self._memory = arena.memory
        self._guard = lifetime.guard
        self._pool = pool_of(arena, work)
        self._idle = self._pool.idle
        self.appender: Appender | None = None
        if native.compiled and not arena.durability:
            self.appender = Appender(arena, work, self._pool, self._guard, records, interval)

    def forked(self) -> None:
        """In a forked child, leave the parent's open frames to the parent."""
        if self.appender is not None:
            self.appender.end()
        self._pool.forked()

    # Records

    def append(self, record: bytes, timeout: float | None = None) -> None:
        """Copy one record into this process's open frame; from then on it outlives the process.

        Args:
            record: One JSON line, with its newline and without a NUL, at most `capacity` bytes.
            timeout: Seconds to wait for a free frame; None waits without a limit.

        Raises:
            queue.Full: No frame became free in time.
            AbandonedError: No frame will become free, because no worker can run.
            EventError: The record is larger than a frame.
            ClosedError: The queue is closed.
        """
        if not self._guard[0]:
            self._lifetime.reconsider()
        writer: FrameWriter | None
        try:
            try:
                writer = self._idle.pop()  # until it is put back, no other thread has it
            except IndexError:
                writer = self._open_writer(ACTIONS, self._records, timeout)
            position = writer.position
            end = position + len(record)
            if end > writer.limit:
                writer = self._replace(writer, record, timeout)
                position = writer.position
                end = position + len(record)
            self._memory[position:end] = record
            writer.position = end
            writer.room -= 1
            if writer.room:
                self._idle.append(writer)
            else:
                self._pool.seal(writer)
        except Full:  # this call has no writer; and a full buffer raises it for each event
            raise
        except BaseException as error:
            writer = None
            self._lifetime.let_go(error)
            raise

    def append_lines(self, lines: memoryview, count: int, timeout: float | None = None) -> Taken:
        """Copy as many of some records as fit into the open frame: at least the first one.

        Args:
            lines: `count` records, each as for `append`.
            count: One or more.
            timeout: As for `append`.

        Raises:
            EventError: The first record is larger than a frame.
            queue.Full, AbandonedError, ClosedError: As `append`.
        """
        if not self._guard[0]:
            self._lifetime.reconsider()
        writer: FrameWriter | None
        try:
            try:
                writer = self._idle.pop()
            except IndexError:
                writer = self._open_writer(ACTIONS, self._records, timeout, EMIT_ACTIONS)
            while True:
                records, size = writer.fitting(lines, count)
                part = lines[:size]
                position = writer.position
                end = position + size
                if records and end <= writer.limit:  # checked last: a fork may have come between
                    break
                writer = self._replace(writer, _first(lines), timeout, EMIT_ACTIONS)
            self._memory[position:end] = part
            writer.position = end
            writer.room -= records
            taken = Taken(records, size, writer.room)
            if writer.room:
                self._idle.append(writer)
            else:
                self._pool.seal(writer)
        except BaseException as error:
            writer = None
            self._lifetime.let_go(error)
            raise
        return taken

    def append_alone(self, record: bytes, timeout: float | None = None) -> None:
        """Give one identity a separate frame and seal it at once; else as `append`."""
        if not self._guard[0]:
            self._lifetime.reconsider()
        self._check_size(record)
        writer: FrameWriter | None
        try:
            writer = self._open_writer(IDENTITY, 1, timeout, IDENTIFY)
            end = writer.position + len(record)
            self._memory[writer.position : end] = record
            writer.position = end
            writer.room -= 1
            self._pool.seal(writer)
        except BaseException as error:
            writer = None
            self._lifetime.let_go(error)
            raise

    # For callers that must not wait

    @property
    def is_started(self) -> bool:
        """Whether workers have been provided for this process, so that no append starts them.

        Raises:
            ClosedError: The queue is closed.
        """
        self._lifetime.check()
        return self._lifetime.is_started

    def start(self) -> None:
        """Have workers provided, which takes some milliseconds.

        Raises:
            AbandonedError, ClosedError: As `append`.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            self._lifetime.ensure_started()

    def may_wait_for_the_disk(self, size: int) -> bool:
        """Return whether to append a record of so many bytes may take a write to the disk."""
        if self._arena.durability != BATCH:
            return False
        idle = self._idle[-1:]
        return bool(idle) and (idle[0].room <= 1 or idle[0].position + size > idle[0].limit)

    def wait_for_room(self) -> Room:
        """Return what an event loop waits with.

        Raises:
            ClosedError: The queue is closed.
        """
        return Room(self._lifetime)

    def retry_now(self) -> None:
        """Seal what is open, and try at once what waits for its next attempt."""
        self._lifetime.check()
        with self._lifetime.visit():
            self._pool.seal_all()
            with contextlib.suppress(DescriptorsClosedError):
                self._worker_end.retry_now()

    # Sealing

    @property
    def has_open(self) -> bool:
        """Whether this process has a frame open."""
        return self._pool.has_open

    @property
    def is_full(self) -> bool:
        """Whether an `append` without waiting would raise queue.Full; False if uncertain."""
        try:
            is_mine = self._guard[0] and self._lifetime.is_started
            return bool(is_mine) and not self._idle and self._is_full()
        except ValueError:  # another thread closes the queue
            return False

    def full_error(self) -> Full:
        """Return what an `append` raises that finds no room: Full, or AbandonedError."""
        reason = self._lifetime.companion.unavailable_reason()
        return Full() if reason is None else AbandonedError(reason)

    @property
    def free_frames(self) -> int:
        """Number of frames that are free."""
        try:
            return self._arena.free()
        except ValueError:  # another thread closes the queue
            return 0

    @property
    def has_idle(self) -> bool:
        """Whether this process has a frame open that no thread is writing to."""
        return bool(self._idle)

    def seal_due(self, now: float) -> float:
        """Seal the frames whose oldest record has waited long enough.

        Args:
            now: The time (monotonic, seconds).

        Returns:
            Seconds until this has to be called again. A frame that is opened meanwhile is due
            later than that, so nobody has to wake the caller.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            wait = self._pool.seal_due(now)
            return self._interval if wait is None else min(wait, self._interval)

    def seal(self) -> None:
        """Seal what this process has open, except what a thread is writing to at this moment."""
        self._lifetime.check()
        with self._lifetime.visit():
            self._pool.seal_all()

    def seal_open(self) -> None:
        """Seal as `seal` does, for a caller that is a visitor of the queue already."""
        if self._pool.has_open:
            self._pool.seal_all()

    def conclude(self) -> bool:
        """Drain, as the last thing before the arena is closed; return as `drain` does."""
        is_drained = self.drain()
        self._pool.marks.conclude()
        return is_drained

    def mark(self, dropped: int) -> Mark:
        """Return a mark: it covers all that this process has put before the call.

        Args:
            dropped: How many records this process has dropped.

        Raises:
            ClosedError: The queue is closed.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            return Mark(self._lifetime, self._pool, dropped)

    def read_notes(self) -> None:
        """Read what workers have noted, before older notes are overwritten."""
        self._lifetime.check()
        with self._lifetime.visit():
            self._pool.marks.read_notes()

    def drain(self) -> bool:
        """Seal as `seal_open` does; return whether nothing is open any more."""
        self._pool.seal_all()
        return not self._pool.has_open

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all that this process has put before the call is settled.

        What waits for its next attempt is tried at once.

        Args:
            timeout: Seconds; None waits without a limit, unless no worker can run.

        Returns:
            How many of those records are still pending; 0 when all are settled.

        Raises:
            ClosedError: The queue is closed.
        """
        self._lifetime.check()
        pool = self._pool
        written, sealed = pool.claims()
        left = [*written, *sealed]
        # A call that this one has interrupted cannot continue before this one returns.
        enough = Deadline(_INTERRUPTED_SECONDS if _has_interrupted_an_append() else None)

        def all_settled() -> bool:
            written[:] = filter(pool.is_open, written)
            if written:  # a thread was writing to it before
                pool.seal_all()
            while left and pool.is_settled(left[-1]):
                left.pop()
            return not left or (pool.is_open(left[-1]) and enough.over())

        with self._lifetime.visit():
            pool.seal_all()
            with contextlib.suppress(DescriptorsClosedError):
                self._worker_end.retry_now()
            with contextlib.suppress(AbandonedError):
                self._lifetime.wait_for(all_settled, timeout)
            waiting = {claim for claim in left if not pool.is_settled(claim)}
            return pending_in(self._arena, *(frame for frame, _ in waiting))

    def flush_others(self, timeout: float | None = None) -> None:
        """Wait until all that any process has handed over before the call is settled.

        That is what was sealed, and what dead processes have appended.

        Args:
            timeout: As for `flush`.

        Raises:
            ClosedError: The queue is closed.
        """
        self._lifetime.check()
        arena = self._arena
        with self._lifetime.visit():
            frames: list[int] = []
            with contextlib.suppress(DescriptorsClosedError):
                self._worker_end.look(clock.now())  # releases the frames of dead processes
                frames += (
                    each for each in arena.all_in(FILLING) if arena.locks.owner(each) is None
                )
            for state in (READY, SENDING, WAITING, JOINED):
                frames += arena.all_in(state)
            left = [(frame, arena.generation(frame)) for frame in frames]

            def all_settled() -> bool:
                while left and self._pool.is_settled(left[-1]):
                    left.pop()
                return not left

            with contextlib.suppress(AbandonedError):
                self._lifetime.wait_for(all_settled, timeout)

    # Frame writers

    def _replace(
        self, writer: FrameWriter, record: bytes, timeout: float | None, call: str = EMIT_ACTION
    ) -> FrameWriter:
        """Return a writer that has room for `record`, and seal the one that has not."""
        try:
            self._check_size(record)
        except EventError:
            self._idle.append(writer)
            raise
        while writer.position + len(record) > writer.limit:
            self._pool.seal(writer)
            writer = self._open_writer(ACTIONS, self._records, timeout, call)
        return writer

    def _check_size(self, record: bytes) -> None:
        if len(record) > self._arena.capacity:
            raise EventError(
                f"the event takes {len(record):,} bytes as JSON, and a request holds "
                f"{self._arena.capacity:,}; shorten its metadata, or raise max_request_bytes"
            )

    def _open_writer(
        self, kind: int, records: int, timeout: float | None, call: str = EMIT_ACTION
    ) -> FrameWriter:
        lifetime = self._lifetime
        if timeout == 0 and lifetime.is_started and self._is_full():
            raise self.full_error()  # with a full buffer, this is called for each event
        me = Visitor()
        try:  # as `with lifetime.visit()`, at half its cost
            lifetime.visitors.append(weakref.ref(me, lifetime.visitors.remove))
            if not lifetime.is_started:
                lifetime.ensure_started()
            if self.appender is not None and not self.appender.has_begun:
                self.appender.begin()
            return self._try_open(kind, records) or self._await_room(kind, records, timeout, call)
        finally:
            del me
            if lifetime.closed:
                lifetime.release_if_closed()

    def _await_room(self, kind: int, records: int, timeout: float | None, call: str) -> FrameWriter:
        found: list[FrameWriter] = []
        if timeout is None or timeout > 0:
            found_room = functools.partial(self._found_room, kind, records, found)
            started = clock.monotonic()

            def reached() -> bool:
                if found_room():
                    return True
                self._lifetime.companion.waiting(call, clock.monotonic() - started)
                return False

            self._lifetime.wait_for(reached, timeout)
        if found:
            return found[0]
        raise self.full_error()

    def _is_full(self) -> bool:
        """Whether no frame is free; False if the client is closed, which is another error."""
        return self._arena.find(FREE) < 0 and not self._arena.closed

    def _try_open(self, kind: int, records: int) -> FrameWriter | None:
        writer = self._pool.open(kind, records, clock.monotonic(), self._interval)
        if self._arena.closed or self._lifetime.closed:
            # Checked after the frame was taken: a worker that ends sees it, or this process sees
            # that the arena is closed.
            if writer is not None:
                self._pool.seal(writer)
            raise self._lifetime.closed_error()
        return writer

    def _found_room(self, kind: int, records: int, found: list[FrameWriter]) -> bool:
        if kind == ACTIONS:  # a writer that another thread has put back will do
            with contextlib.suppress(IndexError):
                found.append(self._idle.pop())
                return True
        writer = self._try_open(kind, records)
        if writer is not None:
            found.append(writer)
        return writer is not None


def _first(lines: memoryview) -> bytes:
    return bytes(lines).split(b"\n", 1)[0] + b"\n"


# The functions that hold a writer in a local variable while they run.
_HOLDING: Final = (
    ProducerEnd.append.__code__,
    ProducerEnd.append_lines.__code__,
    ProducerEnd.append_alone.__code__,
    *HOLDING,
)


def _has_interrupted_an_append() -> bool:
    """Return whether this thread is in the middle of one: a signal handler or `__del__` calls."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code not in _HOLDING:
        frame = frame.f_back
    return frame is not None
