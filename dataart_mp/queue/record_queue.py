"""The record queue: a `multiprocessing.Queue` whose contents outlive every process that uses it.

    ProducerEnd ──► frames in the arena ──► WorkerEnd        the client and its workers
        put ──────► frames in the arena ──► get, task_done   anybody

It is a subclass of `multiprocessing.queues.Queue` with the methods of a `JoinableQueue` (`put`,
`get`, `task_done`, `join`, `qsize`, `empty`, `full`, `close`) and is handed to a child by
inheritance. Its items are records. They lie in shared memory, frame by frame, and the kernel knows
who owns a frame. So no death leaves a lock orphaned, a record half-written or a slot leaked.
"""

import multiprocessing.queues
from multiprocessing import context, reduction
from typing import TYPE_CHECKING, Any

from dataart_mp.queue.account import MAX_CAPACITY, MAX_RECORDS
from dataart_mp.queue.accounting import balance, pending_in
from dataart_mp.queue.arena import FILLING, FREE, READY, WAITING, Arena
from dataart_mp.queue.companion import Companion
from dataart_mp.queue.counters import DROPPED_FULL, HOOK_REASONS, HOOK_ROWS, Counters
from dataart_mp.queue.lifetime import Lifetime
from dataart_mp.queue.mark import Mark
from dataart_mp.queue.producer_end import ProducerEnd
from dataart_mp.queue.reader import Reader
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.queue.worker_end import WorkerEnd
from dataart_mp.stats import Stats

if TYPE_CHECKING:
    _Queue = multiprocessing.queues.Queue[bytes]
else:
    _Queue = multiprocessing.queues.Queue


class RecordQueue(_Queue):
    """Records (JSON lines) from any number of producers to any number of workers.

    Args:
        frames: How many frames there are; each is one pending request.
        capacity: Bytes of records that one frame holds.
        records: How many records fill a frame, which is when others see them.
        interval: Seconds after which a frame that is not full is due to be sealed.

    Attributes:
        arena: Where the frames are.
        work: The pipe that notifies workers.
        room: The pipe that notifies those that wait for frames to be settled.
        counters: Counts what belongs to no frame.
        hook_counters: Counts what hooks drop.
        producer: What a process that emits does with the queue.
        worker: What a process that delivers does with it.
    """

    def __init__(
        self,
        frames: int = 1000,
        capacity: int = 128 * 1024,
        *,
        records: int = 1,
        interval: float = 5.0,
    ) -> None:
        # Not super().__init__(): it makes semaphores, which a death would orphan.
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
        """Return the same queue in a process that inherited its descriptors."""
        attached = cls.__new__(cls)
        attached._assemble(arena, work, room, records, interval)
        return attached

    def _assemble(
        self, arena: Arena, work: WakeupPipe, room: WakeupPipe, records: int, interval: float
    ) -> None:
        arena.avoid_read_ahead()
        self.arena = arena
        self.work = work
        self.room = room
        self.counters = Counters(arena)
        self.hook_counters = Counters(arena, HOOK_ROWS)
        self._records = records
        self._interval = interval
        self._lifetime = Lifetime(arena, work, room, self.after_fork)
        self.worker = WorkerEnd(arena, work, room)
        self.producer = ProducerEnd(arena, work, self._lifetime, self.worker, records, interval)
        self._reader = Reader(arena, work, self._lifetime, self.worker, self.producer.seal_open)

    @property
    def companion(self) -> Companion:
        """What provides the queue with workers."""
        return self._lifetime.companion

    @companion.setter
    def companion(self, companion: Companion) -> None:
        self._lifetime.companion = companion

    def after_fork(self) -> None:
        """Rebuild, in a forked child, what the fork breaks.

        Writers, locks and threads of the parent stay with the parent.
        """
        self.producer.forked()
        self.arena.locks.forget()
        self.arena.identify()
        self.counters.forget()
        self.hook_counters.forget()
        self._reader.start_afresh()
        self._lifetime.start_afresh()
        try:
            self.companion.forked()
        finally:
            self._lifetime.arm()  # last: until then no other thread of this child appends

    def verify(self) -> None:
        """Make sure that the queue's descriptors still lead to its own files.

        Raises:
            DescriptorsClosedError: The application has closed some of them.
        """
        self.arena.locks.verify()

    def check_open(self) -> None:
        """Check that records can be put.

        Raises:
            ClosedError: The queue is closed.
        """
        self._lifetime.check()

    def count_dropped(self, column: int) -> None:
        """Count an event that a hook has dropped, as accepted and dropped.

        Args:
            column: One of the columns of `counters.HOOK_REASONS`.

        Raises:
            ClosedError: The queue is closed.
        """
        lifetime = self._lifetime
        lifetime.check()
        try:
            if self.arena.closed:
                raise lifetime.closed_error()
            self.hook_counters.add(column)
        except ValueError as error:  # another thread closes the queue
            lifetime.let_go(error)
            raise

    def stats(self) -> Stats:
        """Return the balance of records over all processes."""
        self._lifetime.check()
        with self._lifetime.visit():
            return balance(self.arena, self.counters)

    def mark(self) -> Mark:
        """Return a mark: it covers all that this process has put before the call.

        Raises:
            ClosedError: The queue is closed.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            full = self.counters.of_this_process(DROPPED_FULL)
            hooks = sum(map(self.hook_counters.of_this_process, HOOK_REASONS))
            return self.producer.mark(full + hooks)

    # The interface of a multiprocessing.JoinableQueue

    def put(self, obj: bytes, block: bool = True, timeout: float | None = None) -> None:
        """Put one record, a JSON line as `bytes`.

        Others see it when its frame is sealed: with `records=1` at once.

        Raises:
            queue.Full: No frame is free (within `timeout` seconds, if given).
            TypeError: The object is not `bytes`.
            ValueError: It is not a JSON line, or larger than a frame; or the queue is closed.
        """
        if not isinstance(obj, bytes):
            raise TypeError(f"a record is bytes, not {type(obj).__name__}; encode it first")
        if not obj.endswith(b"\n") or obj.count(b"\n") > 1 or b"\0" in obj:
            raise ValueError("a record is one line: a newline at its end, no other and no NUL")
        self.producer.append(obj, timeout if block else 0.0)

    def get(self, block: bool = True, timeout: float | None = None) -> bytes:
        """Get one record; `task_done` must follow.

        Raises:
            queue.Empty: No record is there (within `timeout` seconds, if given).
            ValueError: The queue is closed.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            return self._reader.get(timeout if block else 0.0)

    def task_done(self) -> None:
        """Say that a record which `get` returned is finished.

        Raises:
            ValueError: Called more often than `get`.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            self._reader.task_done()

    def join(self) -> None:
        """Wait until all records that any process has put are finished.

        Raises:
            AbandonedError: No worker can run to fetch what is left.
        """
        self._lifetime.check()
        with self._lifetime.visit():
            self._lifetime.wait_for(self._all_done, None)

    def qsize(self) -> int:
        """Return how many records wait to be fetched, whatever process put them."""
        self._lifetime.check()
        waiting = {f for state in (FILLING, READY, WAITING) for f in self.arena.all_in(state)}
        return pending_in(self.arena, *waiting) + self._reader.unread

    def empty(self) -> bool:
        """Return whether no record waits."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Return whether `put` would have to wait."""
        self._lifetime.check()
        return not self.producer.has_idle and self.arena.find(FREE) < 0

    def join_thread(self) -> None:
        """Do nothing: `put` has copied its record before it returns."""

    def cancel_join_thread(self) -> None:
        """Do nothing: there is no feeder thread, and nothing that it could lose."""

    def close(self) -> None:
        """Stop using the queue in this process; what it has put is still delivered."""
        self._lifetime.close(self.producer.conclude)

    def _all_done(self) -> bool:
        self.producer.seal_open()
        return self.arena.all_free()

    # Processes

    def __repr__(self) -> str:
        if self._lifetime.closed:
            return "<RecordQueue closed>"
        used = self.arena.frames - self.arena.free()
        return f"<RecordQueue {used} of {self.arena.frames} frames in use>"

    def __getstate__(self) -> Any:
        context.assert_spawning(self)  # by inheritance only, as every multiprocessing.Queue
        pipes = (self.work.read_fd, self.work.write_fd, self.room.read_fd, self.room.write_fd)
        descriptors = [reduction.DupFd(fd) for fd in (self.arena.fd, self.arena.lock_fd, *pipes)]
        return descriptors, self._records, self._interval

    def __setstate__(self, state: Any) -> None:
        descriptors, records, interval = state
        arena, locks, *ends = (descriptor.detach() for descriptor in descriptors)
        work, room = WakeupPipe(*ends[:2]), WakeupPipe(*ends[2:])
        self._assemble(Arena(arena, locks), work, room, records, interval)
