"""A worker: sender threads that wait for the bell, and one thread that looks after all else."""

import contextlib
import math
import os
import select
import threading
import time
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dataart_mp import clock
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.spool.dead_letters import DeadLetters
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.shipper import Shipper

if TYPE_CHECKING:
    from dataart_mp.worker.parker import Parker

# What a lost bell, or a death that nobody saw, costs at most.
_LOOK_SECONDS: Final = 1.0
# How soon to look again while parked batches go out beside the live traffic.
_BUSY_SECONDS: Final = 0.02


class Worker:
    """One worker process at work.

    Args:
        queue: where frames come from.
        life_end: at end of file when no process is left that could emit.
        sender: posts.
        senders: how many threads post at once.
        backoff: when a failed batch is tried again.
        reporter: tells the application.
        supervisor: replaces the other workers, when no producer is left to do it.
        letters: keeps what was given up on; None: nothing does.
        parker: parks what has had its last try; None: it is given up.
        join: how many actions frames are joined up to; None: each frame is a request.
    """

    def __init__(
        self,
        queue: RecordQueue,
        life_end: int,
        sender: Sender,
        senders: int,
        backoff: Backoff,
        reporter: Reporter,
        supervisor: Supervisor,
        letters: DeadLetters | None = None,
        parker: "Parker | None" = None,
        join: int | None = None,
    ) -> None:
        self._queue = queue
        self._arena = queue.arena
        self._life_end = life_end
        self._senders = senders
        self._reporter = reporter
        self._supervisor = supervisor
        self._parker = parker
        self._shipper = Shipper(queue, sender, backoff, reporter, letters, parker, join)
        self._orphaned = False
        self._news = WakeupPipe.make()

    def run(self) -> None:
        """Work until the client is closed, or its last producer gone, and all is settled."""
        with self._crash_reported():
            for number in range(self._senders):
                threading.Thread(target=self._send, name=f"sender {number}", daemon=True).start()
            while not self._finished():
                self._wait(self._look())
        if self._parker is not None:
            self._parker.close()
        arena_file.remove(self._arena)

    def _finished(self) -> bool:
        if not self._leaving() or not self._arena.all_free():
            return False
        # Another worker may not have seen the end yet, and be taking what is parked: either we see
        # its frame now, or it sees that the arena is closed.
        self._arena.close_for_good()
        return self._arena.all_free()

    def _leaving(self) -> bool:
        return self._orphaned or self._arena.closed

    def _wait(self, seconds: float) -> None:
        """Wait for news: a frame to wait for, the last one settled, the last producer gone."""
        poll = select.poll()
        poll.register(self._news.read_fd, select.POLLIN)
        if not self._orphaned:
            poll.register(self._life_end, select.POLLIN)
        for status in self._supervisor.sentinels:
            poll.register(status, select.POLLIN)
        for fd, _ in poll.poll(math.ceil(seconds * 1000)):
            if fd == self._news.read_fd:
                self._news.drain()
            elif fd == self._life_end:
                self._orphaned = True
            else:
                self._supervisor.read_status(fd, clock.monotonic())

    def _look(self) -> float:
        """Look through the states for what no bell has told; the seconds until the next look."""
        if self._orphaned:
            self._supervisor.check(clock.monotonic())
        now = time.time_ns()
        due = self._queue.worker.look(now)
        next_look = _BUSY_SECONDS if self._load() else _LOOK_SECONDS
        return next_look if due is None else min(next_look, max(0.0, (due - now) / 1e9))

    def _load(self) -> bool:
        """Take what is parked, unless this worker is about to go; whether there may be more."""
        if self._parker is None or self._leaving():
            return False
        return self._parker.load(self._shipper.answers)

    def _send(self) -> None:
        """One sender's life: a frame, a request, and so on."""
        with self._crash_reported():
            while True:
                frame = self._queue.worker.fetch()
                if frame is not None:
                    delay = self._shipper.ship(frame)
                    if delay is not None or not self._shipper.all_flows or self._leaving():
                        self._news.notify()

    @contextlib.contextmanager
    def _crash_reported(self) -> Iterator[None]:
        """End the whole process when a thread ends by an exception, and tell of it.

        A sender that ended alone would leave its frame unsent and this process alive. As it is, the
        kernel gives its frames back, and another process goes on with them.
        """
        try:
            yield
        except BaseException:  # noqa: BLE001 - whatever it is
            self._reporter.crashed(traceback.format_exc())
            os._exit(1)
