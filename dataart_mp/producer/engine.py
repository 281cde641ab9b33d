"""The engine: the queue, the threads and the workers behind a client, in one process."""

import logging
import time
from collections.abc import Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Final

from dataart_mp.config import ClientConfig
from dataart_mp.producer import uwsgi
from dataart_mp.producer.housekeeping import Housekeeping
from dataart_mp.producer.report_reader import ReportReader
from dataart_mp.queue import AbandonedError, RecordQueue
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool.arenas import Spool, remove
from dataart_mp.spool.ownership import Ownership
from dataart_mp.supervision import interpreter
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.takeover import Takeover, spool_of
from dataart_mp.supervision.wiring import Wiring

_log = logging.getLogger("dataart_mp")

# How long `stop` waits for the threads, for workers to leave, and for the last `on_failure`.
_STOP_SECONDS: Final = 2.0


class Engine:
    """Starts nothing before the first event, and in a forked child starts anew.

    It is the queue's companion: the queue calls it before a process opens its first writer, and
    after a fork.

    Args:
        config: the client's.
        queue: where its records go.
        wiring: what ties it to the workers.
        spool: where to look for what dead clients have left behind; None: nowhere.
    """

    def __init__(
        self, config: ClientConfig, queue: RecordQueue, wiring: Wiring, spool: Spool | None = None
    ) -> None:
        self.queue = queue
        self._config = config
        self._wiring = wiring
        self._supervisor = Supervisor(queue, wiring, config)
        self._takeover = Takeover(spool, config, wiring.report_write_fd)
        self._watch: Housekeeping | None = None
        self._report_reader: ReportReader | None = None
        queue.companion = self

    @classmethod
    def make(cls, config: ClientConfig, capacity: int) -> "Engine":
        """A new queue, nobody at work on it yet; but on what dead clients left in the spool.

        Args:
            config: the client's.
            capacity: bytes of records that a frame holds.

        Raises:
            ConfigError: there is no Python interpreter for workers to run in, or the spool's
                directory cannot be used.
        """
        interpreter.find()  # rather now than at the first event, which would have been accepted
        spool = spool_of(config)
        arena = (Arena if spool is None else spool).create(config.flush_buffer_size, capacity)
        arena.reports_records = config.on_failure is not None
        records, interval = config.flush_actions_batch_size, config.flush_interval
        queue = RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), records, interval)
        engine = cls(config, queue, Wiring.make(), spool)
        if spool is not None:
            engine.enter_upon_heritage()
        return engine

    @classmethod
    def inherit(cls, config: ClientConfig, descriptors: tuple[Any, ...]) -> "Engine":
        """The engine of a spawned child, from what `descriptors` gave."""
        queue, path, ends = descriptors
        queue.arena.named(path)
        life_end, life, report = (end.detach() for end in ends)
        return cls(config, queue, Wiring(life_end, life, -1, report))

    def descriptors(self) -> tuple[RecordQueue, Path | None, Sequence[Any]]:
        """What a child that is being spawned inherits."""
        wiring = self._wiring
        ends = (wiring.life_read_fd, wiring.life_write_fd, wiring.report_write_fd)
        return self.queue, self.queue.arena.path, [reduction.DupFd(end) for end in ends]

    def workers(self) -> list[int]:
        """The process ids of the workers that live, whichever process started them."""
        return self._supervisor.workers()

    def enter_upon_heritage(self) -> None:
        """Deliver what dead clients have left in the spool, and what others will leave there."""
        now = time.monotonic()
        self._takeover.check(now)
        for supervisor in self._takeover.supervisors:
            supervisor.ensure_one(now)
        self._start_threads()  # last: the watch may part with what is delivered meanwhile
        self._leave_it_to_the_workers()
        if self._takeover.is_anything_parked(Ownership(self.queue.arena), now):
            self._start_workers()

    def ensure_started(self) -> None:
        """This process is about to emit: see to it that somebody delivers, and seals in time."""
        self.queue.arena.locks.announce()
        try:
            self._start_workers()
        except RuntimeError as error:  # nobody would seal in time, nor see to the workers
            raise AbandonedError(f"{error}; raise the limits of memory or of processes") from error

    def _start_workers(self) -> None:
        """One at once, which this process then needs no more; the watch sees to the others."""
        self._start_threads()  # first: a worker that starts would take the CPU from them
        self._supervisor.ensure_one(time.monotonic())
        self._leave_it_to_the_workers()
        if self._watch is not None:
            self._watch.ensure_started()

    def _start_threads(self) -> None:
        if uwsgi.is_master():
            return
        self._start_report_reader()
        if self._watch is None:
            watch = Housekeeping(self.queue, self._supervisor, self._takeover)
            watch.start()
            self._watch = watch

    def ensure_reports_read(self) -> None:
        """Hear what workers report, if there is anything of which they may, and nobody does yet.

        In a process that made the client and never emits itself: a server's master, say.
        """
        if self._report_reader is None and not uwsgi.is_master() and self.queue.stats().accepted:
            try:
                self._start_report_reader()
            except RuntimeError as error:
                _log.error("reports of workers are not heard: %s", error)

    def _start_report_reader(self) -> None:
        if self._wiring.report_read_fd >= 0 and self._report_reader is None:
            self._report_reader = ReportReader(self._wiring.report_read_fd, self._config.on_failure)

    def _leave_it_to_the_workers(self) -> None:
        """Where no thread may be: nobody here would ever let other processes start workers."""
        if uwsgi.is_master():
            for supervisor in (self._supervisor, *self._takeover.supervisors):
                supervisor.close()

    def forked(self) -> None:
        """Rebuild what a fork breaks; the threads, and the workers' reports, are the parent's."""
        if self._watch is not None:
            self._watch.forget()
            self._watch = None
        if self._report_reader is not None:
            self._report_reader.forget()
            self._report_reader = None
        self._wiring.close_reports()
        self._supervisor.forked()
        self._takeover.forked()

    def unavailable_reason(self) -> str | None:
        """Why no worker is there nor can be started; None when there are some, or may be."""
        return self._supervisor.unavailable_reason()

    def take_leave(self) -> None:
        """This process may be the last: see to it that somebody delivers what is left."""
        self._supervisor.ensure_one_remains(time.monotonic())

    def stop(self, *, wait: bool) -> None:
        """Leave the rest to the workers, and close what this process holds.

        Args:
            wait: whether everything is settled, so that workers that have no one else to serve
                leave at once, and can be waited for.
        """
        stopped = self._watch is None or self._watch.stop(_STOP_SECONDS)
        self.take_leave()
        self._wiring.close_life()
        if wait and stopped and self.queue.arena.closed:  # else they stay for other processes
            self._supervisor.wait(_STOP_SECONDS)
        if self._report_reader is not None and not self._report_reader.stop(_STOP_SECONDS):
            stopped = False
        self._supervisor.close()
        self._takeover.close()
        if self.queue.arena.closed and self.queue.arena.all_free():
            remove(self.queue.arena)
        self.queue.close()
        if stopped:  # else a thread still looks at them
            self._wiring.close()
