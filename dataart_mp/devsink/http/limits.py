"""The limits on what a connection may send before its request reaches the sink.

The HTTP parser keeps a line until it ends, however long it is, and waits for it without a limit.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink.http.rejection import RejectionError

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD_BYTES: Final = 64 * 1024
HEADER_BYTES: Final = 16 * 1024
HEADERS: Final = 100
# From the first byte of a head, or the start of the connection, to the end of the head.
HEAD_SECONDS: Final = 10.0
# For the rest of a body whose beginning has arrived.
BODY_SECONDS: Final = 120.0

_CONNECTIONS: Final = 2048
# Descriptors that are not connections: the listener, the event loop, files.
_OTHER_DESCRIPTORS: Final = 64


def check_head(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Check the size of a complete head.

    Raises:
        RejectionError: With status 414 for the URL, 431 for the headers.
    """
    if len(url) > HEAD_BYTES:
        raise RejectionError("path", f"is longer than {HEAD_BYTES} bytes", status=414)
    if len(headers) > HEADERS:
        raise RejectionError("head", f"has more than {HEADERS} headers", status=431)
    size = 0
    for name, value in headers:
        length = len(name) + len(value)
        if length > HEADER_BYTES:
            raise RejectionError("head", f"has a header of more than {HEADER_BYTES} bytes", 431)
        size += length
    if size > HEAD_BYTES:
        raise too_large()


def too_large() -> RejectionError:
    """Return the error for a head that is too large, whether it has ended or not."""
    return RejectionError("head", f"is larger than {HEAD_BYTES} bytes", status=431)


def too_slow() -> RejectionError:
    """Return the error for a head that has begun and does not end."""
    return RejectionError("head", f"did not arrive within {HEAD_SECONDS:g} seconds", status=408)


def too_many_connections(limit: int) -> RejectionError:
    """Return the error for a connection above the limit."""
    return RejectionError("connection", f"is one of more than {limit}; close others", status=503)


def max_connections() -> int:
    """Return how many connections may be open: fewer than this process may have descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS
    return max(1, min(_CONNECTIONS, soft - _OTHER_DESCRIPTORS))
