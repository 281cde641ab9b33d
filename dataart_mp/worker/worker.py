"""A worker: a thread that drives all requests, and one that does everything else.

main thread      checks the queue, loads parked batches, replaces other workers
loop             claims, sends and settles; see `loop`
helper threads   do what may wait, and end when there is nothing to do; see `helpers`
"""

import contextlib
import math
import os
import select
import threading
import traceback
from collections.abc import Iterator
from typing import Final

from dataart_mp import clock
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.idle_memory import IDLE_SECONDS, IdleMemory
from dataart_mp.queue.status import PLACES_SHOWN, Status
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.helpers import Helpers
from dataart_mp.worker.loop import Loop
from dataart_mp.worker.parking import Parking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.shipper import Shipper

# The longest delay that a lost notification, or a death that went unnoticed, can cause.
_CHECK_SECONDS: Final = 1.0
# The shortest time until the next check, so that a frame that another process has locked for longer
# than it should causes no busy loop.
_WAKE_SECONDS: Final = 0.005
# The time between two loads of parked batches, which are sent beside the new events.
_LOAD_SECONDS: Final = 0.02


class Worker:
    """One worker process at work.

    Args:
        queue: The queue that frames come from.
        life_end: A file descriptor; at end of file, no process is left that could emit.
        shipper: Sends the frames.
        sender: Makes requests, and has the connections.
        gate: Says how many requests may be in flight.
        reporter: Notifies the application.
        supervisor: Replaces the other workers when no producer is left to do it.
        parking: Loads parked batches.
        place: The number of this worker.
        has_key_file: Whether the API key comes from a file, which may change.
    """

    def __init__(
        self,
        queue: RecordQueue,
        life_end: int,
        shipper: Shipper,
        sender: Sender,
        gate: Gate,
        reporter: Reporter,
        supervisor: Supervisor,
        parking: Parking,
        place: int = PLACES_SHOWN,
        *,
        has_key_file: bool = False,
    ) -> None:
        self._queue = queue
        self._arena = queue.arena
        self._life_end = life_end
        self._shipper = shipper
        self._sender = sender
        self._gate = gate
        self._reporter = reporter
        self._supervisor = supervisor
        self._parking = parking
        self._place = place
        self._has_key_file = has_key_file
        self._status = Status(queue.arena)
        self._idle_memory = IdleMemory(queue.arena)
        self._give_back_at = 0.0
        self._is_orphaned = False
        self._wakeup = WakeupPipe.make()
        self._loop: Loop | None = None
        self._loop_thread: threading.Thread | None = None
        self._has_reported_threads = False
        self._key_problem: str | None = None

    def run(self) -> None:
        """Work until the client is closed, or its last producer gone, and all is settled."""
        with self._crash_reported():
            self._start_loop()
            while not self._is_finished():
                self._wait(self._check())
        self._parking.close()
        arena_file.remove(self._arena)

    def _start_loop(self) -> None:
        """Start the loop, unless it runs already or the system does not allow another thread."""
        if self._loop_thread is not None or not self._gate.most:
            return
        thread = threading.Thread(target=self._run_loop, name="loop", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # a limit of memory or of processes; tried again
            self._report_threads(0, error)
            return
        self._loop_thread = thread

    def _report_threads(self, threads: int, error: RuntimeError) -> None:
        """Report, once, that the system does not allow as many threads as this worker needs."""
        if not self._has_reported_threads:
            self._has_reported_threads = True
            self._reporter.few_threads(threads, self._gate.most, error)

    def _is_finished(self) -> bool:
        if not self._is_closing() or not self._arena.all_free():
            return False
        # Another worker may not have noticed the end yet and be loading parked batches: either this
        # process sees its frame now, or that one sees that the arena is closed.
        self._arena.close_permanently()
        return self._arena.all_free()

    def _is_closing(self) -> bool:
        return self._is_orphaned or self._arena.closed

    def _wait(self, seconds: float) -> None:
        """Wait for a notification, or the end of a worker or of the last producer."""
        poll = select.poll()
        poll.register(self._wakeup.read_fd, select.POLLIN)
        if not self._is_orphaned:
            poll.register(self._life_end, select.POLLIN)
        for status in self._supervisor.sentinels:
            poll.register(status, select.POLLIN)
        is_alone = self._gate.most > 0 and self._loop_thread is None
        work = self._queue.work.read_fd if is_alone else -1
        if work >= 0:
            poll.register(work, select.POLLIN)
        for fd, _ in poll.poll(math.ceil(seconds * 1000)):
            if fd == self._wakeup.read_fd:
                self._wakeup.drain()
            elif fd == self._life_end:
                self._is_orphaned = True
            elif fd == work:  # there is no thread that sends, so this one does
                self._ship(self._queue.worker.fetch_at_once())
            else:
                self._supervisor.read_status(fd, clock.monotonic())

    def _check(self) -> float:
        """Find work that no notification announced.

        Returns:
            Seconds until the next check.
        """
        self._status.show_life(self._place)
        if self._has_key_file:
            self._check_key()
        if self._is_orphaned:
            self._supervisor.check(clock.monotonic())
        self._start_loop()
        self._give_back(clock.monotonic())
        self._shipper.follow_others()
        self._shipper.probe()
        now = clock.now()
        due = self._queue.worker.look(now)
        if self._loop is not None and self._queue.work.has_notifications():
            self._loop.wake()
        next_check = _LOAD_SECONDS if self._load() else _CHECK_SECONDS
        if due is None:
            return next_check
        # What is due already, another process is waking; if it is stopped, not for a while.
        return min(next_check, max(_WAKE_SECONDS, (due - now) / 1e9))

    def _check_key(self) -> None:
        """Use a new API key at once, also for what waits because the old one was refused."""
        if self._sender.check_key():
            self._queue.worker.retry_now()
        problem = self._sender.key_problem
        if problem is not None and problem != self._key_problem:
            self._status.note_error(problem)
        self._key_problem = problem

    def _give_back(self, now: float) -> None:
        if now >= self._give_back_at:
            self._give_back_at = now + IDLE_SECONDS
            self._idle_memory.give_back()

    def _load(self) -> bool:
        """Load parked batches unless this worker is about to end; whether there may be more."""
        return not self._is_closing() and self._parking.load(self._shipper.is_healthy)

    def _run_loop(self) -> None:
        """Ship frames as long as the process lives."""
        with self._crash_reported():
            self._loop = loop = self._make_loop()
            while True:
                loop.turn()

    def _make_loop(self) -> Loop:
        return Loop(
            queue=self._queue,
            shipper=self._shipper,
            sender=self._sender,
            helpers=Helpers(self._gate.most, self._crash_reported, self._report_threads),
            gate=self._gate,
            on_release=self._on_release,
            place=self._place,
        )

    def _ship(self, frame: Frame | None) -> None:
        """Ship a claimed frame."""
        if frame is not None:
            self._on_release(self._shipper.ship(frame))

    def _on_release(self, delay: float | None) -> None:
        """Wake the main thread if it may have to act, now that frames were released."""
        if delay is not None or not self._shipper.all_circuits_closed or self._is_closing():
            self._wakeup.notify()

    @contextlib.contextmanager
    def _crash_reported(self) -> Iterator[None]:
        """Report an exception that ends a thread, and end the process.

        If only the thread ended, its frame would stay unsent while this process lives. When the
        process ends, the kernel releases its frames, and another worker continues with them.
        """
        try:
            yield
        except BaseException:  # noqa: BLE001 - whatever it is
            self._reporter.crashed(traceback.format_exc())
            os._exit(1)
