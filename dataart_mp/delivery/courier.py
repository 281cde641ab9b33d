"""The courier: delivers batches without a queue and without another process.

    batch ─► post ─► judge ─┬─► delivered, rejected: settled
                 ▲          ├─► split: two batches
                 └──────────┴─► retry after the backoff; later, when the platform asks for it

What a worker does with frames, this does with batches of which nothing is stored: the caller has
their content, and delivers them again if this process dies.
"""

import random
import threading
from datetime import UTC, datetime
from typing import assert_never

from dataart_mp import clock
from dataart_mp.delivery.backoff import Backoff
from dataart_mp.delivery.batch import Batch
from dataart_mp.delivery.counts import Counts
from dataart_mp.delivery.limit import Limit
from dataart_mp.delivery.pace import Pace
from dataart_mp.delivery.verdict import (
    CONTENT_TOO_LARGE,
    Delivered,
    Later,
    Rejected,
    Retry,
    Split,
    judge,
)
from dataart_mp.errors import NotDeliveredError, RejectedError
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender


class StoppedError(Exception):
    """The courier was stopped before the batch was settled."""


class Courier:
    """Delivers batches; for any thread, each with one batch at a time.

    Args:
        sender: Posts the batches.
        backoff: The delays between attempts.
        sent_at: The outer timestamp of every request, in ISO 8601 with its UTC offset; None: the
            time of its last event. It does not change, so that a request that is repeated is the
            same, byte for byte.
        pace: When requests may begin.
        counts: Counts what becomes of the records.
        is_again: Whether the batches may have been delivered before, by another courier.
        keeps_rejected: Whether to continue after a rejected batch; else RejectedError is raised.
    """

    def __init__(
        self,
        sender: Sender,
        backoff: Backoff,
        sent_at: bytes | None,
        pace: Pace,
        counts: Counts,
        *,
        is_again: bool = False,
        keeps_rejected: bool = True,
    ) -> None:
        self._sender = sender
        self._backoff = backoff
        self._sent_at = sent_at
        self._pace = pace
        self._counts = counts
        self._is_again = is_again
        self._keeps_rejected = keeps_rejected
        self._limit = Limit()
        self._stopped = threading.Event()
        self._random = random.SystemRandom()

    def deliver(self, whole: Batch) -> None:
        """Deliver a batch; return when each of its records is settled.

        A part of a batch has a key that names its place in the whole, so that one key has one
        content, whatever other batches have taught about the size that the platform accepts.

        Args:
            whole: The batch.

        Raises:
            NotDeliveredError: No attempt is left, or `delivery_timeout` is over.
            RejectedError: The platform refuses records permanently, if they are not to be kept.
            StoppedError: `stop` was called.
        """
        left = [whole]
        while left:
            batch = left.pop()
            parts = batch.halves() if self._is_too_large(batch) else self._settle(batch)
            left += reversed(parts)

    def stop(self) -> None:
        """Let all threads return after the requests that are in flight."""
        self._stopped.set()

    def _is_too_large(self, batch: Batch) -> bool:
        is_known = self._limit.is_known
        return is_known and batch.is_divisible and not self._limit.allows(batch.size, batch.count)

    def _settle(self, batch: Batch) -> tuple[Batch, ...]:
        """Send a batch until it is settled, or split it; return the parts to send instead."""
        body = batch.body(self._sent_at or batch.last_timestamp)
        attempts, began = 0, 0.0
        is_retry, may_repeat = False, self._is_again
        while True:
            self._wait(self._pace.take_turn(clock.monotonic()))
            began = began or clock.monotonic()
            response = self._sender.post(batch.path, body, batch.key)
            self._counts.sent(
                is_retry=is_retry, may_repeat=may_repeat, is_second=response.is_second
            )
            age = clock.monotonic() - began
            match judge(response, datetime.now(UTC), is_divisible=batch.is_divisible):
                case Delivered():
                    self._counts.accepted(batch)
                    self._limit.delivered(batch.size, batch.count)
                    return ()
                case Split():
                    if response.status == CONTENT_TOO_LARGE:
                        self._limit.too_large(batch.size)
                    return batch.halves()
                case Rejected():
                    self._reject(batch, response)
                    return ()
                case Retry(after):
                    attempts += 1
                    may_repeat = True
                    delay = self._backoff.delay(
                        attempts, after, age=age, chance=self._random.random()
                    )
                case Later(after):
                    delay = self._backoff.delay_if_busy(
                        after, age=age, chance=self._random.random()
                    )
                    self._pace.pause(clock.monotonic() + (delay or 0.0))
                case verdict:
                    assert_never(verdict)
            if delay is None:
                raise self._not_delivered(batch, attempts, response)
            is_retry = True
            self._wait(delay)

    def _wait(self, seconds: float) -> None:
        """Wait; a courier that is stopped sends nothing more."""
        is_stopped = self._stopped.wait(seconds) if seconds > 0.0 else self._stopped.is_set()
        if is_stopped:
            raise StoppedError

    def _reject(self, batch: Batch, response: Response) -> None:
        self._counts.refused(batch, response)
        if self._keeps_rejected:
            return
        raise RejectedError(
            f"{_events(batch)} rejected ({_described(response)}); correct or leave out what the "
            'response names, or set on_rejected="skip"'
        )

    def _not_delivered(self, batch: Batch, attempts: int, response: Response) -> NotDeliveredError:
        reason = self._backoff.exhausted_reason(attempts)
        return NotDeliveredError(
            f"{_events(batch)} not delivered: {reason} ({_described(response)}); ship the part "
            "again when the platform responds"
        )


def _events(batch: Batch) -> str:
    return "1 event was" if batch.count == 1 else f"{batch.count:,} events were"


def _described(response: Response) -> str:
    return f"{response.summary}, {response.text!r}" if response.text else response.summary
