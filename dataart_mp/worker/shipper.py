"""The shipper: what is done with one frame, from its claim to its settlement."""

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from dataart_mp import clock
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.counters import BYTES, REQUESTS, RETRIES
from dataart_mp.spool.dead_letters import Cause, DeadLetters
from dataart_mp.transport.envelope import PATHS, path_of
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.batch import Batch, as_cut
from dataart_mp.worker.circuit import Circuit, Gathered, Probe, Send, Wait
from dataart_mp.worker.limit import Limit
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.retry_outcome import Abandoned, Parked, Postponed, RetryOutcome, hold_back
from dataart_mp.worker.verdict import CONTENT_TOO_LARGE, Delivered, Rejected, Retry, Split, judge

if TYPE_CHECKING:  # it brings SQLite along, and most workers need none
    from dataart_mp.worker.parker import Parker


class Shipper:
    """Sends frames and accounts for every record in them.

    Args:
        queue: where the frames come from and go back to.
        sender: posts the batches.
        backoff: says when a failed batch is tried again.
        reporter: tells the application what was not delivered, and what has to wait.
        letters: keeps what was not delivered; None: nothing does.
        parker: parks what has had its last try; None: it is given up.
        join: how many actions frames are joined up to; None: each frame is a request.
    """

    def __init__(
        self,
        queue: RecordQueue,
        sender: Sender,
        backoff: Backoff,
        reporter: Reporter,
        letters: DeadLetters | None = None,
        parker: "Parker | None" = None,
        join: int | None = None,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._backoff = backoff
        self._reporter = reporter
        self._letters = letters
        self._parker = parker
        self._join = join
        self._limit = Limit()
        self._circuits = {path: Circuit(backoff.ratio) for path in PATHS}
        self._dice = random.SystemRandom()

    @property
    def all_flows(self) -> bool:
        """Whether no endpoint is known to answer nobody."""
        return all(circuit.is_closed for circuit in self._circuits.values())

    def answers(self, is_identity: bool) -> bool:
        """Whether, for all that is known, the platform answers for records of that kind."""
        return self._circuits[path_of(is_identity)].is_well

    def ship(self, frame: Frame) -> float | None:
        """Send what is in the frame, from its front to its back.

        Returns:
            The seconds until the frame is tried again: it waits in the queue, held by nobody. None
            when it is settled, or waits for the answer to another one's probe.
        """
        match self._complete_parking(frame):
            case Postponed(seconds):
                return seconds
            case Parked():
                return None
            case None:
                return self._send(frame)
            case outcome:
                assert_never(outcome)

    def _send(self, frame: Frame) -> float | None:
        if self._join is not None:
            size = self._limit.at_most(self._queue.arena.capacity)
            self._queue.worker.join_ready(frame, self._join, size)
        batches = self._batches(frame)
        while batches:
            batch = batches.pop()
            leave = self._circuits[batch.path].ask(frame, clock.monotonic())
            match leave:
                case Gathered():
                    return None
                case Wait(until):
                    return self._hold_back(frame, until - clock.monotonic())
                case Send() | Probe():
                    answer = self._post(frame, batch)
                case _:
                    assert_never(leave)
            match judge(answer, batch.count, datetime.now(UTC)):
                case Retry(after):
                    match self._try_failed(frame, batch, leave, answer, after):
                        case Postponed(seconds):
                            return seconds
                        case Parked():
                            return None
                        case Abandoned():
                            pass  # for what is in it besides
                        case outcome:
                            assert_never(outcome)
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
        return self._settle(frame)

    def _settle(self, frame: Frame) -> float | None:
        if self._parker is not None:
            return self._parker.settle(frame)
        self._queue.worker.settle(frame)
        return None

    def _answered(self, batch: Batch) -> None:
        """The endpoint works: if that is news, whatever waits for it need not wait any longer."""
        gathered = self._circuits[batch.path].answered()
        if gathered is not None:
            for frame in gathered:
                self._queue.worker.hand_back(frame)
            self._queue.worker.retry_now()
            self._reporter.recovered()

    def _try_failed(
        self, frame: Frame, batch: Batch, leave: Send | Probe, answer: Response, after: float
    ) -> RetryOutcome:
        """The try has failed, for this frame and for those that waited for its answer, too."""
        circuit = self._circuits[batch.path]
        for other in circuit.failed(leave, after, clock.monotonic()):
            its_batch = self._batches(other)[-1]
            other.aim(its_batch.end, time.time_ns())
            if self._set_back(other, its_batch, answer, after) == Abandoned():
                self._queue.worker.hand_back(other)  # for what is in it besides
        return self._set_back(frame, batch, answer, after)

    def _set_back(self, frame: Frame, batch: Batch, answer: Response, after: float) -> RetryOutcome:
        """Let the frame wait for its next try; park it when the batch at hand has had its last."""
        now, attempts = time.time_ns(), frame.attempts + 1
        not_before = now + int(after * 1e9)
        if frame.is_early(now):  # this try was one more than there would have been
            return hold_back(frame, after)
        delay = self._backoff.delay(attempts, after, age=_age(frame), chance=self._dice.random())
        if delay is None:
            reason = self._backoff.gave_up_because(attempts)
            parked = self._park(frame, f"{reason}, {answer.summary}")
            if parked is not None:
                return parked
            reason = reason if self._parker is None else "spool full"
            self._give_up(reason, batch, answer, attempts)
            frame.advance(batch.end, failed=batch.count)
            return Abandoned()
        parked = self._park_if_pressed(frame)
        if parked is not None:
            return parked
        frame.postpone(now, now + int(delay * 1e9), not_before)
        self._reporter.retrying(answer, delay)
        return Postponed(delay)

    def _hold_back(self, frame: Frame, seconds: float) -> float | None:
        """Let a frame wait so long at least, and no try of it count.

        Returns:
            The seconds until it is due; None when it is parked.
        """
        match self._park_if_pressed(frame):
            case Postponed(later):
                return later
            case Parked():
                return None
            case None:
                return hold_back(frame, seconds).seconds
            case outcome:
                assert_never(outcome)

    def _park_if_pressed(self, frame: Frame) -> Parked | Postponed | None:
        """Park it before its last try, if the outage would else soon stop the application."""
        circuit = self._circuits[path_of(frame.is_identity)]
        if circuit.is_closed or self._parker is None or not self._parker.is_pressed:
            return None
        return self._park(frame, "the platform answers nobody, and the buffer is half full")

    def _park(self, frame: Frame, why: str) -> Parked | Postponed | None:
        """Park what is left of the frame; None: nothing is parked, or there is no room."""
        if self._parker is None:
            return None
        return self._parker.park(frame, self._batches(frame)[::-1], why)

    def _complete_parking(self, frame: Frame) -> Parked | Postponed | None:
        return None if self._parker is None else self._parker.complete(frame)

    def _batches(self, frame: Frame) -> list[Batch]:
        """What is still to be sent of a frame, the first batch last."""
        key = frame.key if self._parker is None else self._parker.key(frame)
        batches = as_cut(frame, key)
        # What was tried before is sent as it was, with the same key: it may have arrived.
        tried = [batches.pop()] if frame.is_in_progress else []
        return [part for batch in batches for part in self._parts(batch)] + tried

    def _parts(self, batch: Batch) -> list[Batch]:
        """Parts that are not known to be too large, the first one last."""
        if self._limit.allows(batch.size) or batch.count == 1:
            return [batch]
        first, second = batch.halves()
        return [*self._parts(second), *self._parts(first)]

    def _give_up(self, reason: str, batch: Batch, answer: Response, attempts: int) -> None:
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
        self._reporter.failed(reason, batch, answer, attempts)

    def _post(self, frame: Frame, batch: Batch) -> Response:
        again = frame.is_sent_again
        frame.aim(batch.end, time.time_ns())
        frame.mark_sent()
        body = batch.body(datetime.now(UTC))
        answer = self._sender.post(batch.path, body, batch.key)
        self._queue.counters.add(REQUESTS)
        self._queue.counters.add(BYTES, len(body))
        if again:
            self._queue.counters.add(RETRIES)
        return answer


def _age(frame: Frame) -> float:
    """Seconds since the batch at hand was first tried, by whatever process."""
    return max(0, time.time_ns() - frame.since) / 1e9
