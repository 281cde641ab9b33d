"""The engine: everything that runs behind a client in one process.

It holds the queue, the background threads, the supervisor of the workers, and the pipes to them.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import reduction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dataart_mp import clock
from dataart_mp.config import ClientConfig, limits
from dataart_mp.errors import ClosedError, ConfigError, DescriptorsClosedError
from dataart_mp.producer import eventlet, reaper, uwsgi
from dataart_mp.producer.blocked_log import BlockedLog
from dataart_mp.producer.housekeeping import Housekeeping
from dataart_mp.producer.last_failure import LastFailure
from dataart_mp.producer.outage_log import Backlog
from dataart_mp.producer.report_reader import ReportReader
from dataart_mp.producer.threads import Thread
from dataart_mp.producer.users import User, Users
from dataart_mp.queue import AbandonedError, RecordQueue
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.locks import READER
from dataart_mp.queue.status import Status
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.spool.ownership import Ownership
from dataart_mp.supervision import interpreter
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.takeover import Takeover, spool_of
from dataart_mp.supervision.wiring import Wiring

if TYPE_CHECKING:
    from dataart_mp.spool.arenas import Spool

_log = logging.getLogger("dataart_mp")

# How long `stop` waits for each of: the threads, the workers, and the last call of `on_failure`.
_STOP_SECONDS: Final = 2.0
# How long `stop` waits for a call by another thread that is starting threads and a worker.
_START_SECONDS: Final = 1.0
# A process that did not create the client reads reports that nobody has read for so long.
_UNREAD_SECONDS: Final = 5.0
# How long the end of a client, or of the process, waits for the interpreters that fork workers.
REAP_SECONDS: Final = 1.0


class Engine:
    """Starts threads and workers at the first event, and again in a forked child.

    It is the companion of the queue, which calls it before a process opens its first frame, and
    after a fork.

    Args:
        config: The configuration of the client.
        queue: The queue for the client's records.
        wiring: The pipes to the workers.
        spool: Where to look for orphaned arenas; None if there is no spool.
    """

    def __init__(
        self, config: ClientConfig, queue: RecordQueue, wiring: Wiring, spool: "Spool | None" = None
    ) -> None:
        self.queue = queue
        self._config = config
        self._wiring = wiring
        self._supervisor = Supervisor(queue, wiring, config)
        self._takeover = Takeover(spool, config, wiring.report_write_fd)
        self._housekeeping: Housekeeping | None = None
        self._report_reader: ReportReader | None = None
        # The users of the pipes: the threads, and calls that start something.
        self._users = Users(wiring.close)
        self._thread_users: dict[Thread, User] = {}
        self._reader_permit: list[None] = [None]
        self._reads_at_once = True
        self._unread_since: float | None = None
        self._gave_up_waiting = False
        last_failure = LastFailure(Status(queue.arena))
        self._blocked_log = BlockedLog(lambda: last_failure)
        queue.companion = self

    @classmethod
    def create(cls, config: ClientConfig, capacity: int) -> "Engine":
        """Create an engine with a new queue.

        It starts no worker, except for orphaned arenas and parked batches in the spool.

        Args:
            config: The configuration of the client.
            capacity: Size of a frame, in bytes of records.

        Raises:
            ConfigError: There is no Python interpreter to run workers, eventlet has patched the
                process, the directory of the spool cannot be used, or a limit of the system is
                reached. Nothing is left behind then.
        """
        if eventlet.is_patched():
            raise ConfigError(eventlet.REFUSAL)
        interpreter.find()  # fails here rather than at the first event, after it was accepted
        with _refusal(config), contextlib.ExitStack() as undo:
            spool = spool_of(config)
            arena = (Arena if spool is None else spool).create(config.flush_buffer_size, capacity)
            undo.callback(arena.close)
            undo.callback(arena_file.remove, arena)  # before it is closed, and its lock released
            arena.reports_records = config.on_failure is not None
            Status(arena).interval = config.flush_interval
            work = WakeupPipe.make()
            undo.callback(work.close)
            room = WakeupPipe.make()
            undo.callback(room.close)
            records, interval = config.flush_actions_batch_size, config.flush_interval
            queue = RecordQueue.attach(arena, work, room, records, interval)
            undo.callback(queue.close)
            wiring = Wiring.make()
            undo.callback(wiring.close)
            engine = cls(config, queue, wiring, spool)
            if spool is not None:
                undo.callback(engine.stop, wait=False)
                undo.callback(arena.close_permanently)
                engine.take_over()
            undo.pop_all()
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
            AbandonedError: The system cannot start a thread, or has no descriptor for it, so no
                frame would be sealed in time.
            ClosedError: The client is closed, or is being closed by another thread.
        """
        me = User(is_call=True)
        try:
            self._users.add(me)  # before the check: `stop` finds this user, or this call stops
            self._check_open()
            self.queue.verify()
            if eventlet.is_patched():  # since the client was created
                raise AbandonedError(eventlet.REFUSAL)
            self._start_workers()
        except RuntimeError as error:
            raise AbandonedError(f"{error}; {limits.MORE_THREADS}") from error
        except OSError as error:
            self._check_open()
            raise AbandonedError(f"{error.strerror}; {limits.remedy(error)}") from error
        finally:
            if self._gave_up_waiting:  # `stop` may have ended before it saw what was started here
                self._stop_housekeeping()
                self._stop_report_reader()
                self._supervisor.close(0)
            self._users.remove(me)

    def _check_open(self) -> None:
        if self._users.closed:
            raise ClosedError

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
        if self._reads_at_once:
            self._start_report_reader()
        if self._housekeeping is None:
            self._housekeeping = Housekeeping(
                self.queue, self._supervisor, self._takeover, self._look_at_reports
            )
            self._register(self._housekeeping.thread)
        try:
            self._housekeeping.start()  # perhaps again, after an exception had interrupted it
        except RuntimeError:
            self._stop_housekeeping()  # it may take long until it can be started
            self._housekeeping = None
            raise

    def ensure_reports_read(self) -> None:
        """Read the reports of workers also in a process that does not emit.

        This matters in the process that created the client, if only its children emit: the master
        of a server, for example.
        """
        if self._report_reader is not None or not self._reads_at_once or uwsgi.is_master():
            return
        if not self.queue.stats().accepted:
            return
        me = User(is_call=True)
        try:
            self._users.add(me)
            if not self._users.closed:
                self._start_report_reader()
        except DescriptorsClosedError:  # housekeeping has logged that
            pass
        except (RuntimeError, OSError) as error:
            _log.error("cannot read the reports of workers: %s", error)
        finally:
            self._users.remove(me)

    def _look_at_reports(self, now: float) -> None:
        """Read the reports of workers if no process does.

        Usually the process that created the client reads them. But it may be the master of a
        server, which never emits and would read them at its end, or it may have ended.
        """
        if self._report_reader is not None or not self._wiring.has_unread_reports():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since >= _UNREAD_SECONDS:
            self._start_report_reader()

    def _start_report_reader(self) -> None:
        report_read_fd = self._wiring.report_read_fd
        if report_read_fd < 0:
            return
        if self._report_reader is None:
            try:
                self._reader_permit.pop()  # atomic: one of several threads creates the reader
            except IndexError:
                return
            try:
                locks = self.queue.arena.locks
                if not locks.holds(READER) and not locks.acquire(READER):
                    return  # another process reads them
                self._report_reader = ReportReader(
                    report_read_fd,
                    self._config.on_failure,
                    urlsplit(self._config.base_url).netloc,
                    self._backlog,
                )
                self._register(self._report_reader.thread)
            finally:
                if self._report_reader is None:
                    self._reader_permit.append(None)
        try:
            self._report_reader.start()
        except RuntimeError:
            self._stop_report_reader()
            self._report_reader = None
            self.queue.arena.locks.release(READER)
            self._reader_permit.append(None)
            raise

    def _backlog(self) -> Backlog:
        """Return what is to be sent and was sent, with what was taken over; for the log."""
        try:
            stats = self.queue.stats()
        except ClosedError:
            return Backlog()
        over = self._takeover.stats()
        ages = [each.oldest_pending_seconds for each in (stats, over)]
        return Backlog(
            pending=stats.pending + over.pending,
            oldest=max((age for age in ages if age is not None), default=None),
            parked=stats.parked + over.parked,
            delivered=stats.delivered + over.delivered,
            rejected=stats.rejected + over.rejected,
            failed=stats.failed + over.failed,
            is_failing=bool(stats.failing_since or over.failing_since),
        )

    def _register(self, thread: Thread) -> None:
        """Count a thread, which is about to start, as a user until its end."""
        user = self._thread_users[thread] = User(is_call=False)
        self._users.add(user)
        thread.after_end(lambda: self._users.remove(user))

    def _unregister(self, thread: Thread) -> None:
        """Count a thread no more; it has ended, or has never started."""
        user = self._thread_users.pop(thread, None)
        if user is not None:
            self._users.remove(user)

    def _delegate_starts(self) -> None:
        """Let the workers start further workers, where this process may have no thread for it."""
        if uwsgi.is_master():
            for supervisor in (self._supervisor, *self._takeover.supervisors):
                supervisor.close(REAP_SECONDS)

    def forked(self) -> None:
        """Reset this engine in a forked child: threads belong to the parent."""
        if self._housekeeping is not None:
            self._housekeeping.forget()
            self._housekeeping = None
        if self._report_reader is not None:
            self._report_reader.forget()
            self._report_reader = None
        self._users.forget()
        self._thread_users.clear()
        self._reader_permit = [None]
        self._reads_at_once = False
        self._unread_since = None
        self._supervisor.forked()
        self._takeover.forked()

    def waiting(self, call: str, seconds: float) -> None:
        """Log a call that a full buffer blocks, at most once a minute."""
        self._blocked_log.waiting(call, seconds, clock.monotonic())

    def unavailable_reason(self) -> str | None:
        """Return why no worker is running or can be started; None if one is, or may be."""
        return self._supervisor.unavailable_reason()

    def ensure_worker_remains(self) -> None:
        """Make sure, before this process ends, that a worker delivers the remaining records."""
        with contextlib.suppress(DescriptorsClosedError):  # housekeeping has logged that
            self._supervisor.ensure_one_remains(clock.monotonic())

    def reap(self, seconds: float) -> None:
        """Reap the interpreters that have forked workers, before process 1 has to do it.

        Args:
            seconds: How long to wait for them. They end within milliseconds, unless they start
                slowly.
        """
        self._supervisor.reap(seconds)

    def stop(self, *, wait: bool) -> None:
        """Stop the threads and close all descriptors; workers deliver the remaining records.

        A step that fails is logged, and the others are still made.

        Args:
            wait: Whether all records are settled. Then workers that serve no other process end at
                once, and this call waits for them.
        """
        me = User(is_call=True)
        self._users.add(me)
        self._users.close()
        try:
            self._gave_up_waiting = not self._users.await_calls(_START_SECONDS)
            self._attempt(self._stop_housekeeping)
            self._attempt(self.ensure_worker_remains)
            self._attempt(self._wiring.close_life)
            if wait and self.queue.arena.closed:  # else they remain for other processes
                self._attempt(lambda: self._supervisor.wait(_STOP_SECONDS))
            self._attempt(self._stop_report_reader)
            self._attempt(lambda: self._supervisor.close(REAP_SECONDS))
            self._attempt(self._takeover.close)
            self._attempt(self._remove_file)
            self._attempt(self.queue.close)
            self._attempt(reaper.ensure_running)
        finally:
            self._users.remove(me)

    def _attempt(self, step: Callable[[], object]) -> None:
        """Make one step of the end of a client; log what prevents it."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the other steps are independent of this one
            _log.error("closing a client: %s; continuing", error)

    def _stop_housekeeping(self) -> None:
        housekeeping = self._housekeeping
        if housekeeping is not None and housekeeping.stop(_STOP_SECONDS):
            self._unregister(housekeeping.thread)

    def _stop_report_reader(self) -> None:
        reader = self._report_reader
        if reader is not None and reader.stop(_STOP_SECONDS):
            self._unregister(reader.thread)

    def _remove_file(self) -> None:
        if self.queue.arena.closed and self.queue.arena.all_free():
            arena_file.remove(self.queue.arena)


@contextlib.contextmanager
def _refusal(config: ClientConfig) -> Iterator[None]:
    """Turn an error of the system, while a client is created, into a ConfigError."""
    try:
        yield
    except OSError as error:
        problem = f"{error.strerror or error}; {limits.remedy(error)}"
        raise _refused(config, problem) from error
    except RuntimeError as error:  # no thread can be started
        raise _refused(config, f"{error}; {limits.MORE_THREADS}") from error


def _refused(config: ClientConfig, problem: str) -> ConfigError:
    if config.spool_dir is None:
        return ConfigError(f"a client cannot be created: {problem}")
    directory = str(config.spool_dir)
    return ConfigError(f"spool_dir={directory!r}: {problem}", "spool_dir", directory)
