"""The log entry of one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from dataart_mp.devsink.http.rejection import RejectionError


# How a request ended: each ends in exactly one of these.
Outcome = Literal["accepted", "rejected", "faulted", "unfinished"]

_SECRETS: Final = frozenset({b"x-api-key", b"authorization", b"proxy-authorization", b"cookie"})


_VALID: Final[dict[str, Any]] = {"error": None, "field": None, "errors": [], "more_errors": 0}


@dataclass(slots=True)
class LoggedRequest:
    """A request, from its head to the decision about it.

    Attributes:
        number: Number of the request, counted from 1 since the start or the last reset.
        time: When its head was read, in seconds since the epoch.
        connection: Number of its connection; None: it arrived before the sink was restarted.
        method: Method as sent.
        path: Path as sent, without the query.
        headers: Headers as sent.
        size: Size of the body as sent, in bytes.
        count: Number of items.
        idempotency_key: Idempotency-Key; None: the client sent none.
        outcome: How the request ended; None: it is in flight.
        status: Status of the response; None: there is none, or not yet.
        fault: Kind of the fault that decided the outcome.
        rejection: What is wrong with the request.
        body: The body of a wrong request, decompressed if that is possible; None: it was not read.
        seconds: Time from the head to the decision, in seconds.
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
    body: bytes | None = None
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for `/_sink/requests`, without secrets and without the body."""
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
            **(self.rejection.as_log() if self.rejection else _VALID),
            "seconds": self.seconds,
        }
