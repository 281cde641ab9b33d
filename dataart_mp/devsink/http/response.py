"""The sink's responses to requests for the platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from starlette.types import Send

    from dataart_mp.devsink.http.rejection import RejectionError

# HTTP does not allow a body with these.
_BODILESS: Final = frozenset({204, 205, 304})


@dataclass(frozen=True, slots=True)
class Response:
    """A status, a JSON body, and headers besides those of the body."""

    status: int
    content: dict[str, Any]
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def send(self, send: Send) -> None:
        """Send the response."""
        body = b"" if self.status in _BODILESS else orjson.dumps(self.content)
        headers = [(b"content-type", b"application/json"), *self.headers]
        if self.status not in (204, 304):
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def accepted(count: int) -> Response:
    """Return the response to a request whose items were accepted."""
    return Response(200, {"accepted": count})


def rejected(error: RejectionError) -> Response:
    """Return the response to a wrong request."""
    headers = [(b"allow", b"POST")] if error.status == 405 else []
    return Response(error.status, error.as_json(), headers)
