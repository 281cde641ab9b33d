"""The watch: one thread in each process that emits.

It seals frames when their time has come, and sees to it that workers are there.
"""

import logging
import math
import select
import threading
import time
from typing import Final

from dataart_mp.producer import threads
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool.ownership import Ownership
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.takeover import Takeover

_log = logging.getLogger("dataart_mp")

# A worker that somebody else started, and that died, is missed at the latest after this time.
_LOOK_SECONDS: Final = 1.0


class Housekeeping:
    """The thread that attends one queue in this process.

    Args:
        queue: the queue whose frames it seals.
        supervisor: starts the queue's workers.
        takeover: what was taken over from dead clients, and has workers, too.
    """

    def __init__(self, queue: RecordQueue, supervisor: Supervisor, takeover: Takeover) -> None:
        self._queue = queue
        self._supervisor = supervisor
        self._takeover = takeover
        self._news = WakeupPipe.make()
        self._stopped = self._forgotten = False
        self._starting = False
        self._thread = threads.Thread(self._watch, "watch")

    def start(self) -> None:
        """Start the thread, unless the interpreter is shutting down.

        Raises:
            RuntimeError: the system gives no thread; it may later.
        """
        try:
            threads.start(self._thread)
        except RuntimeError:
            self._news.close()
            raise

    def ensure_started(self) -> None:
        """From here on the queue itself needs workers, and not only what others have left."""
        self._starting = True
        self._news.notify()
        if self._thread.ident is None:  # the interpreter is shutting down
            self._supervisor.check(time.monotonic())

    def stop(self, seconds: float) -> bool:
        """End the thread; False when that takes longer than `seconds`."""
        self._stopped = True
        self._news.notify()
        itself = self._thread is threading.current_thread()  # where the client is collected
        if not itself and not threads.join(self._thread, seconds):
            return False
        self._news.close()
        return True

    def forget(self) -> None:
        """In a forked child: the thread is the parent's."""
        self._forgotten = self._stopped = True
        self._news.close()

    def _watch(self) -> None:
        while not self._stopped:
            try:
                self._look_after_all()
            except Exception:  # noqa: BLE001 - without a watch nothing would be sealed in time
                if not self._stopped:  # else the queue was closed under way
                    _log.exception("watching over the queue failed; trying again")
                    self._news.wait_at_most(_LOOK_SECONDS)
        if self._forgotten:
            threads.stay_away()

    def _look_after_all(self) -> None:
        now = time.monotonic()
        self._takeover.check(now)
        ownership = Ownership(self._queue.arena)
        if not self._starting and self._takeover.is_anything_parked(ownership, now):
            self._starting = True
        own = [self._supervisor] if self._starting else []
        supervisors = [*own, *self._takeover.supervisors]
        for supervisor in supervisors:
            supervisor.check(now)
        dues = [supervisor.due(now) for supervisor in supervisors]
        self._wait(min(_LOOK_SECONDS, self._queue.seal_due(now), *dues), supervisors)

    def _wait(self, seconds: float, supervisors: list[Supervisor]) -> None:
        """Wait until a worker gets ready or dies, until the end, or until the time is over."""
        listeners = {fd: each for each in supervisors for fd in each.sentinels}
        poll = select.poll()
        for fd in (self._news.read_fd, *listeners):
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(math.ceil(seconds * 1000)):
            if fd == self._news.read_fd and not self._stopped:
                self._news.drain()
            elif fd in listeners and not self._stopped:
                listeners[fd].read_status(fd, time.monotonic())
