"""The counts: what became of records, counted by several threads."""

import threading
from dataclasses import dataclass, field

from dataart_mp.delivery.batch import Batch
from dataart_mp.transport.response import Response


@dataclass(slots=True)
class Counts:
    """Counts of records and requests, and the first batches that were rejected.

    Args:
        most_rejections: How many rejected batches to keep.

    Attributes:
        delivered: Records that the platform accepted.
        rejected: Records that it refused permanently.
        requests: Requests that were sent.
        retries: Those that repeat an earlier one.
        may_repeat: Requests that may repeat one that the platform has processed, at most.
        rejections: The first rejected batches, each with its response.
    """

    most_rejections: int
    delivered: int = 0
    rejected: int = 0
    requests: int = 0
    retries: int = 0
    may_repeat: int = 0
    rejections: list[tuple[Batch, Response]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def sent(self, *, is_retry: bool, may_repeat: bool, is_second: bool) -> None:
        """Count a request.

        Args:
            is_retry: Whether it repeats an earlier one.
            may_repeat: Whether the platform may have processed an earlier one.
            is_second: Whether the sender has sent it twice, as `Response.is_second`.
        """
        with self._lock:
            self.requests += 1 + is_second
            self.retries += is_retry + is_second
            self.may_repeat += may_repeat + is_second

    def accepted(self, batch: Batch) -> None:
        """Count the records of a batch that the platform accepted."""
        with self._lock:
            self.delivered += batch.count

    def refused(self, batch: Batch, response: Response) -> None:
        """Count the records of a batch that the platform refused permanently."""
        with self._lock:
            self.rejected += batch.count
            if len(self.rejections) < self.most_rejections:
                self.rejections.append((batch, response))
