"""The shipper: what is done with one frame, from its claim to its settlement."""

import random
import time
from datetime import UTC, datetime
from typing import assert_never

from dataart_mp.dead_letters import Cause, DeadLetters
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.ledger import BYTES, REQUESTS, RETRIES
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.batch import Batch, batch_of
from dataart_mp.worker.limit import Limit
from dataart_mp.worker.report import Reporter
from dataart_mp.worker.sender import Sender
from dataart_mp.worker.verdict import (
    CONTENT_TOO_LARGE,
    Answer,
    Delivered,
    Rejected,
    Retry,
    Split,
    judge,
)


class Shipper:
    """Sends frames and accounts for every record in them.

    Args:
        queue: where the frames come from and go back to.
        sender: posts the batches.
        backoff: says when a failed batch is tried again.
        reporter: tells the application what was not delivered, and what has to wait.
        letters: keeps what was not delivered; None: nothing does.
    """

    def __init__(
        self,
        queue: RecordQueue,
        sender: Sender,
        backoff: Backoff,
        reporter: Reporter,
        letters: DeadLetters | None = None,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._backoff = backoff
        self._reporter = reporter
        self._letters = letters
        self._limit = Limit()
        self._dice = random.SystemRandom()

    def ship(self, frame: Frame) -> float | None:
        """Send what is in the frame, from its front to its back.

        Returns:
            None when the frame is settled, or else the seconds until it is tried again: it then
            waits in the queue, held by nobody.
        """
        batches = self._batches(frame)
        while batches:
            batch = batches.pop()
            frame.aim(batch.end, time.time_ns())
            answer = self._post(batch, frame.attempts)
            match judge(answer, batch.count, datetime.now(UTC)):
                case Delivered():
                    self._limit.delivered(batch.size)
                    frame.advance(batch.end)
                case Split():
                    if answer.status == CONTENT_TOO_LARGE:
                        self._limit.refused(batch.size)
                    first, second = batch.halves()
                    batches += [second, first]
                case Rejected():
                    self._give_up("rejected", batch, answer, frame.attempts + 1)
                    frame.advance(batch.end, rejected=batch.count)
                case Retry(after):
                    attempts = frame.attempts + 1
                    delay = self._backoff.delay(
                        attempts, after, age=_age(frame), chance=self._dice.random()
                    )
                    if delay is not None:
                        frame.postpone(time.time_ns() + int(delay * 1e9))
                        self._reporter.retrying(answer, delay)
                        return delay
                    reason = self._backoff.gave_up_because(attempts)
                    self._give_up(reason, batch, answer, attempts)
                    frame.advance(batch.end, failed=batch.count)
                case verdict:
                    assert_never(verdict)
        self._queue.settle(frame)
        return None

    def _batches(self, frame: Frame) -> list[Batch]:
        """What is still to be sent of a frame, the first batch last."""
        batches = _as_cut(frame)
        # What was tried before is sent as it was, with the same key: it may have arrived.
        tried = [batches.pop()] if frame.since else []
        return [part for batch in batches for part in self._parts(batch)] + tried

    def _parts(self, batch: Batch) -> list[Batch]:
        """Parts that are not known to be too large, the first one last."""
        if self._limit.allows(batch.size) or batch.count == 1:
            return [batch]
        first, second = batch.halves()
        return [*self._parts(second), *self._parts(first)]

    def _give_up(self, reason: str, batch: Batch, answer: Answer, attempts: int) -> None:
        """Keep what will not be delivered, and tell of it, before its account is closed."""
        if self._letters is not None:
            cause = Cause(
                time=datetime.now(UTC),
                reason=reason,
                status=answer.status,
                answer=answer.text,
                attempts=attempts,
                kind=batch.kind,
            )
            try:
                removed = self._letters.keep(batch.key, batch.content, cause)
                if removed:
                    self._reporter.removed(removed)
            except OSError as error:
                self._reporter.not_kept(batch, error)
        self._reporter.gave_up(reason, batch, answer, attempts)

    def _post(self, batch: Batch, attempts: int) -> Answer:
        body = batch.body(datetime.now(UTC))
        answer = self._sender.post(batch.path, body, batch.key)
        self._queue.ledger.add(REQUESTS)
        self._queue.ledger.add(BYTES, len(body))
        if attempts:
            self._queue.ledger.add(RETRIES)
        return answer


def _age(frame: Frame) -> float:
    """Seconds since the batch at hand was first tried, by whatever process."""
    return max(0, time.time_ns() - frame.since) / 1e9


def _as_cut(frame: Frame) -> list[Batch]:
    """What is still to be sent of a frame, in the cut of its last try, the first batch last."""
    spans = frame.spans()
    return [
        batch_of(
            frame.key,
            frame.is_identity,
            start,
            frame.content(start, end),
            whole=start == 0 and end == frame.length,
        )
        for start, end in reversed(spans)
    ]
