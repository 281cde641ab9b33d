"""The reporter: it writes a worker's reports for the application.

All workers share one pipe. A report is written as one line, under a record lock, so that reports
of several workers never mix. A line break comes before each report too, so that a report torn by
the death of its worker damages no other.

Reports may get lost; the counters in the arena are exact. Therefore a worker never waits long for
a reader that does not read, and never fails because of one.
"""

import os
import select
import time
from typing import Final

from dataart_mp import clock
from dataart_mp.delivery.batch import Batch
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.locks import REPORTER
from dataart_mp.queue.role import role
from dataart_mp.supervision.reports import (
    Crashed,
    Failed,
    FewThreads,
    NotKept,
    Parked,
    Recovered,
    Removed,
    Report,
    Retrying,
    Trouble,
    encode,
)
from dataart_mp.transport.response import Response

_TIMEOUT_SECONDS: Final = 2.0
# After a timeout, no report is written for this time.
_PAUSE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.001
# An outage concerns every batch, so retries are reported once per this time.
_RETRYING_INTERVAL_SECONDS: Final = 30.0
# A platform may fail now and then. The reader also looks whether an outage has ended.
_RECOVERED_INTERVAL_SECONDS: Final = 1.0


class Reporter:
    """Writes reports. Any thread may call any method.

    Args:
        arena: The arena, whose REPORTER lock keeps reports apart.
        fd: The writing end of the report pipe, which does not block.
        with_records: Whether reports of failures contain the records.
    """

    def __init__(self, arena: Arena, fd: int, *, with_records: bool) -> None:
        self._locks = arena.locks
        self._fd = fd
        self._with_records = with_records
        self._paused_until = 0.0
        self._lost = 0
        self._next_retrying = 0.0
        self._next_recovered = 0.0

    def failed(self, reason: str, batch: Batch, answer: Response, attempts: int) -> None:
        """Report that the records of a batch will not be delivered."""
        self._report(
            Failed(
                reason=reason,
                is_identity=batch.is_identity,
                count=batch.count,
                records=batch.content.decode(errors="replace") if self._with_records else None,
                status=answer.status,
                answer=answer.text,
                attempts=attempts,
            )
        )

    def lost(self, count: int) -> None:
        """Report that parked records are gone with their file, so nobody knows their content."""
        self._report(
            Failed(
                reason="spool lost",
                is_identity=False,
                count=count,
                records=None,
                status=None,
                answer="",
                attempts=0,
            )
        )

    def not_kept(self, batch: Batch, error: OSError) -> None:
        """Report that records which failed could not be written as dead letters."""
        self._report(NotKept(batch.count, str(error)))

    def removed(self, batches: int) -> None:
        """Report that the oldest dead letters were removed."""
        self._report(Removed(batches))

    def parked(self, count: int, reason: str) -> None:
        """Report that records wait on disk for the end of an outage."""
        self._report(Parked(count, reason))

    def trouble(self, text: str) -> None:
        """Report a problem for the owner of the application, by which no record is lost."""
        self._report(Trouble(text))

    def retrying(self, answer: Response, delay: float | None) -> None:
        """Report that delivery fails, at most once per interval.

        Args:
            answer: The response to the batch that failed.
            delay: Seconds until the next attempt; None if there is none for that batch.
        """
        now = clock.monotonic()
        if now >= self._next_retrying:
            self._next_retrying = now + _RETRYING_INTERVAL_SECONDS
            seconds = None if delay is None else float(delay)
            self._report(Retrying(answer.status, answer.text, seconds))

    def recovered(self) -> None:
        """Report the end of an outage, at most once per second; then the next one at once, too."""
        now = clock.monotonic()
        if now >= self._next_recovered:
            self._next_recovered = now + _RECOVERED_INTERVAL_SECONDS
            self._next_retrying = 0.0
            self._report(Recovered())

    def few_threads(self, threads: int, wanted: int, error: RuntimeError) -> None:
        """Report that this worker cannot start all the threads that it needs."""
        self._report(FewThreads(threads, wanted, str(error)))

    def crashed(self, traceback: str) -> None:
        """Report that this worker ends because of an unexpected exception."""
        self._report(Crashed(traceback))

    def _report(self, report: Report) -> None:
        """Write a report, or count it as lost."""
        lost = self._lost
        written = self._try_to_write(report, lost)
        # Threads may make this number inexact; the counters in the arena are exact.
        self._lost = self._lost - lost if written else self._lost + 1

    def _try_to_write(self, report: Report, lost: int) -> bool:
        if clock.monotonic() < self._paused_until:
            return False
        line = b"\n" + encode(report, lost) + b"\n"
        deadline = clock.monotonic() + _TIMEOUT_SECONDS
        while clock.monotonic() < deadline:
            with role(self._locks, REPORTER) as may_write:
                if may_write:
                    written = self._write(line, deadline)
                    if not written:
                        self._paused_until = clock.monotonic() + _PAUSE_SECONDS
                    return written
            time.sleep(_POLL_SECONDS)
        return False

    def _write(self, line: bytes, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                if not poll.poll(max(0.0, deadline - clock.monotonic()) * 1000):
                    return False
            except BrokenPipeError:
                return False
        return True
