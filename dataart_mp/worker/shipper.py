"""The shipper: what happens to one frame, from its claim to its settlement."""

import random
from datetime import UTC, datetime
from typing import assert_never

from dataart_mp import clock
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.counters import BYTES, REQUESTS, RETRIES, THROTTLED
from dataart_mp.transport.envelope import PATHS, path_of
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.batch import Batch, unsent
from dataart_mp.worker.circuit import Circuit, Gathered, Probe, Send, Wait
from dataart_mp.worker.failures import Failures
from dataart_mp.worker.limit import Limit, SplitBatch
from dataart_mp.worker.parking import NotParked, Parking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.retry_outcome import Abandoned, Parked, Postponed, RetryOutcome, hold
from dataart_mp.worker.shared_flow import Pace
from dataart_mp.worker.verdict import (
    CONTENT_TOO_LARGE,
    Delivered,
    Later,
    Rejected,
    Retry,
    Split,
    Verdict,
    is_overload,
    judge,
)


class Shipper:
    """Sends frames and accounts for every record in them; for any thread.

    Args:
        queue: The queue that frames come from and return to.
        sender: Posts the batches.
        backoff: The delays between attempts.
        reporter: Notifies the application of retries and recoveries.
        failures: Keeps and reports what will not be delivered.
        parking: Parks what an outage outlasts, and settles frames.
        pace: Learns from the responses how many requests may be in flight.
        join: How many actions frames are joined up to; None: each frame is a request.
    """

    def __init__(
        self,
        queue: RecordQueue,
        sender: Sender,
        backoff: Backoff,
        reporter: Reporter,
        failures: Failures,
        parking: Parking,
        pace: Pace,
        join: int | None = None,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._backoff = backoff
        self._reporter = reporter
        self._failures = failures
        self._parking = parking
        self._pace = pace
        self._join = join
        self._limit = Limit()
        self._circuits = {path: Circuit(backoff.ratio) for path in PATHS}
        self._random = random.SystemRandom()

    @property
    def all_circuits_closed(self) -> bool:
        """Whether no endpoint is known to be down: every circuit is closed."""
        return all(circuit.is_closed for circuit in self._circuits.values())

    def is_healthy(self, is_identity: bool) -> bool:
        """Whether the last request to the endpoint for this kind of record did not fail."""
        return self._circuits[path_of(is_identity)].is_healthy

    def ship(self, frame: Frame) -> float | None:
        """Send what is in a frame, front to back, and settle it.

        Args:
            frame: A claimed frame; the caller holds it no longer.

        Returns:
            Seconds until the frame is tried again, if it waits in the queue. None if it is
            settled, or waits for the result of a probe.
        """
        match self._parking.prepare(frame):
            case None:
                return self._send_all(frame)
            case Postponed(seconds):
                return seconds
            case Parked():
                return None
            case outcome:
                assert_never(outcome)

    def _send_all(self, frame: Frame) -> float | None:
        if self._join is not None:
            size = self._limit.at_most(self._queue.arena.capacity)
            records = self._limit.at_most_records(self._join)
            # Each record of a request must have its full delivery_timeout.
            any_age = self._backoff.deadline is None
            self._queue.worker.join_ready(frame, records, size, refused_too=any_age)
        batches, split = self._unsent(frame), SplitBatch()
        while batches:
            match self._send(frame, batches.pop(0), split):
                case list() as parts:
                    batches[:0] = parts
                case Postponed(seconds):
                    return seconds
                case Parked() | Gathered():
                    return None
                case outcome:
                    assert_never(outcome)
        settled = self._parking.settle(frame)
        return None if settled is None else settled.seconds

    def _send(
        self, frame: Frame, batch: Batch, split: SplitBatch
    ) -> list[Batch] | Postponed | Parked | Gathered:
        """Send one batch, if its circuit permits.

        Returns:
            The batches to send in its place, none if it is done; or where the frame went.
        """
        now = clock.monotonic()
        permission = self._circuits[batch.path].acquire_permission(frame, now)
        match permission:
            case Gathered():
                return permission
            case Wait(until):
                return self._hold(frame, until - now)
            case Send() | Probe():
                is_repeated = frame.may_have_arrived
                response = self._post(frame, batch)
            case _:
                assert_never(permission)
        verdict = judge(response, batch.count, datetime.now(UTC))
        self._adapt(frame, batch, response, verdict, now)
        match verdict:
            case Delivered():
                return self._delivered(frame, batch, split)
            case Split():
                return self._split(batch, response, split)
            case Rejected():
                split.rejected()
                return self._rejected(frame, batch, response)
            case Retry(after):
                outcome = self._failed(frame, batch, permission, response, after)
            case Later(after):
                if not is_repeated and not response.is_second:
                    _release(frame, batch)
                outcome = self._throttled(frame, batch, permission, response, after)
            case _:
                assert_never(verdict)
        if isinstance(outcome, Abandoned):
            split.rejected()
            return []
        return outcome

    def _post(self, frame: Frame, batch: Batch) -> Response:
        is_retry = frame.is_sent_again
        frame.aim(batch.end, clock.now())
        frame.mark_sent()
        body = batch.body(datetime.now(UTC))
        response = self._sender.post(batch.path, body, batch.key)
        self._queue.counters.add(REQUESTS)
        self._queue.counters.add(BYTES, len(body))
        if is_retry:
            self._queue.counters.add(RETRIES)
        return response

    def _adapt(
        self, frame: Frame, batch: Batch, response: Response, verdict: Verdict, sent_at: float
    ) -> None:
        """Adapt the pace of requests to a response."""
        now = clock.monotonic()
        match verdict:
            case Delivered():
                waits = frame.has_followers or self._queue.worker.has_ready
                self._pace.accepted(batch.size, sent_at, now, is_backlog=waits)
            case Later():
                self._pace.refused(sent_at, now)
            case Retry() if is_overload(response):
                self._pace.unanswered(sent_at, now)

    # One method per verdict

    def _delivered(self, frame: Frame, batch: Batch, split: SplitBatch) -> list[Batch]:
        self._endpoint_works(batch)
        self._limit.delivered(batch.size, batch.count)
        too_many = split.delivered(batch.end)
        if too_many is not None:
            self._limit.too_many(too_many)
        frame.advance(batch.end)
        return []

    def _split(self, batch: Batch, response: Response, split: SplitBatch) -> list[Batch]:
        self._endpoint_works(batch)
        if response.status == CONTENT_TOO_LARGE:
            self._limit.too_large(batch.size)
        else:
            split.split(batch.end, batch.count)
        return list(batch.halves())

    def _rejected(self, frame: Frame, batch: Batch, response: Response) -> list[Batch]:
        self._endpoint_works(batch)
        self._failures.add("rejected", batch, response, frame.attempts + 1)
        frame.advance(batch.end, rejected=batch.count)
        return []

    def _failed(
        self,
        frame: Frame,
        batch: Batch,
        permission: Send | Probe,
        response: Response,
        after: float,
    ) -> RetryOutcome:
        """Charge an attempt to the frame, and to the frames that share its result."""
        circuit = self._circuits[batch.path]
        for other in circuit.on_failure(permission, after, clock.monotonic()):
            first = self._unsent(other)[0]
            other.aim(first.end, clock.now())
            if isinstance(self._retry_later(other, first, response, after), Abandoned):
                self._queue.worker.hand_back(other)  # its other batches are still to be sent
        return self._retry_later(frame, batch, response, after)

    def _throttled(
        self,
        frame: Frame,
        batch: Batch,
        permission: Send | Probe,
        response: Response,
        after: float,
    ) -> RetryOutcome:
        """Let the frame wait, and those that share its result, and charge no attempt."""
        self._queue.counters.add(THROTTLED)
        if not self._pace.is_lowest:  # the endpoint works, and is asked less often from now on
            self._endpoint_works(batch)
            return self._retry_if_busy(frame, batch, response, after)
        circuit = self._circuits[batch.path]
        for other in circuit.on_failure(permission, after, clock.monotonic()):
            first, may_have_arrived = self._unsent(other)[0], other.may_have_arrived
            other.aim(first.end, clock.now())
            if not may_have_arrived:
                _release(other, first)
            if isinstance(self._retry_if_busy(other, first, response, after), Abandoned):
                self._queue.worker.hand_back(other)
        return self._retry_if_busy(frame, batch, response, after)

    def _endpoint_works(self, batch: Batch) -> None:
        """Close the circuit; if it was open, retry at once what waits for the endpoint."""
        gathered = self._circuits[batch.path].on_success()
        if gathered is not None:
            for frame in gathered:
                self._queue.worker.hand_back(frame)
            self._queue.worker.retry_now()
            self._reporter.recovered()

    # After a failed attempt

    def _retry_later(
        self, frame: Frame, batch: Batch, response: Response, after: float
    ) -> RetryOutcome:
        """Postpone the frame, or park it if this was its last attempt, or abandon its batch."""
        now, attempts = clock.now(), frame.attempts + 1
        if frame.is_early(now):  # the attempt was made before it was due, and does not count
            return hold(frame, after)
        delay = self._backoff.delay(
            attempts, after, age=_age(frame, now), chance=self._random.random()
        )
        if delay is None:
            return self._park_or_abandon(frame, batch, response, attempts)
        parked = self._park_if_urgent(frame)
        if not isinstance(parked, NotParked):
            return parked
        frame.postpone(now, now + int(delay * 1e9), now + int(after * 1e9))
        self._reporter.retrying(response, delay)
        return Postponed(delay)

    def _retry_if_busy(
        self, frame: Frame, batch: Batch, response: Response, after: float
    ) -> RetryOutcome:
        """Let the frame wait, or park it or abandon its batch if its time is over."""
        delay = self._backoff.delay_if_busy(
            after, age=_age(frame, clock.now()), chance=self._random.random()
        )
        if delay is None:
            return self._park_or_abandon(frame, batch, response, frame.attempts)
        outcome = self._hold(frame, delay)
        if self._pace.is_lowest:  # else fewer requests are sent from now on, and will be accepted
            self._reporter.retrying(response, delay)
        return outcome

    def _park_or_abandon(
        self, frame: Frame, batch: Batch, response: Response, attempts: int
    ) -> RetryOutcome:
        reason = self._backoff.exhausted_reason(attempts)
        parked = self._park(frame, f"{reason}, {response.summary}")
        if not isinstance(parked, NotParked):
            return parked
        self._failures.add(parked.reason or reason, batch, response, attempts)
        frame.advance(batch.end, failed=batch.count)
        return Abandoned()

    def _hold(self, frame: Frame, seconds: float) -> Postponed | Parked:
        """Let a frame wait without counting an attempt, or park it if the buffer fills up."""
        parked = self._park_if_urgent(frame)
        return hold(frame, seconds) if isinstance(parked, NotParked) else parked

    def _park_if_urgent(self, frame: Frame) -> Parked | Postponed | NotParked:
        """Park a frame before its last attempt, if the outage would soon stop the application."""
        if self._circuits[path_of(frame.is_identity)].is_closed or not self._parking.is_urgent:
            return NotParked()
        return self._park(frame, "the platform is unreachable and the buffer is half full")

    def _park(self, frame: Frame, reason: str) -> Parked | Postponed | NotParked:
        return self._parking.park(frame, self._unsent(frame), reason)

    # What is left of a frame

    def _unsent(self, frame: Frame) -> list[Batch]:
        """Return what is still to be sent of a frame, front to back."""
        batches = unsent(frame, self._parking.key(frame))
        # An earlier attempt may have arrived: its batch is repeated as it was, with the same key.
        attempted, untried = (batches[:1], batches[1:]) if frame.is_in_progress else ([], batches)
        return attempted + [part for batch in untried for part in self._fitting(batch)]

    def _fitting(self, batch: Batch) -> list[Batch]:
        """Split a batch into parts that are not known to be too large."""
        if batch.count == 1 or self._limit.allows(batch.size, batch.count):
            return [batch]
        return [part for half in batch.halves() for part in self._fitting(half)]


def _release(frame: Frame, batch: Batch) -> None:
    """Release a batch that no request can have delivered, if it is all that the frame holds.

    A part of a frame keeps its place and its time.
    """
    if batch.start == 0 and batch.end == frame.length:
        frame.release_batch()


def _age(frame: Frame, now: int) -> float:
    """Return the seconds since the first attempt to send the batch at hand, in any process."""
    return max(0, now - frame.since) / 1e9
