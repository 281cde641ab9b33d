"""What the sink answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from starlette.types import Send

    from dataart_mp.devsink.fault import FaultRule
    from dataart_mp.devsink.rejection import RejectionError

# HTTP forbids these a body.
_BODILESS: Final = frozenset({204, 205, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers beside the usual ones, and a JSON body."""

    status: int
    content: dict[str, Any]
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def send(self, send: Send) -> None:
        """Put it on the wire."""
        body = b"" if self.status in _BODILESS else orjson.dumps(self.content)
        headers = [(b"content-type", b"application/json"), *self.headers]
        if self.status not in (204, 304):
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def acceptance(count: int) -> Answer:
    """To a request whose items were accepted."""
    return Answer(200, {"accepted": count})


def rejection(error: RejectionError) -> Answer:
    """To a wrong request: where and why."""
    headers = [(b"allow", b"POST")] if error.status == 405 else []
    return Answer(error.status, {"error": str(error), "field": error.field}, headers)


def faulted(rule: FaultRule, status: int) -> Answer:
    """To a right request that a rule singled out."""
    headers = [(name.lower().encode(), text.encode()) for name, text in rule.headers.items()]
    if rule.retry_after is not None:
        headers.append((b"retry-after", str(rule.retry_after).encode()))
    return Answer(status, {"fault": rule.kind}, headers)
