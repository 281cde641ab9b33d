"""One request's entry in the book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from dataart_mp.devsink.rejection import RejectionError


# How a request ended: every one ends in exactly one of these.
Outcome = Literal["accepted", "rejected", "faulted", "unfinished"]

_SECRETS: Final = frozenset({b"x-api-key", b"authorization", b"proxy-authorization", b"cookie"})


@dataclass(slots=True)
class Visit:
    """A request, from its first byte to the decision about it.

    Attributes:
        number: Counted from 1 since the start or the last reset.
        time: When its head was read, in seconds since the epoch.
        connection: Number of the connection on which it came; None: before the sink's restart.
        method: As sent.
        path: As sent, without the query.
        headers: As sent.
        size: Bytes of its body, as sent.
        count: Items in it.
        idempotency_key: Under which it came.
        outcome: How it ended; None: not yet.
        status: The answer's; None: there was none, or not yet.
        fault: Kind of the fault that decided its end.
        rejection: What was wrong with it.
        seconds: From the head to the decision.
    """

    number: int
    time: float
    connection: int | None
    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    size: int = 0
    count: int = 0
    idempotency_key: str | None = None
    outcome: Outcome | None = None
    status: int | None = None
    fault: str | None = None
    rejection: RejectionError | None = None
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For `/_sink/requests` and `/_sink/rejected`, without secrets."""
        return {
            "number": self.number,
            "time": self.time,
            "connection": self.connection,
            "method": self.method,
            "path": self.path,
            "headers": {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in self.headers
                if name not in _SECRETS
            },
            "bytes": self.size,
            "count": self.count,
            "idempotency_key": self.idempotency_key,
            "outcome": self.outcome,
            "status": self.status,
            "fault": self.fault,
            "field": self.rejection.field if self.rejection else None,
            "error": str(self.rejection) if self.rejection else None,
            "seconds": self.seconds,
        }
