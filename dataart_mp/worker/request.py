"""A request: one batch of a frame on its way to the platform."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from dataart_mp import clock
from dataart_mp.delivery.batch import Batch
from dataart_mp.delivery.limit import SplitBatch
from dataart_mp.queue import Frame
from dataart_mp.transport.envelope import size_of_body
from dataart_mp.worker.circuit import Probe, Send


class Request(NamedTuple):
    """What is to be posted for a frame, or was posted and waits for its response.

    Attributes:
        frame: The claimed frame.
        batch: What the request carries.
        rest: What is to be sent of the frame afterwards.
        permission: What the circuit has permitted.
        timestamp: When it is sent: the time of day, in ISO 8601 with its UTC offset.
        sent_at: The same (monotonic, seconds).
        is_retry: Whether it repeats an earlier request.
        may_have_arrived: Whether an earlier request for the batch may have been processed.
        split: What is known of a batch of the frame that was split; None if none was.
        is_fresh: Whether it is the first request for the frame, and carries all of it, which is
            actions that a producer put there.
    """

    frame: Frame
    batch: Batch
    rest: list[Batch]
    permission: Send | Probe
    timestamp: bytes
    sent_at: float
    is_retry: bool = False
    may_have_arrived: bool = False
    split: SplitBatch | None = None
    is_fresh: bool = False

    def body(self) -> bytes:
        """Return the body, not compressed; always the same.

        It is not kept while the response is awaited: with many large requests in flight, the
        records take enough memory.
        """
        return self.batch.body(self.timestamp)

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        batch = self.batch
        return size_of_body(len(batch.content), self.timestamp, is_identity=batch.is_identity)


class Moment(NamedTuple):
    """The moment of sending, for all requests that are sent at once.

    Attributes:
        now: The time by which frames age (ns).
        timestamp: The time of day, in ISO 8601 with its UTC offset.
    """

    now: int
    timestamp: bytes

    @classmethod
    def this(cls) -> "Moment":
        """Return the present one."""
        return cls(clock.now(), datetime.now(UTC).isoformat().encode())


class Released(NamedTuple):
    """Nothing is to be posted for a frame now, and nobody here holds it.

    Attributes:
        seconds: The time until it is tried again, if it waits in the queue; else None.
    """

    seconds: float | None


SETTLED: Final = Released(None)

DELIVERED: Final = Released(None)
"""Nothing is left to be posted for a frame, which is settled, and which the caller has to free."""
