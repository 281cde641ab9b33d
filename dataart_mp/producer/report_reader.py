"""The listener: hears what workers report, logs it, and calls the application's `on_failure`.

It has a thread of its own, because `on_failure` is the application's code and may take its time.
"""

import json
import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from dataart_mp.failure import Failure
from dataart_mp.producer import threads
from dataart_mp.producer.log_throttle import LogThrottle, Occurrences
from dataart_mp.queue.wakeup import WakeupPipe

_log = logging.getLogger("dataart_mp")

_READ_BYTES: Final = 65536
_TELL_SECONDS: Final = 30.0


class ReportReader:
    """Reads reports until it is told to stop.

    Args:
        report_end: the reading end of the pipe, which does not block.
        on_failure: the application's callback; what it raises is logged.

    Raises:
        RuntimeError: the system gives no thread; it may later.
    """

    def __init__(self, report_end: int, on_failure: Callable[[Failure], object] | None) -> None:
        self._report_end = report_end
        self._on_failure = on_failure
        self._enough = WakeupPipe.make()
        self._forgotten = False
        self._unfinished = b""
        self._throttles: dict[tuple[str, str], LogThrottle] = {}  # by what happened, and why
        self._troubles: dict[str, LogThrottle] = {}
        self._thread = threads.Thread(self._listen, "listener")
        self._signals = threads.current_mask()
        try:
            # A process that is about to end hears no more reports; the counters are what is true.
            threads.start(self._thread)
        except RuntimeError:
            self._enough.close()
            raise

    def stop(self, seconds: float) -> bool:
        """Hear what is there, then stop; False when that takes longer than `seconds`."""
        self._enough.notify()
        if not threads.join(self._thread, seconds):  # or it is `on_failure` that closes the client
            return False
        self._enough.close()
        return True

    def forget(self) -> None:
        """In a forked child: the thread, and the reports, are the parent's."""
        self._forgotten = True
        self._enough.close()

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._report_end, select.POLLIN)
        poll.register(self._enough.read_fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._forgotten:
                threads.stay_away()
            more = self._report_end in ready and self._hear()
            if self._enough.read_fd in ready and not more:
                break
            if not more:  # every writing end is closed
                poll.unregister(self._report_end)
        for (happened, why), throttle in self._throttles.items():
            _tell(throttle.remaining(time.monotonic()), happened, why, "")

    def _hear(self) -> bool:
        """Take in what is there; False when nothing is, or nobody writes any more."""
        try:
            chunk = os.read(self._report_end, _READ_BYTES)
        except BlockingIOError:
            return False
        *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
        for report in _parsed(lines):
            self._take(report)
        return bool(chunk)

    def _take(self, report: dict[str, Any]) -> None:
        if report["unheard"]:
            _log.error(
                "%d reports of workers were not heard: on_failure is too slow", report["unheard"]
            )
        match report["report"]:
            case "failure":
                self._take_failure(report)
            case "retrying":
                _log.warning(
                    "delivery fails (%s, %r); trying again in %.1f s",
                    _status(report["status"]),
                    report["answer"],
                    report["delay"],
                )
            case "recovered":
                _log.warning("delivery works again")
            case "parked":
                self._count("parked", report["text"], report["count"])
            case "trouble":
                self._tell_trouble(report["text"])
            case "not kept":
                _log.error("%d dead letters not kept: %s", report["count"], report["text"])
            case "removed":
                _log.error(
                    "dead letters of the %d oldest batches removed: spool_max_bytes is reached",
                    report["count"],
                )
            case "crash":
                _log.error("a worker crashed: %s", report["text"])

    def _take_failure(self, report: dict[str, Any]) -> None:
        # Not by the answer's text: a platform may put a request's id in it, and no two are alike.
        what = f"{report['reason']}, {_status(report['status'])}"
        self._count("not delivered", what, report["count"], report["answer"])
        if self._on_failure is None:
            return
        failure = _failure(report)
        try:
            with threads.with_mask(self._signals):  # for processes that it starts
                self._on_failure(failure)
        except BaseException:  # noqa: BLE001 - it is the application's code, and may say sys.exit()
            _log.exception("on_failure raised; delivery goes on")

    def _tell_trouble(self, text: str) -> None:
        if self._troubles.setdefault(text, LogThrottle(_TELL_SECONDS)).count(1, time.monotonic()):
            _log.error("spool: %s", text)

    def _count(self, happened: str, why: str, amount: int, answer: str = "") -> None:
        """Tell of records at once, or later together with others of the same fate."""
        throttle = self._throttles.setdefault((happened, why), LogThrottle(_TELL_SECONDS))
        _tell(throttle.count(amount, time.monotonic()), happened, why, answer)


def _tell(count: Occurrences, happened: str, why: str, answer: str) -> None:
    if count:
        text = f"{why}, {answer!r}" if answer else why
        _log.error("%s: %s", count.describe("record", happened), text)


def _parsed(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line:
            try:
                yield json.loads(line)
            except ValueError:
                _log.warning("a report of a worker that died was torn")


def _failure(report: dict[str, Any]) -> Failure:
    return Failure(
        reason=report["reason"],
        kind=report["kind"],
        # Not at all that text takes for the end of a line: JSON need not escape U+2028, say.
        records=tuple(json.loads(line) for line in (report["records"] or "").split("\n") if line),
        status=report["status"],
        answer=report["answer"],
        attempts=report["attempts"],
    )


def _status(status: int | None) -> str:
    return "no answer" if status is None else f"status {status}"
