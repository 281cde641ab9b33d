"""A plain client of the platform, for the sink's own tests."""

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
    """A right action, unlike any other, with some fields replaced."""
    return {
        "key": "departure",
        "user_key": "N14228",
        "is_anonymous_user": False,
        "timestamp": MOMENT,
        "metadata": {"_id": next(_numbers)},
        **fields,
    }


def actions(*items: Any) -> dict[str, Any]:
    """A right body of actions."""
    return {"timestamp": MOMENT, "actions": list(items)}


def identity(**fields: Any) -> dict[str, Any]:
    """A right identity, unlike any other, with some fields replaced."""
    return {"user_key": "N14228", "metadata": {"number": next(_numbers)}, **fields}


class Poster:
    """Posts bodies, right or wrong, with right headers unless told otherwise."""

    def __init__(self, url: str) -> None:
        self.url = url
        # A connection for each thread of a test.
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
        """Post JSON, or bytes as they are; a header of None is left out."""
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
        """Send bytes as they are, and read until the sink closes the connection."""
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            # At once: a sink that refuses a head hangs up, and a body would reset its answer.
            connection.sendall(b"".join(parts))
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


def raw_head(length: int, *lines: bytes, path: str = ACTIONS) -> bytes:
    """A right head for `Poster.raw`, after which the sink closes the connection."""
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
