"""An ordinary response, as nearly all are: how its head is parsed, and what it consists of.

It is HTTP/1.1, has a final status that is not a redirect, has up to 64 headers of printable ASCII
that arrive together, and has a short body of known length (or none, with 204). `FastPath` and
`Channel` return such a response; urllib3 reads every other one from its first byte.
"""

import errno
import functools
import re
from typing import Final, NamedTuple

from dataart_mp.transport.response import MAX_BODY_BYTES

# More than an ordinary response has. After a read that is full, TLS may hold more.
READ_BYTES: Final = 8192
# The server reads no more, but may have responded: it need not read a body that it refuses.
# urllib3 ignores the same errors.
DISCONNECTED: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE})

_HEAD: Final = re.compile(
    rb"HTTP/1\.1 ([245]\d\d)(?: [ -~]*)?\r\n(?:[!-9;-~]+:[\t -~]*\r\n){0,64}\r\n"
)
_FIELD: Final = re.compile(
    rb"\n(content-length|transfer-encoding|connection|retry-after):[\t ]*([\t -~]*)\r",
    re.IGNORECASE,
)
_FIELD_OF_ERROR: Final = re.compile(rb"\n(content-encoding|date):[\t ]*([\t -~]*)\r", re.IGNORECASE)
_FIRST_ERROR: Final = 400
_LENGTH: Final = re.compile(rb"\d{1,4}")
_NO_CONTENT: Final = 204


class OrdinaryResponse(NamedTuple):
    """An ordinary response.

    Attributes:
        status: HTTP status: 2xx, 4xx or 5xx.
        body: The body; empty if it is incomplete, for the status alone decides.
        fields: Retry-After, and of an error Content-Encoding and Date, by their names in lower
            case; those that were sent.
    """

    status: int
    body: bytes
    fields: dict[bytes, bytes]

    def header(self, name: bytes) -> str | None:
        """Return one of the headers as it was sent; None if there was none."""
        value = self.fields.get(name)
        return None if value is None else value.decode("ascii")


class Head(NamedTuple):
    """The head of an ordinary response; the body is data[start:end]."""

    status: int
    start: int
    end: int
    fields: dict[bytes, bytes]


# Most responses of a server are equal within the same second.
@functools.lru_cache(maxsize=8)
def whole_response(data: bytes) -> OrdinaryResponse | None:
    """Return the ordinary response that the data is, no more and no less; None if it is none."""
    head = ordinary_head(data)
    if head is None or not len(data) == head.end < READ_BYTES:
        return None
    return OrdinaryResponse(head.status, data[head.start :], head.fields)


@functools.lru_cache(maxsize=8)
def ordinary_head(data: bytes) -> Head | None:
    """Parse the head of the response that begins with the data; None if it is not ordinary."""
    head = _HEAD.match(data)
    if head is None:
        return None
    status, start = int(head[1]), head.end()
    pairs = _FIELD.findall(data, 0, start)
    fields = {name.lower(): value for name, value in pairs}
    if len(fields) < len(pairs) or b"transfer-encoding" in fields:
        return None
    if fields.pop(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    length = fields.pop(b"content-length", b"0" if status == _NO_CONTENT else b"")
    if not _LENGTH.fullmatch(length):
        return None
    size = int(length)
    if size > (0 if status == _NO_CONTENT else MAX_BODY_BYTES):
        return None
    if status >= _FIRST_ERROR:
        fields |= ((name.lower(), value) for name, value in _FIELD_OF_ERROR.findall(data, 0, start))
    return Head(status, start, start + size, fields)
