"""The engine: everything that runs behind a client in one process.

It holds the queue, the background threads, the supervisor of the workers, and the pipes to them.
"""

import logging
from collections.abc import Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Final

from dataart_mp import clock
from dataart_mp.config import ClientConfig
from dataart_mp.producer import uwsgi
from dataart_mp.producer.housekeeping import Housekeeping
from dataart_mp.producer.report_reader import ReportReader
from dataart_mp.queue import AbandonedError, RecordQueue
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.ownership import Ownership
from dataart_mp.supervision import interpreter
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.takeover import Takeover, spool_of
from dataart_mp.supervision.wiring import Wiring

_log = logging.getLogger("dataart_mp")

# How long `stop` waits for each of: the threads, the workers, and the last call of `on_failure`.
_STOP_SECONDS: Final = 2.0


class Engine:
    """Starts threads and workers at the first event, and anew in a forked child.

    It is the companion of the queue, which calls it before a process opens its first frame, and
    after a fork.

    Args:
        config: The configuration of the client.
        queue: The queue for the client's records.
        wiring: The pipes to the workers.
        spool: Where to look for orphaned arenas; None if there is no spool.
    """

    def __init__(
        self, config: ClientConfig, queue: RecordQueue, wiring: Wiring, spool: Spool | None = None
    ) -> None:
        self.queue = queue
        self._config = config
        self._wiring = wiring
        self._supervisor = Supervisor(queue, wiring, config)
        self._takeover = Takeover(spool, config, wiring.report_write_fd)
        self._housekeeping: Housekeeping | None = None
        self._report_reader: ReportReader | None = None
        queue.companion = self

    @classmethod
    def create(cls, config: ClientConfig, capacity: int) -> "Engine":
        """Create an engine with a new queue.

        It starts no worker, except for orphaned arenas and parked batches in the spool.

        Args:
            config: The configuration of the client.
            capacity: Size of a frame, in bytes of records.

        Raises:
            ConfigError: There is no Python interpreter to run workers, or the directory of the
                spool cannot be used.
        """
        interpreter.find()  # fails here rather than at the first event, after it was accepted
        spool = spool_of(config)
        arena = (Arena if spool is None else spool).create(config.flush_buffer_size, capacity)
        arena.reports_records = config.on_failure is not None
        records, interval = config.flush_actions_batch_size, config.flush_interval
        queue = RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), records, interval)
        engine = cls(config, queue, Wiring.make(), spool)
        if spool is not None:
            engine.take_over()
        return engine

    @classmethod
    def inherit(cls, config: ClientConfig, descriptors: tuple[Any, ...]) -> "Engine":
        """Create the engine of a spawned child from the parent's `descriptors()`."""
        queue, path, ends = descriptors
        queue.arena.path = path
        life_end, life, report = (end.detach() for end in ends)
        return cls(config, queue, Wiring(life_end, life, -1, report))

    def descriptors(self) -> tuple[RecordQueue, Path | None, Sequence[Any]]:
        """Return what a child that is being spawned inherits."""
        wiring = self._wiring
        ends = (wiring.life_read_fd, wiring.life_write_fd, wiring.report_write_fd)
        return self.queue, self.queue.arena.path, [reduction.DupFd(end) for end in ends]

    def workers(self) -> list[int]:
        """Return the process ids of the live workers, whichever process started them."""
        return self._supervisor.workers()

    def take_over(self) -> None:
        """Deliver what clients that died have left in the spool, now and later."""
        now = clock.monotonic()
        self._takeover.check(now)
        for supervisor in self._takeover.supervisors:
            supervisor.ensure_one(now)
        self._start_threads()  # last: housekeeping releases arenas that are delivered meanwhile
        self._delegate_starts()
        if self._takeover.is_anything_parked(Ownership(self.queue.arena), now):
            self._start_workers()

    def ensure_started(self) -> None:
        """Start what this process needs before it emits: the threads and a worker.

        Raises:
            AbandonedError: The system cannot start a thread, so no frame would be sealed in time.
        """
        self.queue.verify()
        try:
            self._start_workers()
        except RuntimeError as error:
            raise AbandonedError(f"{error}; raise the limits of memory or of processes") from error

    def _start_workers(self) -> None:
        """Start one worker at once, which outlives this process; housekeeping starts the others."""
        self._start_threads()  # first: a starting worker would compete with them for the CPU
        self._supervisor.ensure_one(clock.monotonic())
        self._delegate_starts()
        if self._housekeeping is not None:
            self._housekeeping.ensure_started()

    def _start_threads(self) -> None:
        if uwsgi.is_master():
            return
        self._start_report_reader()
        if self._housekeeping is None:
            housekeeping = Housekeeping(self.queue, self._supervisor, self._takeover)
            housekeeping.start()
            self._housekeeping = housekeeping

    def ensure_reports_read(self) -> None:
        """Read the reports of workers also in a process that does not emit.

        This matters in the process that created the client, if only its children emit: the master
        of a server, for example.
        """
        if self._report_reader is None and not uwsgi.is_master() and self.queue.stats().accepted:
            try:
                self._start_report_reader()
            except RuntimeError as error:
                _log.error("cannot read the reports of workers: %s", error)

    def _start_report_reader(self) -> None:
        if self._wiring.report_read_fd >= 0 and self._report_reader is None:
            self._report_reader = ReportReader(self._wiring.report_read_fd, self._config.on_failure)

    def _delegate_starts(self) -> None:
        """Let the workers start further workers, where this process may have no thread for it."""
        if uwsgi.is_master():
            for supervisor in (self._supervisor, *self._takeover.supervisors):
                supervisor.close()

    def forked(self) -> None:
        """Reset this engine in a forked child: threads and reports belong to the parent."""
        if self._housekeeping is not None:
            self._housekeeping.forget()
            self._housekeeping = None
        if self._report_reader is not None:
            self._report_reader.forget()
            self._report_reader = None
        self._wiring.close_reports()
        self._supervisor.forked()
        self._takeover.forked()

    def unavailable_reason(self) -> str | None:
        """Return why no worker is running or can be started; None if one is, or may be."""
        return self._supervisor.unavailable_reason()

    def ensure_worker_remains(self) -> None:
        """Make sure, before this process ends, that a worker delivers the remaining records."""
        self._supervisor.ensure_one_remains(clock.monotonic())

    def stop(self, *, wait: bool) -> None:
        """Stop the threads and close all descriptors; workers deliver the remaining records.

        Args:
            wait: Whether all records are settled. Then workers that serve no other process end at
                once, and this call waits for them.
        """
        stopped = self._housekeeping is None or self._housekeeping.stop(_STOP_SECONDS)
        self.ensure_worker_remains()
        self._wiring.close_life()
        if wait and stopped and self.queue.arena.closed:  # else they remain for other processes
            self._supervisor.wait(_STOP_SECONDS)
        if self._report_reader is not None and not self._report_reader.stop(_STOP_SECONDS):
            stopped = False
        self._supervisor.close()
        self._takeover.close()
        if self.queue.arena.closed and self.queue.arena.all_free():
            arena_file.remove(self.queue.arena)
        self.queue.close()
        if stopped:  # else a thread still uses them
            self._wiring.close()
