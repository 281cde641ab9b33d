"""The report reader: it logs what workers report, and calls the application's `on_failure`.

It has a separate thread, because `on_failure` may take any time.
"""

import contextlib
import json
import logging
import math
import os
import select
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, assert_never

from dataart_mp import clock
from dataart_mp.config.limits import MORE_THREADS
from dataart_mp.failure import Failure
from dataart_mp.producer import threads
from dataart_mp.producer.log_throttle import LogThrottle, Occurrences
from dataart_mp.producer.outage_log import Backlog, OutageLog
from dataart_mp.queue.descriptor import Descriptor
from dataart_mp.queue.polling import make_poll
from dataart_mp.queue.wakeup import WakeupPipe
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
    UnreadableReportError,
    decode,
)

_log = logging.getLogger("dataart_mp")

_READ_BYTES: Final = 65536
_LOG_INTERVAL_SECONDS: Final = 30.0


class _Topic(NamedTuple):
    """What log lines such as "20 records parked: the platform is unreachable" have in common."""

    level: int
    noun: str
    verb: str
    reason: str


class ReportReader:
    """Reads reports on a thread until `stop`.

    Args:
        report_read_fd: The reading end of the report pipe, which does not block.
        on_failure: The application's callback. Its exceptions are logged.
        host: The host of the platform, for the log.
        backlog: Returns what the client has to send, for the log.
    """

    def __init__(
        self,
        report_read_fd: int,
        on_failure: Callable[[Failure], object] | None,
        host: str = "",
        backlog: Callable[[], Backlog] = Backlog,
    ) -> None:
        self._report_read_fd = report_read_fd
        self._pipe = Descriptor(report_read_fd)
        self._on_failure = on_failure
        self._wakeup = WakeupPipe.make()
        self._forgotten = False
        self._unfinished = b""
        self._outage = OutageLog(host)
        self._backlog = backlog
        self._throttles: dict[_Topic, LogThrottle] = {}
        self._trouble_throttles: dict[str, LogThrottle] = {}
        self.thread = threads.Thread(self._run, "report reader")
        self._signals = threads.current_mask()

    def start(self) -> None:
        """Start the thread, unless it was started before or the interpreter is shutting down.

        A process that is about to end reads no more reports; the counters are exact.

        Raises:
            RuntimeError: The system cannot start a thread at the moment.
        """
        threads.start(self.thread)

    def stop(self, seconds: float) -> bool:
        """Read what was written until now, then stop.

        Returns:
            False if that takes longer than `seconds`, or if the caller is `on_failure` itself.
        """
        self._wakeup.notify()
        if not threads.join(self.thread, seconds):
            self.thread.after_end(self._wakeup.close)
            return False
        self._wakeup.close()
        return True

    def forget(self) -> None:
        """Reset this reader in a forked child: the thread runs in the parent only."""
        self._forgotten = True
        self._wakeup.close()

    def _run(self) -> None:
        poll = make_poll()
        poll.register(self._report_read_fd, select.POLLIN)
        poll.register(self._wakeup.read_fd, select.POLLIN)
        while True:
            due = self._outage.due(clock.monotonic())
            ready = [fd for fd, _ in poll.poll(None if due is None else math.ceil(due * 1000))]
            if self._forgotten:
                threads.stay_away()
            if not self._pipe.is_intact():  # the application has closed it
                break
            more = self._report_read_fd in ready and self._read()
            if self._wakeup.read_fd in ready and not more:
                break
            if self._report_read_fd in ready and not more:  # every writing end is closed
                poll.unregister(self._report_read_fd)
            if self._outage.due(clock.monotonic()) == 0:
                _warn(self._outage.look(self._backlog(), clock.monotonic()))
        _warn(self._outage.closed(self._backlog(), clock.monotonic()))
        for topic, throttle in self._throttles.items():
            _log_count(topic, throttle.remaining(clock.monotonic()))

    def _read(self) -> bool:
        """Read and handle reports; return False if there are none, or no writer is left."""
        try:
            chunk = os.read(self._report_read_fd, _READ_BYTES)
        except BlockingIOError:
            return False
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        for line in lines:
            if line:
                self._handle_line(line)
        return bool(chunk)

    def _handle_line(self, line: bytes) -> None:
        try:
            report, lost = decode(line)
        except UnreadableReportError as error:
            self._count(_Topic(logging.WARNING, "report", "ignored", str(error)), 1)
            return
        if lost:
            self._count(_Topic(logging.ERROR, "report", "lost", "on_failure is too slow"), lost)
        self._handle(report)

    def _handle(self, report: Report) -> None:
        match report:
            case Failed():
                self._handle_failure(report)
            case Retrying(status, answer, delay):
                problem = f"{_status(status)}, {answer!r}"
                backlog = Backlog() if self._outage.is_in_progress else self._backlog()
                _warn(self._outage.failed(problem, delay, backlog, clock.monotonic()))
            case Recovered():
                _warn(self._outage.succeeded(self._backlog(), clock.monotonic()))
            case Parked(count, reason):
                self._count(_Topic(logging.ERROR, "record", "parked", reason), count)
            case Trouble(text):
                self._log_trouble(text)
            case NotKept(count, reason):
                _log.error("%d dead letters not kept: %s", count, reason)
            case Removed(batches):
                _log.error(
                    "dead letters of the %d oldest batches removed: spool_max_bytes is reached",
                    batches,
                )
            case FewThreads(number, wanted, reason):
                problem = f"{number} of {wanted} threads: {reason}; {MORE_THREADS}"
                _log.error("a worker continues with %s", problem)
            case Crashed(traceback):
                _log.error("a worker crashed: %s", traceback)
            case _:
                assert_never(report)

    def _handle_failure(self, report: Failed) -> None:
        # The answer is not part of the topic: it may contain a request id, which makes it unique.
        reason = f"{report.reason}, {_status(report.status)}"
        topic = _Topic(logging.ERROR, "record", "not delivered", reason)
        self._count(topic, report.count, report.answer)
        if self._on_failure is None:
            return
        failure = _failure(report)
        try:
            with threads.with_mask(self._signals):  # for processes that it starts
                self._on_failure(failure)
        except BaseException:  # noqa: BLE001 - it is the application's code, and may call sys.exit()
            _log.exception("on_failure raised an exception; delivery continues")

    def _log_trouble(self, text: str) -> None:
        throttle = self._trouble_throttles.setdefault(text, LogThrottle(_LOG_INTERVAL_SECONDS))
        if throttle.count(1, clock.monotonic()):
            _log.error("spool: %s", text)

    def _count(self, topic: _Topic, amount: int, answer: str = "") -> None:
        """Log an amount at once, or later together with others of the same topic."""
        throttle = self._throttles.setdefault(topic, LogThrottle(_LOG_INTERVAL_SECONDS))
        _log_count(topic, throttle.count(amount, clock.monotonic()), answer)


def _warn(line: str | None) -> None:
    if line is not None:
        _log.warning("%s", line)


def _log_count(topic: _Topic, count: Occurrences, answer: str = "") -> None:
    if count:
        reason = f"{topic.reason}, {answer!r}" if answer else topic.reason
        _log.log(topic.level, "%s: %s", count.describe(topic.noun, topic.verb), reason)


def _failure(report: Failed) -> Failure:
    return Failure(
        reason=report.reason,
        kind="identity" if report.is_identity else "action",
        # Not splitlines(): JSON may contain other line separators unescaped, such as U+2028.
        records=tuple(_readable((report.records or "").split("\n"))),
        status=report.status,
        answer=report.answer,
        attempts=report.attempts,
    )


def _readable(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the records that are JSON objects. A damaged file of the spool may hold others."""
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            record = json.loads(line)
            if isinstance(record, dict):
                yield record


def _status(status: int | None) -> str:
    return "no answer" if status is None else f"status {status}"
