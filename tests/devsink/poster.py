"""A plain HTTP client of the platform, for the tests of the sink."""

from __future__ import annotations

import itertools
import json
import socket
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ACTIONS = "/events/send-actions"
IDENTITIES = "/users/identify"
MOMENT = "2021-05-04T10:11:12.123456789+02:00"

_numbers = itertools.count(1)


def action(**fields: Any) -> dict[str, Any]:
    """Return a valid action, different from all others, with some fields replaced."""
    return {
        "key": "departure",
        "user_key": "N14228",
        "is_anonymous_user": False,
        "timestamp": MOMENT,
        "metadata": {"_id": next(_numbers)},
        **fields,
    }


def actions(*items: Any) -> dict[str, Any]:
    """Return a valid body with these actions."""
    return {"timestamp": MOMENT, "actions": list(items)}


def identity(**fields: Any) -> dict[str, Any]:
    """Return a valid identity, different from all others, with some fields replaced."""
    return {"user_key": "N14228", "metadata": {"number": next(_numbers)}, **fields}


class Poster:
    """Posts bodies, valid or not, with valid headers by default."""

    def __init__(self, url: str) -> None:
        self.url = url
        # One connection per thread of a test.
        self._pool = urllib3.PoolManager(retries=False, timeout=30.0, maxsize=16, block=True)

    def close(self) -> None:
        self._pool.clear()

    def post(
        self,
        body: Any,
        path: str = ACTIONS,
        *,
        method: str = "POST",
        headers: Mapping[str, str | None] | None = None,
        chunks: Iterable[bytes] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Post a value as JSON, or bytes as they are; a header of None is omitted."""
        fields: dict[str, str | None] = {
            "X-API-Key": "key",
            "Content-Type": "application/json",
            "User-Agent": "poster",
            **(headers or {}),
        }
        if fields["User-Agent"] is None:
            fields["User-Agent"] = urllib3.util.SKIP_HEADER
        return self._pool.request(
            method,
            self.url + path,
            body=chunks or (body if isinstance(body, bytes) else json.dumps(body)),
            headers={name: value for name, value in fields.items() if value is not None},
            redirect=False,
        )

    def raw(self, *parts: bytes, half_close: bool = False) -> bytes:
        """Send bytes as they are, and return what the sink sends until it closes the connection."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            # In one call: a sink that rejects a head closes the connection, and a later body would
            # reset it before the response is read.
            connection.sendall(b"".join(parts))
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def raw_head(length: int, *lines: bytes, path: str = ACTIONS) -> bytes:
    """Return a valid head for `Poster.raw`, after which the sink closes the connection."""
    fields = [
        b"POST %b HTTP/1.1" % path.encode(),
        b"Host: localhost",
        b"X-API-Key: key",
        b"Content-Type: application/json",
        b"User-Agent: raw",
        b"Content-Length: %d" % length,
        b"Connection: close",
        *lines,
    ]
    return b"\r\n".join(fields) + b"\r\n\r\n"
