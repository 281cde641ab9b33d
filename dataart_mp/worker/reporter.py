"""Reports: what the process that made the client hears of its workers.

One pipe for all workers. A report is a JSON line, written under a record lock, so that reports
never mix, and begun with a newline, so that one torn by a death spoils none but itself. A report
is a courtesy: the counters in the arena are what is true. So nothing waits long for a reader that
doesn't read, and nothing fails for want of one.
"""

import json
import os
import select
import time
from typing import Any, Final

from dataart_mp.queue.arena import Arena
from dataart_mp.queue.locks import REPORTER
from dataart_mp.transport.response import Response
from dataart_mp.worker.batch import Batch

_PATIENCE_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 30.0
_TURN_SECONDS: Final = 0.001
_RETRYING_SECONDS: Final = 30.0


class Reporter:
    """Writes reports, from any thread.

    Args:
        arena: holds the lock that keeps reports apart.
        fd: the writing end of the pipe, which does not block.
        with_records: whether the application wants to see what was given up on.
    """

    def __init__(self, arena: Arena, fd: int, *, with_records: bool) -> None:
        self._locks = arena.locks
        self._fd = fd
        self._with_records = with_records
        self._silent_until = 0.0
        self._unheard = 0
        self._retrying_again_at = 0.0

    def gave_up(self, reason: str, batch: Batch, answer: Response, attempts: int) -> None:
        """These records will not be delivered."""
        self._report(
            {
                "report": "failure",
                "reason": reason,
                "kind": batch.kind,
                "count": batch.count,
                "records": batch.content.decode() if self._with_records else None,
                "status": answer.status,
                "answer": answer.text,
                "attempts": attempts,
            }
        )

    def not_kept(self, batch: Batch, error: OSError) -> None:
        """What is given up on could not be kept as dead letters."""
        self._report({"report": "not kept", "count": batch.count, "text": str(error)})

    def removed(self, batches: int) -> None:
        """The oldest dead letters had to go, to make room for others."""
        self._report({"report": "removed", "count": batches})

    def parked(self, count: int, why: str) -> None:
        """These records are on disk until the platform answers again."""
        self._report({"report": "parked", "count": count, "text": why})

    def trouble(self, text: str) -> None:
        """Something that the application's owner should see to; no record is lost by it."""
        self._report({"report": "trouble", "text": text})

    def retrying(self, answer: Response, delay: float) -> None:
        """A batch has to wait; said once in a while, for an outage concerns every batch."""
        now = time.monotonic()
        if now >= self._retrying_again_at:
            self._retrying_again_at = now + _RETRYING_SECONDS
            self._report(
                {
                    "report": "retrying",
                    "status": answer.status,
                    "answer": answer.text,
                    "delay": delay,
                }
            )

    def recovered(self) -> None:
        """What answered nobody answers again; the next outage is told at once."""
        self._retrying_again_at = 0.0
        self._report({"report": "recovered"})

    def crashed(self, text: str) -> None:
        """This worker ends by an error of its own."""
        self._report({"report": "crash", "text": text})

    def _report(self, report: dict[str, Any]) -> bool:
        """Write one report, and how many before it were not heard; False when nobody reads."""
        unheard = self._unheard
        heard = self._try_to_report({**report, "unheard": unheard})
        # Not exact between threads; what is exact are the counters in the arena.
        self._unheard = self._unheard - unheard if heard else self._unheard + 1
        return heard

    def _try_to_report(self, report: dict[str, Any]) -> bool:
        if time.monotonic() < self._silent_until:
            return False
        line = b"\n" + json.dumps(report).encode() + b"\n"
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._locks.acquire(REPORTER):
            if time.monotonic() > deadline:
                return False
            time.sleep(_TURN_SECONDS)
        try:
            written = self._write(line, deadline)
        finally:
            self._locks.release(REPORTER)
        if not written:
            self._silent_until = time.monotonic() + _SILENCE_SECONDS
        return written

    def _write(self, line: bytes, deadline: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    return False
            except BrokenPipeError:
                return False
        return True
