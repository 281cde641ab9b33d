"""The record queue: a `multiprocessing.Queue` whose contents outlive every process that uses it.

It has the type and the face of `multiprocessing.JoinableQueue` (`put`, `get`, `task_done`, `join`,
`qsize`, `empty`, `full`, `close`; handed to a child by inheritance), and its items are records.
What differs is where they are: in shared memory, frame by frame, owned through the kernel, so that
no death leaves a lock orphaned, a byte half-written or a slot leaked.

No call on the path of a record takes a lock of Python's. A thread that appends *takes the writer
out of the pool* and puts it back; whoever comes meanwhile (another thread, a signal handler,
`__del__`) finds the pool empty and opens a writer of its own. Nothing can deadlock, and a child
forked in the middle just starts with an empty pool.

An exception (Ctrl-C) may hit between any two steps. Then nobody knows the writer any more, or the
frame that was being fetched: the locks tell (`RecordLocks.lost`), and the next one who seals or
fetches gives it back by what is in it, as if its process had died.
"""

import contextlib
import functools
import itertools
import multiprocessing.queues
import os
import queue
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from multiprocessing import context, reduction
from typing import TYPE_CHECKING, Any, Final, Protocol

from dataart_mp.errors import ClosedError, EventError
from dataart_mp.queue import guard, janitor
from dataart_mp.queue.account import Evicted
from dataart_mp.queue.accounting import balance, pending_in
from dataart_mp.queue.arena import (
    ACTIONS,
    FILLING,
    FREE,
    IDENTITY,
    READY,
    SETTLED,
    WAITING,
    Arena,
)
from dataart_mp.queue.counters import Counters
from dataart_mp.queue.frame import MAX_CAPACITY, MAX_RECORDS, Frame, wake
from dataart_mp.queue.frame_writer import Claim, FrameWriter, Taken
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.stats import Stats

if TYPE_CHECKING:
    from types import FrameType

    _Queue = multiprocessing.queues.Queue[bytes]
else:
    _Queue = multiprocessing.queues.Queue

# A waiter that shares its bell with others may miss a ring: it looks by itself this often.
_LOOK_SECONDS: Final = 0.05
# How long the workers go on ringing after somebody has said that he waits.
_WANTED_NS: Final = 1_000_000_000
# A writer that is due but in a thread's owner is looked at again after this time.
_IN_USE_SECONDS: Final = 0.01
# How long `close` waits for other threads to leave the queue.
_LEAVE_SECONDS: Final = 1.0
# How long a thread waits while another one is making the process ready for the queue's use.
_PREPARE_SECONDS: Final = 1.0
# How long `flush` waits for a writer in the owner of a call that it has itself interrupted.
_INTERRUPTED_SECONDS: Final = 0.5
_TURN_SECONDS: Final = 0.001
# How many frames are looked at to join some: a backlog of what cannot be joined, of identities,
# would cost more than a request.
_JOIN_LOOKS: Final = 256


class Companion(Protocol):
    """Whoever sees to it that records which were put are also fetched."""

    def ensure_started(self) -> None:
        """This process is about to open its first writer.

        Raises:
            AbandonedError: nothing can be put, for nobody could see to it; perhaps later.
        """

    def forked(self) -> None:
        """This process is a forked child; nothing of the parent's threads is here."""

    def unavailable_reason(self) -> str | None:
        """Why waiting makes no sense, for nobody can fetch; None when it does."""


class Nobody:
    """A companion for a queue whose records are fetched by its user."""

    def ensure_started(self) -> None:
        """Nothing to start."""

    def forked(self) -> None:
        """Nothing to rebuild."""

    def unavailable_reason(self) -> None:
        """A user may always come to fetch."""


class AbandonedError(queue.Full):
    """No frame is free, and none will be; its text says why nobody can fetch."""


class RecordQueue(_Queue):
    """Records (JSON lines) from any number of producers to any number of workers.

    Args:
        frames: how many frames there are; each is one pending request.
        capacity: bytes of records that one frame holds.
        records: how many records make a full frame, which is when others get to see them.
        interval: seconds after which `seal_due` seals a frame that isn't full.
    """

    def __init__(
        self,
        frames: int = 1000,
        capacity: int = 128 * 1024,
        *,
        records: int = 1,
        interval: float = 5.0,
    ) -> None:
        # Not super().__init__(): it makes semaphores, which are what a death orphans.
        if frames < 1 or not 1 <= capacity <= MAX_CAPACITY or not 1 <= records <= MAX_RECORDS:
            raise ValueError(
                f"{frames} frames of {capacity} bytes and {records} records: make each 1 or more, "
                f"with at most {MAX_CAPACITY} bytes and {MAX_RECORDS} records"
            )
        work, room = WakeupPipe.make(), WakeupPipe.make()
        self._assemble(Arena.create(frames, capacity), work, room, records, interval)

    @classmethod
    def attach(
        cls, arena: Arena, work: WakeupPipe, room: WakeupPipe, records: int, interval: float
    ) -> "RecordQueue":
        """The same queue in a process that got its descriptors by inheritance."""
        attached = cls.__new__(cls)
        attached._assemble(arena, work, room, records, interval)
        return attached

    def _assemble(
        self, arena: Arena, work: WakeupPipe, room: WakeupPipe, records: int, interval: float
    ) -> None:
        self.arena = arena
        self.work = work
        self.room = room
        self.counters = Counters(arena)
        self.companion: Companion = Nobody()
        self._records = records
        self._interval = interval
        self._memory = arena.memory
        self._closed = False
        self._released = False
        self._start_afresh()
        self._arm()
        _queues.add(self)

    def _start_afresh(self) -> None:
        """What a process has for itself; a forked child gets it anew."""
        self._inside: list[weakref.ref[_Visitor]] = []
        self._writers: list[FrameWriter] = []
        self._open: dict[Claim, weakref.ref[FrameWriter]] = {}
        self._sealed: dict[int, int] = {}
        self._unread: deque[tuple[bytes, _Reading]] = deque()
        self._handed: deque[_Reading] = deque()
        self._not_started = True
        self._starting: dict[None, tuple[int, object]] = {}

    def _arm(self) -> None:
        self._to_adopt: list[None] = [None]
        self._guard: guard.ForkGuard = guard.arm()

    def after_fork(self) -> None:
        """In a forked child: writers, locks and threads of the parent stay with the parent."""
        for writer in self.arena.locks.holders():
            if isinstance(writer, FrameWriter):
                writer.limit = -1  # an append that the fork has interrupted must find no room there
        self.arena.locks.forget()
        self.counters.forget()
        self._start_afresh()
        try:
            self.companion.forked()
        finally:
            self._arm()  # last: until then this child's other threads keep away from the writers

    # Producers

    def append(self, record: bytes, timeout: float | None = None) -> None:
        """Copy one record into this process's open frame; from then on it outlives the process.

        Args:
            record: one JSON line, with its newline and without a NUL, at most `capacity` bytes.
            timeout: seconds to wait for a free frame; None waits without a limit.

        Raises:
            queue.Full: no frame became free in time.
            AbandonedError: nobody can make one free.
            EventError: the record is larger than a frame.
            ClosedError: the queue is closed.
        """
        if not self._guard[0]:
            self._reconsider()
        writer: FrameWriter | None
        try:
            try:
                writer = self._writers.pop()  # from here to the end the writer is nobody else's
            except IndexError:
                writer = self._open_writer(ACTIONS, self._records, timeout)
            position = writer.position
            end = position + len(record)
            if end > writer.limit:
                writer = self._exchange(writer, record, timeout)
                position = writer.position
                end = position + len(record)
            self._memory[position:end] = record
            writer.position = end
            writer.room -= 1
            if writer.room:
                self._writers.append(writer)
            else:
                self._seal(writer)
        except queue.Full:  # no writer is in our owner, and a full buffer says so for each event
            raise
        except BaseException as error:
            writer = None
            self._let_go(error)
            raise

    def append_lines(self, lines: memoryview, count: int, timeout: float | None = None) -> Taken:
        """Copy as many of some records as go into the open frame: the first one at least.

        Args:
            lines: `count` records, each as for `append`.
            count: one or more.
            timeout: as for `append`.

        Raises:
            EventError: the first record is larger than a frame.
            queue.Full, AbandonedError, ClosedError: as `append`.
        """
        if not self._guard[0]:
            self._reconsider()
        writer: FrameWriter | None
        try:
            try:
                writer = self._writers.pop()
            except IndexError:
                writer = self._open_writer(ACTIONS, self._records, timeout)
            while True:
                records, size = writer.fitting(lines, count)
                part = lines[:size]
                position = writer.position
                end = position + size
                if records and end <= writer.limit:  # asked last: a fork may have come between
                    break
                writer = self._exchange(writer, _first(lines), timeout)
            self._memory[position:end] = part
            writer.position = end
            writer.room -= records
            taken = Taken(records, size, writer.room)
            if writer.room:
                self._writers.append(writer)
            else:
                self._seal(writer)
        except BaseException as error:
            writer = None
            self._let_go(error)
            raise
        return taken

    def append_alone(self, record: bytes, timeout: float | None = None) -> None:
        """Give one identity a frame of its own, and to the workers at once; else as `append`."""
        if not self._guard[0]:
            self._reconsider()
        self._check_size(record)
        writer: FrameWriter | None
        try:
            writer = self._open_writer(IDENTITY, 1, timeout)
            end = writer.position + len(record)
            self._memory[writer.position : end] = record
            writer.position = end
            writer.room -= 1
            self._seal(writer)
        except BaseException as error:
            writer = None
            self._let_go(error)
            raise

    def check_open(self) -> None:
        """Whether records can be put.

        Raises:
            ClosedError: the queue is closed.
        """
        self._check_process()

    def seal_due(self, now: float) -> float:
        """Seal the writers whose oldest record has waited long enough.

        Args:
            now: the monotonic time, in seconds.

        Returns:
            Seconds until this has to be called again. A writer that is opened meanwhile is due
            later than that, so nobody has to wake the caller.
        """
        self._check_process()
        with self._visit():
            return self._seal_those_due(now)

    def seal(self) -> None:
        """Seal what this process has open, except what a thread is writing to right now."""
        self._check_process()
        with self._visit():
            self._seal_all()

    def flush(self, timeout: float | None = None) -> int:
        """Wait until all that this process has put before the call is settled.

        What waits for its next try is tried at once.

        Args:
            timeout: seconds; None waits without a limit, unless nobody can fetch.

        Returns:
            How many of those records are still pending: 0 is all settled.
        """
        self._check_process()
        # The open ones are listed first: what is sealed in between stands in both lists.
        written = [claim for claim, _ in self._open_writers()]
        left = [*written, *self._sealed.copy().items()]
        # The call that we have interrupted can't go on before we return.
        patience = _Deadline(_INTERRUPTED_SECONDS if _has_interrupted_an_append() else None)

        def all_settled() -> bool:
            written[:] = [claim for claim in written if claim in self._open]
            if written:  # a thread was writing to it before
                self._seal_all()
            while left and self._is_settled(left[-1]):
                left.pop()
            return not left or (left[-1] in self._open and patience.over())

        with self._visit():
            self._seal_all()
            self.retry_now()
            with contextlib.suppress(AbandonedError):
                self._wait_for(all_settled, timeout)
            waiting = {claim for claim in left if not self._is_settled(claim)}
            return sum(pending_in(self.arena, frame) for frame, _ in waiting)

    def _exchange(self, writer: FrameWriter, record: bytes, timeout: float | None) -> FrameWriter:
        """A writer that has room for `record`, for one that has not."""
        try:
            self._check_size(record)
        except EventError:
            self._writers.append(writer)
            raise
        while writer.position + len(record) > writer.limit:
            self._seal(writer)
            writer = self._open_writer(ACTIONS, self._records, timeout)
        return writer

    def _check_size(self, record: bytes) -> None:
        if len(record) > self.arena.capacity:
            raise EventError(
                f"the event takes {len(record):,} bytes as JSON, a request holds "
                f"{self.arena.capacity:,}: make its metadata smaller, or max_request_bytes larger"
            )

    def _open_writer(self, kind: int, records: int, timeout: float | None) -> FrameWriter:
        visitor = _Visitor()
        try:  # `with self._visit()`, at half its price
            self._inside.append(weakref.ref(visitor, self._inside.remove))
            if self._not_started:
                self._ensure_started()
            return self._try_open(kind, records) or self._await_room(kind, records, timeout)
        finally:
            del visitor
            if self._closed:
                self._release()

    def _await_room(self, kind: int, records: int, timeout: float | None) -> FrameWriter:
        found: list[FrameWriter] = []
        if timeout is None or timeout > 0:
            self._wait_for(functools.partial(self._found_room, kind, records, found), timeout)
        if found:
            return found[0]
        reason = self.companion.unavailable_reason()
        raise queue.Full if reason is None else AbandonedError(reason)

    def _try_open(self, kind: int, records: int) -> FrameWriter | None:
        writer = FrameWriter.open(self.arena, kind, records, time.monotonic() + self._interval)
        if writer is not None:
            self._open[writer.claim] = weakref.ref(writer)
        if self.arena.closed or self._closed:
            # Asked after the frame was taken: a worker that leaves sees it, or we see the end.
            if writer is not None:
                self._seal(writer)
            raise self._closed_error()
        return writer

    def _found_room(self, kind: int, records: int, found: list[FrameWriter]) -> bool:
        if kind == ACTIONS:  # what another thread has put back will do
            with contextlib.suppress(IndexError):
                found.append(self._writers.pop())
                return True
        writer = self._try_open(kind, records)
        if writer is not None:
            found.append(writer)
        return writer is not None

    def _ensure_started(self) -> None:
        """Let the companion ensure_started, once; whoever comes meanwhile waits for it."""
        me = (threading.get_ident(), object())
        deadline = _Deadline(_PREPARE_SECONDS)
        while self._not_started and not deadline.over():
            try:
                attending = self._starting.setdefault(None, me)
                if attending is me:
                    self.companion.ensure_started()
                    self._not_started = False
            finally:
                if self._starting.get(None) is me:
                    self._starting.pop(None, None)
            if attending[0] == me[0]:  # done, or we have interrupted it and it waits for us
                return
            time.sleep(_TURN_SECONDS)

    def _seal(self, writer: FrameWriter) -> None:
        frame, generation = writer.claim
        if not self.arena.locks.is_held_by(frame, writer):
            return  # a fork has interrupted the append: in the child, the writer is the parent's
        self._sealed[frame] = generation
        if writer.seal():
            self.work.notify(frame)
        self._open.pop(writer.claim, None)  # last: `close` waits for it

    def _seal_all(self) -> None:
        self._recover()
        for _, writer in self._open_writers():
            if writer is not None:
                self._take_and_seal(writer)

    def _seal_those_due(self, now: float) -> float:
        self._recover()
        wait = self._interval
        for _, writer in self._open_writers():
            if writer is None:
                wait = min(wait, _IN_USE_SECONDS)
            elif writer.due > now:
                wait = min(wait, writer.due - now)
            elif not self._take_and_seal(writer):
                wait = min(wait, _IN_USE_SECONDS)
        return wait

    def _recover(self) -> None:
        """Give back what an exception (Ctrl-C), between two steps, took out of every hand."""
        for frame in janitor.recover(self.arena):
            self.work.notify(frame)
        lost = self.arena.locks.lost()
        for claim, writer in self._open_writers():
            frame, generation = claim
            if writer is None and frame not in lost:
                self._sealed[frame] = max(generation, self._sealed.get(frame, 0))
                self._open.pop(claim, None)

    def _take_and_seal(self, writer: FrameWriter) -> bool:
        try:
            self._writers.remove(writer)
        except ValueError:  # a thread is writing to it
            return False
        self._seal(writer)
        return True

    def _open_writers(self) -> list[tuple[Claim, FrameWriter | None]]:
        # A copy, made in one step: a signal handler or `__del__` may come and open another.
        return [(claim, writer()) for claim, writer in self._open.copy().items()]

    def _is_settled(self, claim: Claim) -> bool:
        frame, generation = claim
        return self.arena.generation(frame) != generation or self.arena.state(frame) in (
            FREE,
            SETTLED,
        )

    # Workers

    def fetch(self) -> Frame | None:
        """Wait for the bell and claim the frame it names; None when another was quicker."""
        number = self.work.wait()
        frame = Frame.claim(self.arena, number)
        if frame is None and self.arena.state(number) == READY:
            # Somebody has its lock for as long as it takes to see that it isn't FREE (any more).
            time.sleep(_TURN_SECONDS)
            frame = Frame.claim(self.arena, number)
        return frame

    def join_ready(self, frame: Frame, records: int, size: int) -> None:
        """Join to a claimed frame what else is READY, to be sent in one request.

        Args:
            frame: as it was claimed.
            records: how many it may hold then.
            size: how many bytes of them.
        """
        if not frame.is_joinable:
            return
        count, length = frame.count, frame.length
        for number in itertools.islice(self.arena.each_in(READY), _JOIN_LOOKS):
            seen = Frame(self.arena, number)  # not claimed yet: most that cannot be joined stay so
            if not seen.is_joinable:
                continue
            if count + seen.count > records or length + seen.length > size:
                return
            other = Frame.claim(self.arena, number)
            if other is None:
                continue
            fits = count + other.count <= records and length + other.length <= size
            if not other.is_joinable or not fits:  # it is another filling now
                self.hand_back(other)
                continue
            count, length = count + other.count, length + other.length
            frame.join(other)

    def hand_back(self, frame: Frame) -> None:
        """Let any worker go on with a frame at once."""
        frame.hand_back()
        self.work.notify(frame.number)

    def retry_now(self) -> None:
        """Have what waits for its next try be tried now, if the platform wants no more waiting.

        Such a try is one more: if it fails, the frame waits on as if it had not been made.
        """
        now = time.time_ns()
        for number in self.arena.all_in(WAITING):
            if wake(self.arena, number, now, early=True):
                self.work.notify(number)

    def settle(self, frame: Frame) -> None:
        """Give back a frame all of whose records are through, and tell whoever waits for it."""
        frame.settle()
        self._tell_of_room()

    def settle_parked(self, frame: Frame, evicted: Evicted) -> None:
        """Give back a frame of which all that is not through is parked; see `Frame`."""
        frame.settle_parked(evicted)
        self._tell_of_room()

    # The face of a multiprocessing.JoinableQueue

    def put(self, obj: bytes, block: bool = True, timeout: float | None = None) -> None:
        """Put one record, a JSON line as `bytes`.

        Others see it when its frame is sealed: with `records=1` at once.

        Raises:
            queue.Full: no frame is free (within `timeout` seconds, if given).
            TypeError: not bytes.
            ValueError: not a JSON line, or larger than a frame; or the queue is closed.
        """
        if not isinstance(obj, bytes):
            raise TypeError(f"a record is bytes, not {type(obj).__name__}: encode it first")
        if not obj.endswith(b"\n") or obj.count(b"\n") > 1 or b"\0" in obj:
            raise ValueError("a record is one line: a newline at its end, no other and no NUL")
        self.append(obj, _limit(block, timeout))

    def get(self, block: bool = True, timeout: float | None = None) -> bytes:
        """Get one record; `task_done` must follow.

        Raises:
            queue.Empty: no record is there (within `timeout` seconds, if given).
            ValueError: the queue is closed.
        """
        self._check_process()
        deadline = _Deadline(_limit(block, timeout))
        with self._visit():
            return self._get(deadline)

    def task_done(self) -> None:
        """Say that a record which `get` returned is done with.

        Raises:
            ValueError: called more often than `get`.
        """
        self._check_process()
        with self._visit():
            self._task_done()

    def join(self) -> None:
        """Wait until all records that anybody has put are done with.

        Raises:
            AbandonedError: nobody can fetch what is left.
        """
        self._check_process()
        with self._visit():
            self._wait_for(self._all_done, None)

    def qsize(self) -> int:
        """How many records wait to be fetched, whatever process put them."""
        self._check_process()
        waiting = (f for state in (FILLING, READY, WAITING) for f in self.arena.all_in(state))
        return sum(pending_in(self.arena, frame) for frame in waiting) + len(self._unread)

    def empty(self) -> bool:
        """Whether no record waits."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether `put` would have to wait."""
        self._check_process()
        return not self._writers and self.arena.find(FREE) < 0

    def join_thread(self) -> None:
        """Nothing to wait for: `put` has copied its record before it returns."""

    def cancel_join_thread(self) -> None:
        """Nothing to cancel: there is no feeder thread, and nothing that it could lose."""

    def close(self) -> None:
        """Use the queue no more in this process; what it has put goes its way."""
        if self._released:
            return
        first = not self._closed  # else another thread is at it, or was interrupted
        if first:
            self._check_process()
        with self._visit():  # before anybody sees that it is closed: we are the last to leave
            self._closed = True
            self._guard = (0,)
            _queues.discard(self)
            if first:
                self._await_departures()

    # The whole

    def stats(self) -> Stats:
        """The balance sheet of records over all processes."""
        self._check_process()
        with self._visit():
            return balance(self.arena, self.counters)

    def __repr__(self) -> str:
        if self._closed:
            return "<RecordQueue closed>"
        free = sum(1 for _ in self.arena.all_in(FREE))
        return f"<RecordQueue {self.arena.frames - free} of {self.arena.frames} frames in use>"

    def __getstate__(self) -> Any:
        context.assert_spawning(self)  # by inheritance only, as every multiprocessing.Queue
        ends = (self.work.read_fd, self.work.write_fd, self.room.read_fd, self.room.write_fd)
        descriptors = [reduction.DupFd(fd) for fd in (self.arena.fd, *ends)]
        return descriptors, self._records, self._interval

    def __setstate__(self, state: Any) -> None:
        descriptors, records, interval = state
        arena, *ends = (descriptor.detach() for descriptor in descriptors)
        self._assemble(
            Arena(arena), WakeupPipe(*ends[:2]), WakeupPipe(*ends[2:]), records, interval
        )

    def _tell_of_room(self) -> None:
        if self.arena.wanted_until > time.monotonic_ns():
            self.room.notify()

    def _check_process(self) -> None:
        if not self._guard[0]:
            self._reconsider()

    def _reconsider(self) -> None:
        """The guard is down: the queue is closed, or this is a forked child."""
        if self._closed:
            raise self._closed_error()
        try:
            self._to_adopt.pop()
        except IndexError:  # another thread of the child is at it
            deadline = _Deadline(_PREPARE_SECONDS)
            while not self._guard[0] and not deadline.over():
                time.sleep(_TURN_SECONDS)
        if not self._guard[0]:
            self.after_fork()

    def _closed_error(self) -> ClosedError:
        return ClosedError(f"{self!r} takes no more records: put before close(), or make another")

    def _get(self, deadline: "_Deadline") -> bytes:
        while True:
            with contextlib.suppress(IndexError):
                record, reading = self._unread.popleft()
                self._handed.append(reading)
                return record
            frame = self._claim_next(deadline)
            if frame is None:
                raise queue.Empty
            self._read(frame)

    def _task_done(self) -> None:
        try:
            reading = self._handed.popleft()
        except IndexError:
            raise ValueError("task_done() called too many times") from None
        if reading.is_last():
            self.settle(reading.frame)

    def _claim_next(self, deadline: "_Deadline") -> Frame | None:
        """The frame that was sealed first, as the rings tell; None when the time is over."""
        while not self._closed:
            if self._open and not self.work.has_notifications():
                self._seal_all()
            number = self.work.wait_at_most(deadline.at_most(_LOOK_SECONDS))
            frame = self._claim_unheard() if number is None else Frame.claim(self.arena, number)
            if frame is not None:
                return frame
            if number is None and deadline.over():
                return None
        raise self._closed_error()

    def _claim_unheard(self) -> Frame | None:
        """A frame whose ring got lost, or whose owner has died."""
        for number in self.arena.all_in(READY) or janitor.sweep(self.arena):
            frame = Frame.claim(self.arena, number)
            if frame is not None:
                return frame
        return None

    def _all_done(self) -> bool:
        if self._open:
            self._seal_all()
        return self.arena.all_free()

    def _read(self, frame: Frame) -> None:
        # No comprehensions: before 3.12 theirs are frames that hold `frame`, and `_let_go` can't
        # undo that.
        records: list[bytes] = []
        for start, end in frame.spans():
            records += frame.content(start, end).splitlines(keepends=True)
        if not records:  # whoever had it before died on the last step
            self.settle(frame)
            return
        reading = _Reading(frame, len(records))
        self._unread.extend(zip(records, itertools.repeat(reading), strict=False))

    def _wait_for(self, reached: Callable[[], bool], timeout: float | None) -> bool:
        """Look at each ring of the bell whether `reached()`; False when the time is over.

        Raises:
            AbandonedError: nobody can bring it about.
        """
        deadline = _Deadline(timeout)
        while True:
            self.arena.wanted_until = time.monotonic_ns() + _WANTED_NS
            if reached():
                return True
            if deadline.over():
                return False
            reason = self.companion.unavailable_reason()
            if reason is not None:
                raise AbandonedError(reason)
            if self._closed:
                raise self._closed_error()
            self.room.wait_at_most(deadline.at_most(_LOOK_SECONDS))

    @contextlib.contextmanager
    def _visit(self) -> Iterator[None]:
        """Inside, the descriptors stay open: who leaves a closed queue last closes them."""
        visitor = _Visitor()
        try:
            self._inside.append(weakref.ref(visitor, self._inside.remove))
            yield
        except BaseException as error:
            self._let_go(error)
            raise
        finally:
            del visitor
            if self._closed:
                self._release()

    def _let_go(self, error: BaseException) -> None:
        """Part with what the frames of a traceback refer to.

        Somebody may keep it (a REPL does), and a writer that is in nobody's owner must be lost to
        be found.
        """
        traceback.clear_frames(error.__traceback__)
        if self._closed and isinstance(error, OSError | ValueError):
            raise self._closed_error() from error

    def _await_departures(self) -> None:
        """Wait, as the last visitor, for the others to put back their writers and to leave."""
        deadline = _Deadline(_LEAVE_SECONDS)
        self._seal_all()
        while (len(self._inside) > 1 or self._open) and not deadline.over():
            self.room.notify()
            time.sleep(_TURN_SECONDS)
            self._seal_all()

    def _release(self) -> None:
        """Close what a closed queue holds, when the last one has left."""
        if not self._inside:
            self.arena.close()
            self.work.close()
            self.room.close()
            self._released = True


class _Visitor:
    """Stands for a call that is under way; it leaves the queue by being gone, however it ends."""

    __slots__ = ("__weakref__",)


class _Reading:
    """A frame on its way through `get` and `task_done`."""

    def __init__(self, frame: Frame, records: int) -> None:
        self.frame = frame
        self._before_last = [None] * (records - 1)

    def is_last(self) -> bool:
        """Count one record; True for exactly one caller, the last."""
        try:
            self._before_last.pop()
        except IndexError:
            return True
        return False


class _Deadline:
    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    def over(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end

    def at_most(self, seconds: float) -> float:
        """What is left, but no more than `seconds`."""
        if self._end is None:
            return seconds
        return min(seconds, max(0.0, self._end - time.monotonic()))


def _first(lines: memoryview) -> bytes:
    return bytes(lines).split(b"\n", 1)[0] + b"\n"


def _limit(block: bool, timeout: float | None) -> float | None:
    return timeout if block else 0.0


# What holds a writer in a local variable while it runs.
_HOLDING: Final = (
    RecordQueue.append.__code__,
    RecordQueue.append_lines.__code__,
    RecordQueue.append_alone.__code__,
    RecordQueue._take_and_seal.__code__,
)


def _has_interrupted_an_append() -> bool:
    """Whether this thread is in the middle of one: a signal handler, or `__del__`, is calling."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code not in _HOLDING:
        frame = frame.f_back
    return frame is not None


_queues: weakref.WeakSet[RecordQueue] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for each in list(_queues):
        each.after_fork()


# Hooks cannot be taken back, so there is one, for all queues that live.
os.register_at_fork(after_in_child=_after_fork_in_child)
