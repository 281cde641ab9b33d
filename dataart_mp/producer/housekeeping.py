"""The housekeeping thread: it seals frames in time, and starts and replaces workers.

Each process that emits has one.
"""

import logging
import math
import select
import threading
import time
from collections.abc import Callable
from typing import Final

from dataart_mp import clock
from dataart_mp.errors import DescriptorsClosedError
from dataart_mp.producer import threads
from dataart_mp.queue.polling import make_poll
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.sync_rounds import SyncRounds
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool.ownership import Ownership
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.takeover import Takeover

_log = logging.getLogger("dataart_mp")

# The death of a worker that another process started is noticed after this time at the latest.
_CHECK_SECONDS: Final = 1.0
_IN_USE_SECONDS: Final = 0.01


class Housekeeping:
    """The housekeeping thread of one queue in this process.

    Args:
        queue: The queue whose frames it seals.
        supervisor: Starts the workers of that queue.
        takeover: The orphaned arenas that this process has taken over; they have workers too.
        look_at_reports: Is called each time with the time (monotonic, seconds).
    """

    def __init__(
        self,
        queue: RecordQueue,
        supervisor: Supervisor,
        takeover: Takeover,
        look_at_reports: Callable[[float], object],
    ) -> None:
        self._queue = queue
        self._look_at_reports = look_at_reports
        self._supervisor = supervisor
        self._takeover = takeover
        self._wakeup = WakeupPipe.make()
        self._stopped = self._forgotten = False
        self._needs_workers = False
        self.thread = threads.Thread(self._run, "housekeeping")
        self._sync_rounds = SyncRounds(queue.arena) if queue.arena.durability else None

    def start(self) -> None:
        """Start the thread, unless it was started before or the interpreter is shutting down.

        Raises:
            RuntimeError: The system cannot start a thread at the moment.
        """
        threads.start(self.thread)

    def ensure_started(self) -> None:
        """Start workers for the queue from now on, not only for orphaned arenas."""
        self._needs_workers = True
        self._wakeup.notify()
        if self.thread.ident is None:  # the interpreter is shutting down
            self._supervisor.check(clock.monotonic())

    def stop(self, seconds: float) -> bool:
        """Stop the thread; return False if that takes longer than `seconds`."""
        self._stopped = True
        self._wakeup.notify()
        # The thread itself calls this if the client is garbage-collected there.
        is_caller = self.thread is threading.current_thread()
        if not is_caller and not threads.join(self.thread, seconds):
            self.thread.after_end(self._wakeup.close)
            return False
        self._wakeup.close()
        return True

    def forget(self) -> None:
        """Release this process's copy in a forked child; the thread runs in the parent only."""
        self._forgotten = self._stopped = True
        self._wakeup.close()

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._check()
            except Exception as error:  # noqa: BLE001 - without this thread no frame is sealed in time
                if not self._can_continue_after(error):
                    break
                self._wakeup.wait_at_most(_CHECK_SECONDS)
        if self._forgotten:
            threads.stay_away()

    def _can_continue_after(self, error: Exception) -> bool:
        if self._stopped:  # the queue was closed meanwhile
            return False
        if self._has_lost_descriptors():
            self._seal_last()
            return False
        if isinstance(error, DescriptorsClosedError):
            _log.error("spool: an arena that was taken over is left to others: %s", error)
            self._takeover.close()
        else:
            _log.error("housekeeping failed; retrying", exc_info=error)
        return True

    def _has_lost_descriptors(self) -> bool:
        try:
            self._queue.verify()
        except DescriptorsClosedError as error:
            _log.error("%s; what was emitted before is delivered", error)
            return True
        return False

    def _seal_last(self) -> None:
        """Seal all open frames. No other one can be opened, and workers find them by themselves."""
        while not self._stopped and not self._queue.producer.drain():
            time.sleep(_IN_USE_SECONDS)  # a thread is writing to one

    def _check(self) -> None:
        """Do everything that is due, then wait until something may be due again."""
        self._queue.verify()
        self._queue.producer.read_notes()
        now = clock.monotonic()
        self._look_at_reports(now)
        self._takeover.check(now)
        ownership = Ownership(self._queue.arena)
        if not self._needs_workers and self._takeover.is_anything_parked(ownership, now):
            self._needs_workers = True
        own = [self._supervisor] if self._needs_workers else []
        supervisors = [*own, *self._takeover.supervisors]
        for supervisor in supervisors:
            supervisor.check(now)
        delays = [supervisor.due(now) for supervisor in supervisors]
        delays += self._sync_without_workers()
        self._wait(min(_CHECK_SECONDS, self._queue.producer.seal_due(now), *delays), supervisors)

    def _sync_without_workers(self) -> list[float]:
        """Bring what was appended to the disk; return the seconds until that is due again.

        Usually a worker does it, so that a slow disk delays nothing here.
        """
        if self._sync_rounds is None or self._supervisor.workers():
            return []
        return [self._sync_rounds.run_if_due()]

    def _wait(self, seconds: float, supervisors: list[Supervisor]) -> None:
        """Wait until a worker becomes ready or dies, a notification arrives, or time is up."""
        by_sentinel = {fd: each for each in supervisors for fd in each.sentinels}
        poll = make_poll()
        own = [self._wakeup.read_fd] if self._wakeup.is_readable() else []
        for fd in (*own, *by_sentinel):
            poll.register(fd, select.POLLIN)
        ready = poll.poll(math.ceil(seconds * 1000))
        self._queue.verify()  # the numbers may lead to files of the application by now
        for fd, _ in ready:
            if fd == self._wakeup.read_fd and not self._stopped:
                self._wakeup.drain()
            elif fd in by_sentinel and not self._stopped:
                by_sentinel[fd].read_status(fd, clock.monotonic())
