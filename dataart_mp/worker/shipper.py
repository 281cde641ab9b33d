"""The shipper: what happens to one frame, from its claim to its settlement."""

import random
from datetime import UTC, datetime
from typing import Final, assert_never

from dataart_mp import clock
from dataart_mp.delivery.backoff import Backoff
from dataart_mp.delivery.batch import Batch
from dataart_mp.delivery.limit import Limit, SplitBatch
from dataart_mp.delivery.verdict import (
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
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.counters import THROTTLED
from dataart_mp.queue.status import Status
from dataart_mp.transport.envelope import path_of
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.circuit import LONGEST_PAUSE, Circuit, Gathered, Probe, Send, Wait
from dataart_mp.worker.failures import Failures
from dataart_mp.worker.parking import NotParked, Parking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.request import DELIVERED, SETTLED, Moment, Released, Request
from dataart_mp.worker.retry_outcome import Abandoned, Parked, Postponed, RetryOutcome, hold
from dataart_mp.worker.shared_flow import Pace
from dataart_mp.worker.unsent import unsent

_SEND: Final = Send()
_NO_REST: Final[list[Batch]] = []  # nobody changes it
# If nothing has succeeded for this time, there was an outage, also if too few requests failed to
# open a circuit. A platform that only fails now and then must not get everything again at once.
_OUTAGE_NS: Final = int(LONGEST_PAUSE * 1e9)


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
        self._status = Status(queue.arena)
        self._limit = Limit()
        # A worker that replaces another one continues with what is known of the platform.
        self._circuits = {
            path_of(kind): Circuit(backoff.ratio, is_open=self._status.is_open(kind))
            for kind in (False, True)
        }
        self._actions_circuit = self._circuit(is_identity=False)
        self._identities_circuit = self._circuit(is_identity=True)
        self._random = random.SystemRandom()

    @property
    def all_circuits_closed(self) -> bool:
        """Whether no endpoint is known to be down: every circuit is closed."""
        return self._actions_circuit.is_closed and self._identities_circuit.is_closed

    def is_healthy(self, is_identity: bool) -> bool:
        """Whether the last request to an endpoint did not fail, by what any worker knows."""
        return self._circuit(is_identity).is_healthy and not self._status.is_failing(is_identity)

    def follow_others(self) -> None:
        """Close each circuit whose endpoint works, by what another worker knows."""
        for is_identity in (False, True):
            self._follow_others(is_identity)

    def probe(self) -> None:
        """Retry one batch for each endpoint whose circuit waits for a probe.

        Else it would wait until a batch is due or a new one comes, and that may take minutes. In a
        full buffer, all of which waits, it may take as long until there are failures enough to open
        the circuit.
        """
        now, is_stuck = clock.monotonic(), self._queue.worker.is_stuck
        for is_identity in (False, True):
            circuit = self._circuit(is_identity)
            if circuit.wants_probe(now) or (circuit.is_closed and is_stuck):
                self._queue.worker.retry_one(is_identity)

    def ship(self, frame: Frame) -> float | None:
        """Send what is in a frame, front to back, and settle it. Waits for each response.

        Args:
            frame: A claimed frame; the caller holds it no longer.

        Returns:
            Seconds until the frame is tried again, if it waits in the queue. None if it is
            settled, or waits for the result of a probe.
        """
        return self.send_all(self.begin(frame))

    def send_all(self, step: Request | Released) -> float | None:
        """Send a request and all that follow it, until their frame is released.

        Args:
            step: What `begin` or `finish` has returned.

        Returns:
            As `ship` does.
        """
        while isinstance(step, Request):
            batch = step.batch
            step = self.finish(step, self._sender.post(batch.path, step.body(), batch.key))
        return step.seconds

    def begin(self, frame: Frame) -> Request | Released:
        """Prepare the first request of a frame.

        Args:
            frame: A claimed frame; the caller holds it no longer.

        Returns:
            The request, for the caller to send and to `finish`; or that the frame was released.
        """
        match self._parking.prepare(frame):
            case None:
                return self._first(frame)
            case Postponed(seconds):
                return Released(seconds)
            case Parked():
                return Released(None)
            case outcome:
                assert_never(outcome)

    def begin_at_once(
        self, frame: Frame, moment: Moment, sent_at: float
    ) -> Request | Released | None:
        """Prepare the first request of a frame, as `begin`, without waiting for a disk.

        Args:
            frame: A claimed frame; the caller holds it no longer, unless None is returned.
            moment: When it is sent.
            sent_at: The same (monotonic, seconds).

        Returns:
            As `begin` does; None if it might have to wait, and has done nothing.
        """
        length = frame.account.length_if_fresh
        if not length:
            may_wait = frame.taken or frame.may_be_parked
            is_closed = self._circuit(frame.is_identity).is_closed
            return self._first(frame) if is_closed and not may_wait else None
        # It holds actions that nothing was tried with, as nearly always.
        if not self._actions_circuit.is_closed:
            return None
        join = self._join
        if join is not None and frame.count < join and self._queue.worker.has_ready:
            self._join_ready(frame, join)
        if frame.followers or self._limit.is_known:
            return self._next(frame, self._unsent(frame))
        batch = Batch(frame.key, False, 0, frame.content(0, length))
        frame.account.aim_at_all(length, moment.now)
        return Request(
            frame, batch, _NO_REST, _SEND, moment.timestamp, sent_at, False, False, None, True
        )

    def finish(self, request: Request, response: Response) -> Request | Released:
        """Account for a request by its response, and prepare the next one of the frame.

        Returns:
            The next request, for the caller to send and to `finish`; or that the frame was
            released.
        """
        frame, batch, split = request.frame, request.batch, request.split or SplitBatch()
        self._count(request)
        verdict = judge(response, datetime.now(UTC), is_divisible=batch.is_divisible)
        self._adapt(request, response, verdict, clock.monotonic())
        match verdict:
            case Delivered():
                self._delivered(frame, batch, split)
                return self._next(frame, request.rest, split)
            case Split():
                parts = self._split(batch, response, split)
                return self._next(frame, parts + request.rest, split)
            case Rejected():
                self._rejected(frame, batch, response)
                split.rejected()
                return self._next(frame, request.rest, split)
            case Retry() if self._is_of_the_past(request):
                self._close(self._circuits[batch.path])
                self._queue.worker.hand_back(frame)
                return Released(0.0)
            case Retry(after):
                outcome = self._failed(frame, batch, request.permission, response, after)
            case Later(after):
                if not request.may_have_arrived and not response.is_second:
                    _release(frame, batch)
                outcome = self._throttled(frame, batch, request.permission, response, after)
            case _:
                assert_never(verdict)
        match outcome:
            case Abandoned():
                split.rejected()
                return self._next(frame, request.rest, split)
            case Postponed(seconds):
                return Released(seconds)
            case Parked():
                return Released(None)
            case _:
                assert_never(outcome)

    def finish_at_once(self, request: Request, now: float) -> Request | Released | None:
        """Account for a request that was delivered, as `finish`, without waiting for a disk.

        Args:
            request: A request that `begin_at_once`, or this method, has returned.
            now: The time (monotonic, seconds).

        Returns:
            As `finish` does, or DELIVERED; None if it might have to wait, and has done nothing.
        """
        frame, batch, rest, _, _, _, is_retry, _, split, is_fresh = request
        circuit = self._identities_circuit if batch.is_identity else self._actions_circuit
        is_healthy = circuit.is_healthy
        if not is_healthy and not circuit.is_closed:
            return None
        if self._status.is_failing(batch.is_identity):  # by what another worker knows
            return None
        self._queue.counters.add_request(request.size, is_retry=is_retry)
        if self._pace.is_due(now):
            self._adapt_to_delivery(request, now)
        if is_fresh and is_healthy and not self._limit.is_known:  # as nearly always
            self._queue.worker.settle_delivered(frame, len(batch.content))
            return DELIVERED
        split = split or SplitBatch()
        self._delivered(frame, batch, split)
        return self._next(frame, rest, split)

    def _first(self, frame: Frame) -> Request | Released:
        if self._join is not None:
            self._join_ready(frame, self._join)
        return self._next(frame, self._unsent(frame))

    def _join_ready(self, frame: Frame, records: int) -> None:
        size = self._limit.at_most(self._queue.arena.capacity)
        # Each record of a request must have its full delivery_timeout.
        any_age = self._backoff.deadline is None
        records = self._limit.at_most_records(records)
        self._queue.worker.join_ready(frame, records, size, refused_too=any_age)

    def _next(
        self, frame: Frame, batches: list[Batch], split: SplitBatch | None = None
    ) -> Request | Released:
        """Prepare a request for the first of the batches that are left, or settle the frame."""
        if not batches:
            settled = self._parking.settle(frame)
            return SETTLED if settled is None else Released(settled.seconds)
        now = clock.monotonic()
        self._follow_others(frame.is_identity)
        permission = self._circuit(frame.is_identity).acquire_permission(frame, now)
        match permission:
            case Send() | Probe():
                return self._prepare(frame, batches, permission, now, split)
            case Gathered():
                return Released(None)
            case Wait(until) if frame.taken:  # nothing was tried with it since it was parked
                return Released(hold(frame, until - now).seconds)
            case Wait(until):
                held = self._hold(frame, until - now)
                return Released(held.seconds if isinstance(held, Postponed) else None)
            case _:
                assert_never(permission)

    def _prepare(
        self,
        frame: Frame,
        batches: list[Batch],
        permission: Send | Probe,
        now: float,
        split: SplitBatch | None,
    ) -> Request:
        batch, *rest = batches
        is_retry, may_have_arrived = frame.is_sent_again, frame.may_have_arrived
        moment = Moment.this()
        frame.aim(batch.end, moment.now)
        frame.mark_sent()
        return Request(
            frame,
            batch,
            rest,
            permission,
            moment.timestamp,
            now,
            is_retry,
            may_have_arrived,
            split,
        )

    def _count(self, request: Request) -> None:
        self._queue.counters.add_request(request.size, is_retry=request.is_retry)

    def _circuit(self, is_identity: bool) -> Circuit:
        return self._circuits[path_of(is_identity)]

    def _adapt(self, request: Request, response: Response, verdict: Verdict, now: float) -> None:
        """Adapt the pace of requests to a response."""
        match verdict:
            case Delivered() if self._pace.is_due(now):
                self._adapt_to_delivery(request, now)
            case Later():
                self._pace.refused(request.sent_at, now)
            case Retry() if is_overload(response):
                self._pace.unanswered(request.sent_at, now)

    def _adapt_to_delivery(self, request: Request, now: float) -> None:
        waits = request.frame.has_followers or self._queue.worker.has_ready
        self._pace.accepted(request.batch.size, request.sent_at, now, is_backlog=waits)

    # One method per verdict

    def _delivered(self, frame: Frame, batch: Batch, split: SplitBatch) -> None:
        self._endpoint_works(batch)
        if self._limit.is_known:
            self._limit.delivered(batch.size, batch.count)
        too_many = split.delivered(batch.end)
        if too_many is not None:
            self._limit.too_many(too_many)
        frame.advance(batch.end)

    def _split(self, batch: Batch, response: Response, split: SplitBatch) -> list[Batch]:
        self._endpoint_works(batch)
        if response.status == CONTENT_TOO_LARGE:
            self._limit.too_large(batch.size)
        else:
            split.split(batch.end, batch.count)
        return list(batch.halves())

    def _rejected(self, frame: Frame, batch: Batch, response: Response) -> None:
        self._endpoint_works(batch)
        self._status.note_error(_describe(response))
        self._failures.add("rejected", batch, response, frame.attempts + 1)
        frame.advance(batch.end, rejected=batch.count)

    def _failed(
        self,
        frame: Frame,
        batch: Batch,
        permission: Send | Probe,
        response: Response,
        after: float,
    ) -> RetryOutcome:
        """Charge an attempt to the frame, and to the frames that share its result."""
        for other in self._count_failure(batch, permission, after):
            first = self._unsent(other)[0]
            other.aim(first.end, clock.now())
            if isinstance(self._retry_later(other, first, response, after), Abandoned):
                self._queue.worker.hand_back(other)  # its other batches are still to be sent
        is_first = self._note_failure(batch, response)
        outcome = self._retry_later(frame, batch, response, after)
        if is_first and not isinstance(outcome, Postponed):
            self._reporter.retrying(response, None)
        return outcome

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
        for other in self._count_failure(batch, permission, after):
            first, may_have_arrived = self._unsent(other)[0], other.may_have_arrived
            other.aim(first.end, clock.now())
            if not may_have_arrived:
                _release(other, first)
            if isinstance(self._retry_if_busy(other, first, response, after), Abandoned):
                self._queue.worker.hand_back(other)
        self._note_failure(batch, response)
        return self._retry_if_busy(frame, batch, response, after)

    def _is_of_the_past(self, request: Request) -> bool:
        """Whether a request was sent in an outage that another request has shown to be over.

        Its failure says nothing of the platform as it is now, and its batch is retried at once.
        """
        seconds = clock.monotonic() - request.sent_at
        return self._status.ended_at(request.batch.is_identity) > clock.now() - seconds * 1e9

    def _count_failure(self, batch: Batch, permission: Send | Probe, after: float) -> list[Frame]:
        """Count a failed request; return the frames that have failed with it."""
        failures = self._status.failures(batch.is_identity)
        circuit = self._circuits[batch.path]
        return circuit.on_failure(permission, after, clock.monotonic(), failures)

    def _follow_others(self, is_identity: bool) -> None:
        """Close the circuit if a request of another worker has succeeded since it was opened.

        Else this worker would take frames, and let them wait for its next probe.
        """
        circuit = self._circuit(is_identity)
        if not circuit.is_closed and not self._status.is_failing(is_identity):
            self._close(circuit)

    def _close(self, circuit: Circuit) -> None:
        """Close a circuit; if it was open, retry at once what waits for the endpoint."""
        gathered = circuit.on_success()
        if gathered is not None:
            for frame in gathered:
                self._queue.worker.hand_back(frame)
            self._queue.worker.retry_now()

    def _endpoint_works(self, batch: Batch) -> None:
        """Note that the endpoint has responded, before anything is retried by other workers."""
        outage = self._status.works(batch.is_identity)
        self._close(self._circuits[batch.path])
        if outage is None:  # another worker has reported it
            return
        self._reporter.recovered()
        if outage.was_open or outage.age >= _OUTAGE_NS:
            self._queue.worker.retry_now()

    def _note_failure(self, batch: Batch, response: Response) -> bool:
        """Show a failed request to all who look; return whether it is the first one in a row."""
        self._status.note_error(_describe(response))
        is_open = not self._circuits[batch.path].is_closed
        return self._status.failed(batch.is_identity, is_open=is_open)

    # After a failed attempt

    def _retry_later(
        self, frame: Frame, batch: Batch, response: Response, after: float
    ) -> RetryOutcome:
        """Postpone the frame, or park it if this was its last attempt, or abandon its batch."""
        now, attempts = clock.now(), frame.attempts + 1
        if frame.is_early(now):  # the attempt was made before it was due, and does not count
            return hold(frame, after, at_least=after)
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
        outcome = self._hold(frame, delay, at_least=delay)
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

    def _hold(self, frame: Frame, seconds: float, *, at_least: float = 0.0) -> Postponed | Parked:
        """Let a frame wait without counting an attempt, or park it if the buffer fills up."""
        parked = self._park_if_urgent(frame)
        if not isinstance(parked, NotParked):
            return parked
        return hold(frame, seconds, at_least=at_least)

    def _park_if_urgent(self, frame: Frame) -> Parked | Postponed | NotParked:
        """Park a frame before its last attempt, if the outage would soon stop the application."""
        if self._circuit(frame.is_identity).is_closed or not self._parking.is_urgent:
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
        if not self._limit.is_known:  # nearly always; to count the records takes time
            return [batch]
        if not batch.is_divisible or self._limit.allows(batch.size, batch.count):
            return [batch]
        return [part for half in batch.halves() for part in self._fitting(half)]


def _describe(response: Response) -> str:
    return f"{response.summary}, {response.text!r}" if response.text else response.summary


def _release(frame: Frame, batch: Batch) -> None:
    """Release a batch that no request can have delivered, if it is all that the frame holds.

    A part of a frame keeps its place and its time.
    """
    if batch.start == 0 and batch.end == frame.length:
        frame.release_batch()


def _age(frame: Frame, now: int) -> float:
    """Return the seconds since the first attempt to send the batch at hand, in any process."""
    return max(0, now - frame.since) / 1e9
