"""The balance sheet of records: every accepted record stands in exactly one other column.

accepted = delivered + pending + parked + dropped + rejected + failed
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Stats:
    """Counters since the client was made, over all its processes, at one moment.

    Attributes:
        accepted: Valid events that were handed over, those dropped included.
        delivered: Records that the platform confirmed.
        pending: Records that wait, or are on their way.
        dropped: Records that were let go before they were sent, by reason.
        rejected: Records that the platform refused for good.
        failed: Records that were given up on: their retries are exhausted.
        parked: Records in the spool whose retries are exhausted; they are sent again when the
            platform answers again.
        retries: Requests that were sent again.
        requests: Requests sent, the retries included; one that went out twice, as the server
            just then closed the connection, counts once.
        bytes: Bytes of request bodies sent, before compression.
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
    bytes: int = 0

    @property
    def total_dropped(self) -> int:
        """Records dropped, for all reasons together."""
        return sum(self.dropped.values())

    @property
    def balanced(self) -> bool:
        """Whether every accepted record is accounted for exactly once."""
        settled = self.delivered + self.total_dropped + self.rejected + self.failed
        return self.accepted == settled + self.pending + self.parked

    def __str__(self) -> str:
        """Write the balance as an equation, then the traffic; columns at zero are left out."""
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
        return f"requests {self.requests}, retries {self.retries}, bytes {self.bytes}"
