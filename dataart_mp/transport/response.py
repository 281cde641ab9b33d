"""A response: what came back for one request, or why nothing did."""

from dataclasses import dataclass
from typing import Final

MAX_BODY_BYTES: Final = 2048
"""How much of a response's body is read: enough to show the reason, and bounded."""


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one request.

    Attributes:
        status: HTTP status; None when no response arrived.
        text: First bytes of the body, where a redirect points to, or why no response arrived.
        retry_after: The Retry-After header as it was sent; None when there was none.
        date: The Date header as it was sent, if there was a Retry-After header.
        is_second: Whether the request was sent twice, because the server closed the first
            connection without a response; it may have processed the first one.
    """

    status: int | None
    text: str = ""
    retry_after: str | None = None
    date: str | None = None
    is_second: bool = False

    @property
    def summary(self) -> str:
        """The status for a log line: "status 503" or "no response"."""
        return "no response" if self.status is None else f"status {self.status}"
