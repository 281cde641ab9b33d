"""The balance sheet of records: each accepted record is counted in exactly one other column.

accepted = delivered + pending + parked + dropped + rejected + failed
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the records that a process emitted before a mark; see `Client.mark`.

    The outcome of a later mark minus that of an earlier one is what became of the records in
    between. All records that are in none of these columns are delivered.

    Attributes:
        pending: Records that are waiting or being sent.
        rejected: Records that the platform refused permanently.
        failed: Records that were abandoned because their retries are exhausted.
        parked: Records that were put into the spool, because their retries are exhausted. They are
            on the disk, and are sent when the platform is reachable again. That does not change
            this number.
        dropped: Events that were dropped before they were sent.
        is_exact: Whether `rejected`, `failed` and `parked` are exact. If not, they may be too low:
            this process was stopped while thousands of batches failed.
    """

    pending: int = 0
    rejected: int = 0
    failed: int = 0
    parked: int = 0
    dropped: int = 0
    is_exact: bool = True

    @property
    def is_settled(self) -> bool:
        """Whether no record is pending."""
        return not self.pending

    @property
    def lost(self) -> int:
        """Number of records that will never be delivered: rejected, failed or dropped."""
        return self.rejected + self.failed + self.dropped

    def __sub__(self, earlier: "Outcome") -> "Outcome":
        """Return what became of the records between an earlier mark and this one."""
        if not isinstance(earlier, Outcome):
            return NotImplemented
        return Outcome(
            pending=self.pending - earlier.pending,
            rejected=self.rejected - earlier.rejected,
            failed=self.failed - earlier.failed,
            parked=self.parked - earlier.parked,
            dropped=self.dropped - earlier.dropped,
            is_exact=self.is_exact and earlier.is_exact,
        )

    def __str__(self) -> str:
        """Show the columns that are not zero."""
        names = ("pending", "rejected", "failed", "parked", "dropped")
        columns = [f"{name} {count:,}" for name in names if (count := getattr(self, name))]
        text = ", ".join(columns) or "all delivered"
        return text if self.is_exact else f"{text} or more"


@dataclass(frozen=True, kw_only=True)
class Stats:
    """A snapshot of a client's counters, summed over all its processes since its creation.

    Attributes:
        accepted: Valid events taken from the caller, including those that were dropped.
        delivered: Records that the platform confirmed.
        pending: Records that are waiting or being sent for the first time.
        dropped: How many of the accepted events were dropped before they were sent, by reason.
        rejected: Records that the platform refused permanently.
        failed: Records that were abandoned because their retries are exhausted.
        parked: Records in the spool whose retries are exhausted; they are sent when the platform
            is reachable again, and count as parked until they are delivered.
        retries: Requests that repeated a failed one.
        requests: Requests sent, including retries. A request that was repeated at once because
            the server had just closed the connection counts once.
        throttled: Requests that the platform was too busy for: it asked to send them later.
        concurrency: How many requests may be in flight at present: up to `flush_num_workers`. 0
            before the first worker has started, and with `adaptive=False`.
        bytes: Bytes of request bodies sent, before compression.
        oldest_pending_seconds: Age of the oldest pending record; None if nothing is pending.
        frames_in_use: How many frames of the buffer hold records.
        frames_free: How many frames of the buffer are free.
        workers: How many worker processes are alive; of more than 61, the first 61 are counted.
        in_flight: Requests in flight.
        circuit: `"open"` while some worker has stopped sending all but one request at a time,
            because requests fail; else `"closed"`.
        circuit_since: When the circuit was opened, or closed; None if it was never open.
        failing_since: When a request failed first, if none has succeeded since; else None.
        last_error: The last response that was not a success, why there was none, or what was
            wrong with the spool: at most 304 bytes of text, without secrets. None if there was no
            error. It stays after the problem is solved.
        last_error_at: When that was.

    The attributes from `oldest_pending_seconds` on describe a moment. Comparisons ignore them.
    """

    accepted: int = 0
    delivered: int = 0
    pending: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    failed: int = 0
    parked: int = 0
    retries: int = 0
    requests: int = 0
    throttled: int = 0
    concurrency: int = 0
    bytes: int = 0
    oldest_pending_seconds: float | None = field(default=None, compare=False)
    frames_in_use: int = field(default=0, compare=False)
    frames_free: int = field(default=0, compare=False)
    workers: int = field(default=0, compare=False)
    in_flight: int = field(default=0, compare=False)
    circuit: Literal["closed", "open"] = field(default="closed", compare=False)
    circuit_since: datetime | None = field(default=None, compare=False)
    failing_since: datetime | None = field(default=None, compare=False)
    last_error: str | None = field(default=None, compare=False)
    last_error_at: datetime | None = field(default=None, compare=False)

    @property
    def total_dropped(self) -> int:
        """Number of dropped records, for all reasons."""
        return sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        """Whether every accepted record is accounted for exactly once."""
        settled = self.delivered + self.total_dropped + self.rejected + self.failed
        return self.accepted == settled + self.pending + self.parked

    def as_json(self) -> dict[str, Any]:
        """Return all attributes as plain JSON data; times are RFC 3339 text in UTC."""
        return {
            name: value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
        }

    def __str__(self) -> str:
        """Show the balance as an equation, then the traffic; columns that are zero are left out."""
        return f"{self._balance()} | {self._traffic()}"

    def _balance(self) -> str:
        columns = [f"delivered {self.delivered}"]
        columns += [f"{name} {count}" for name, count in self._losses().items() if count]
        sign = "=" if self.balanced else "≠"
        return f"accepted {self.accepted} {sign} {' + '.join(columns)}"

    def _losses(self) -> dict[str, int]:
        dropped = {f"dropped ({reason})": count for reason, count in self.dropped.items()}
        rest = {"rejected": self.rejected, "failed": self.failed}
        return {"pending": self.pending, "parked": self.parked, **dropped, **rest}

    def _traffic(self) -> str:
        traffic = f"requests {self.requests}, retries {self.retries}, bytes {self.bytes}"
        if not self.throttled:
            return traffic
        return f"{traffic} | throttled {self.throttled}, concurrency {self.concurrency}"
