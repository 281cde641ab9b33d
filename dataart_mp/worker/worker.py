"""A worker: sender threads that wait for frames, and one thread that does everything else."""

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
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.parking import Parking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.shipper import Shipper

# The longest delay that a lost notification, or a death that went unnoticed, can cause.
_CHECK_SECONDS: Final = 1.0
# The time between two loads of parked batches, which are sent beside the new events.
_LOAD_SECONDS: Final = 0.02


class Worker:
    """One worker process at work.

    Args:
        queue: The queue that frames come from.
        life_end: A file descriptor; at end of file, no process is left that could emit.
        shipper: Sends the frames.
        senders: How many threads send concurrently, as far as the gate permits.
        gate: Lets them send.
        reporter: Notifies the application.
        supervisor: Replaces the other workers when no producer is left to do it.
        parking: Loads parked batches.
    """

    def __init__(
        self,
        queue: RecordQueue,
        life_end: int,
        shipper: Shipper,
        senders: int,
        gate: Gate,
        reporter: Reporter,
        supervisor: Supervisor,
        parking: Parking,
    ) -> None:
        self._queue = queue
        self._arena = queue.arena
        self._life_end = life_end
        self._shipper = shipper
        self._senders = senders
        self._gate = gate
        self._reporter = reporter
        self._supervisor = supervisor
        self._parking = parking
        self._is_orphaned = False
        self._wakeup = WakeupPipe.make()
        self._threads: list[threading.Thread] = []
        self._has_reported_threads = False

    def run(self) -> None:
        """Work until the client is closed, or its last producer gone, and all is settled."""
        with self._crash_reported():
            self._start_senders()
            while not self._is_finished():
                self._wait(self._check())
        self._parking.close()
        arena_file.remove(self._arena)

    def _start_senders(self) -> None:
        """Start the sender threads that are missing, as far as the system allows."""
        for number in range(len(self._threads), self._senders):
            thread = threading.Thread(target=self._send, name=f"sender {number}", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # a limit of memory or of processes; tried again
                if not self._has_reported_threads:
                    self._has_reported_threads = True
                    self._reporter.few_threads(number, self._senders, error)
                return
            self._threads.append(thread)

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
        is_alone = bool(self._senders) and not self._threads
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
        if self._is_orphaned:
            self._supervisor.check(clock.monotonic())
        self._start_senders()
        now = clock.now()
        due = self._queue.worker.look(now)
        next_check = _LOAD_SECONDS if self._load() else _CHECK_SECONDS
        return next_check if due is None else min(next_check, max(0.0, (due - now) / 1e9))

    def _load(self) -> bool:
        """Load parked batches unless this worker is about to end; whether there may be more."""
        return not self._is_closing() and self._parking.load(self._shipper.is_healthy)

    def _send(self) -> None:
        """Ship frames, one after the other, as long as the process lives."""
        with self._crash_reported():
            while True:
                with self._gate:
                    frame = self._queue.worker.fetch()
                    if frame is not None:
                        self._gate.wait_for_turn()
                    self._ship(frame)

    def _ship(self, frame: Frame | None) -> None:
        """Ship a claimed frame, and wake the main thread if it may have to act."""
        if frame is None:
            return
        delay = self._shipper.ship(frame)
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
