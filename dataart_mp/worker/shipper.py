"""The shipper: what is done with one frame, from its claim to its settlement."""

import random
import time
from datetime import UTC, datetime
from typing import assert_never

from dataart_mp.dead_letters import Cause, DeadLetters
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.ledger import BYTES, REQUESTS, RETRIES
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.batch import PATHS, Batch, batch_of
from dataart_mp.worker.circuit import Circuit, Gathered, Probe, Send, Wait
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
        self._circuits = {path: Circuit(backoff.ratio) for path in PATHS}
        self._dice = random.SystemRandom()

    @property
    def all_flows(self) -> bool:
        """Whether no endpoint is known to answer nobody."""
        return all(circuit.is_closed for circuit in self._circuits.values())

    def ship(self, frame: Frame) -> float | None:
        """Send what is in the frame, from its front to its back.

        Returns:
            The seconds until the frame is tried again: it waits in the queue, held by nobody. None
            when it is settled, or waits for the answer to another one's probe.
        """
        batches = self._batches(frame)
        while batches:
            batch = batches.pop()
            leave = self._circuits[batch.path].ask(frame, time.monotonic())
            match leave:
                case Gathered():
                    return None
                case Wait(until):
                    return _hold_back(frame, until - time.monotonic())
                case Send() | Probe():
                    answer = self._post(frame, batch)
                case _:
                    assert_never(leave)
            match judge(answer, batch.count, datetime.now(UTC)):
                case Retry(after):
                    delay = self._try_failed(frame, batch, leave, answer, after)
                    if delay is not None:
                        return delay
                case Delivered():
                    self._answered(batch)
                    self._limit.delivered(batch.size)
                    frame.advance(batch.end)
                case Split():
                    self._answered(batch)
                    if answer.status == CONTENT_TOO_LARGE:
                        self._limit.refused(batch.size)
                    first, second = batch.halves()
                    batches += [second, first]
                case Rejected():
                    self._answered(batch)
                    self._give_up("rejected", batch, answer, frame.attempts + 1)
                    frame.advance(batch.end, rejected=batch.count)
                case verdict:
                    assert_never(verdict)
        self._queue.settle(frame)
        return None

    def _answered(self, batch: Batch) -> None:
        """The endpoint works: if that is news, whatever waits for it need not wait any longer."""
        gathered = self._circuits[batch.path].answered()
        if gathered is not None:
            for frame in gathered:
                self._queue.hand_back(frame)
            self._queue.hurry()
            self._reporter.recovered()

    def _try_failed(
        self, frame: Frame, batch: Batch, leave: Send | Probe, answer: Answer, after: float
    ) -> float | None:
        """The try has failed, for this frame and for those that waited for its answer, too."""
        circuit = self._circuits[batch.path]
        for other in circuit.failed(leave, after, time.monotonic()):
            its_batch = self._batches(other)[-1]
            other.aim(its_batch.end, time.time_ns())
            if self._put_off(other, its_batch, answer, after) is None:
                self._queue.hand_back(other)  # for what is in it besides
        return self._put_off(frame, batch, answer, after)

    def _put_off(self, frame: Frame, batch: Batch, answer: Answer, after: float) -> float | None:
        """Let the frame wait for its next try; None when the batch at hand has had its last."""
        now, attempts = time.time_ns(), frame.attempts + 1
        not_before = now + int(after * 1e9)
        if frame.is_early(now):  # this try was one more than there would have been
            return (frame.keep_waiting(not_before) - now) / 1e9
        delay = self._backoff.delay(attempts, after, age=_age(frame), chance=self._dice.random())
        if delay is None:
            self._give_up(self._backoff.gave_up_because(attempts), batch, answer, attempts)
            frame.advance(batch.end, failed=batch.count)
            return None
        frame.postpone(now + int(delay * 1e9), not_before)
        self._reporter.retrying(answer, delay)
        return delay

    def _batches(self, frame: Frame) -> list[Batch]:
        """What is still to be sent of a frame, the first batch last."""
        batches = _as_cut(frame)
        # What was tried before is sent as it was, with the same key: it may have arrived.
        tried = [batches.pop()] if frame.is_under_way else []
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

    def _post(self, frame: Frame, batch: Batch) -> Answer:
        again = frame.is_sent_again
        frame.aim(batch.end, time.time_ns())
        frame.mark_sent()
        body = batch.body(datetime.now(UTC))
        answer = self._sender.post(batch.path, body, batch.key)
        self._queue.ledger.add(REQUESTS)
        self._queue.ledger.add(BYTES, len(body))
        if again:
            self._queue.ledger.add(RETRIES)
        return answer


def _hold_back(frame: Frame, seconds: float) -> float:
    """Let a frame wait so long at least, and no try of it count; the seconds until it is due."""
    now = time.time_ns()
    return (frame.keep_waiting(now + int(seconds * 1e9)) - now) / 1e9


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
