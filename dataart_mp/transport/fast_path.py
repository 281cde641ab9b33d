"""The exchange: a request and its answer over a kept connection, when the answer is ordinary.

urllib3 makes every connection (tunnels through proxies, TLS), and reads every answer that is out of
the ordinary. For the rest, which is nearly all, its layers cost several times what there is to do:
of a request with 20 events, 235 µs of CPU instead of 28, where a bare socket takes 11. So a head
that is prepared goes out with the body in one write, and the answer comes in by one read.

                     a connection in urllib3's pool
             none, or dropped │          │ alive
                              │          ▼
                              │         head, body ──► socket ──► what comes first of the answer
                              ▼                            nothing │ ordinary   │ anything else
                    urllib3 asks ◄─────────────────────────────────┤            │
                              ▼                                    ▼            ▼
                    an answer of urllib3                OrdinaryResponse    an answer of urllib3

Nothing: the server closed the connection, most likely for being idle, just as the request came. So
that is no failure yet; the request goes out once more at once, over a new connection and under the
same key. What goes wrong there counts.

Ordinary is HTTP/1.1 with a final status that is no redirect, up to 64 headers of printable ASCII,
all of which come at once, and a short body whose length they tell (or none, of a 204). Chunks,
`Connection: close`, HTTP/1.0, a word in between (1xx), a header that is odd or is there twice, and
whatever is no HTTP at all: http.client and urllib3 read it, from its first byte, as they always do.
"""

import errno
import http.client
import io
import queue
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.util import Url, wait_for_read

from dataart_mp import clock
from dataart_mp.config import HTTPOptions

LONGEST_TEXT: Final = 2048
"""Bytes of an answer's body: enough to tell why, and bounded."""

# The time-out of a write covers all that is written by one call: a large body through a slow
# network needs more than one.
_PIECE_BYTES: Final = 64 * 1024
# More than an ordinary answer has. Behind a read that is full, more may wait in the layer of TLS.
_READ_BYTES: Final = 8192

_HEAD: Final = re.compile(
    rb"HTTP/1\.1 ([245]\d\d)(?: [ -~]*)?\r\n(?:[!-9;-~]+:[\t -~]*\r\n){0,64}\r\n"
)
_FIELD: Final = re.compile(
    rb"\n(content-length|transfer-encoding|connection|retry-after):[\t ]*([\t -~]*)\r",
    re.IGNORECASE,
)
_LENGTH: Final = re.compile(rb"\d{1,4}")
_NO_CONTENT: Final = 204
# The server reads no more, but may have answered: it needn't read a body that it refuses. urllib3
# lets the same errors pass.
_HUNG_UP: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE})


@dataclass(frozen=True, slots=True)
class OrdinaryResponse:
    """An ordinary answer.

    Attributes:
        status: 2xx, 4xx or 5xx.
        text: the body; nothing of one that breaks off, for the status alone decides.
        retry_after: the header, as it came.
    """

    status: int
    text: bytes
    retry_after: str | None


class FastPath:
    """Posts to one URL over the connections that urllib3 has kept; for any thread.

    Args:
        pool: what urllib3 keeps them in.
        url: where to; not by way of a proxy that wants to see all of it in the request.
        headers: the headers that are the same in each request.
        http: the time-outs.
    """

    def __init__(
        self,
        pool: urllib3.HTTPConnectionPool,
        url: Url,
        headers: Mapping[str, str],
        http: HTTPOptions,
    ) -> None:
        self._pool = pool
        self._kept = cast("queue.LifoQueue[HTTPConnection | None]", pool.pool)
        self._head = _head(pool, url.request_uri, headers)
        self._connect_timeout = http.connect_timeout
        self._patience = http.read_timeout

    def post(self, content: bytes, key: str) -> OrdinaryResponse | urllib3.HTTPResponse | None:
        """Post `content`; None when there is no connection to do it over, and urllib3 has to.

        Neither is there one when the server hangs up on it without a word.

        An answer of urllib3 is still to be read, and holds the connection until it is.

        Raises:
            OSError, http.client.HTTPException, urllib3.exceptions.HTTPError: no answer came.
        """
        connection = self._take()
        if connection is None:
            return None
        try:
            is_sent = self._send(connection.sock, content, key)
            data = _first_data(connection.sock)
            if not data:
                connection.close()
                self._keep(connection)  # the last in is the first out: urllib3 connects it again
                return None
            head = _ordinary_head(data)
            if head is None:
                return self._resume(connection, data, is_sent=is_sent)
            data = self._all(connection.sock, data, head.end)
        except BaseException:
            connection.close()
            raise
        if is_sent and len(data) == head.end < _READ_BYTES:
            self._keep(connection)
        else:  # less: it broke off; more, or perhaps more: nobody has asked for that; or the rest
            # of this request would be due before the next
            connection.close()
        text = data[head.start : head.end] if len(data) >= head.end else b""
        return OrdinaryResponse(head.status, text, head.retry_after)

    def _take(self) -> HTTPConnection | None:
        """A connection that the server has not closed, and said nothing over unasked."""
        try:
            connection = self._kept.get(block=False)
        except queue.Empty:
            return None
        if connection is not None and connection.is_connected:
            return connection
        self._keep(connection)  # for urllib3 to connect it again
        return None

    def _keep(self, connection: HTTPConnection | None) -> None:
        try:
            self._kept.put(connection, block=False)
        except queue.Full:  # more requests at once than connections are to be kept
            if connection is not None:
                connection.close()

    def _send(self, sock: socket.socket, content: bytes, key: str) -> bool:
        """Write the request, and leave the socket as it is to be read.

        Returns:
            Whether that is all of it; else the server has hung up, or said something already.
        """
        request = b"%bContent-Length: %d\r\nIdempotency-Key: %b\r\n\r\n%b" % (
            self._head,
            len(content),
            key.encode("latin-1"),
            content,
        )
        sock.settimeout(self._connect_timeout)
        try:
            for piece in pieces(request):
                sock.sendall(piece)
            is_sent = True
        except OSError as error:
            if error.errno not in _HUNG_UP and not _is_answered(sock, error):
                raise
            is_sent = False
        sock.settimeout(self._patience)
        return is_sent

    def _all(self, sock: socket.socket, data: bytes, length: int) -> bytes:
        """The data and what follows, up to `length`; less when that breaks off or takes long."""
        if len(data) >= length:
            return data
        deadline = clock.monotonic() + self._patience
        while len(data) < length and clock.monotonic() < deadline:
            try:
                piece = sock.recv(_READ_BYTES)
            except OSError:
                break
            if not piece:
                break
            data += piece
        return data

    def _resume(
        self, connection: HTTPConnection, data: bytes, *, is_sent: bool
    ) -> urllib3.HTTPResponse:
        """An answer that begins with the data, read by those who can read any."""
        raw = http.client.HTTPResponse(cast("Any", _Resumed(data, connection.sock)), method="POST")
        try:
            raw.begin()
            if raw.will_close or not is_sent:
                connection.close()  # to others; this answer still reads from its socket
            return urllib3.HTTPResponse(
                body=raw,
                headers=urllib3.HTTPHeaderDict(raw.headers.items()),
                status=raw.status,
                preload_content=False,
                decode_content=False,
                original_response=raw,
                request_method="POST",
                pool=self._pool,
                connection=connection,
            )
        except BaseException:
            raw.close()
            raise


class _Resumed(io.RawIOBase):
    """A socket that gives once more what was read from it already; as http.client wants to see it.

    Args:
        data: what was read.
        sock: where the rest comes from.
    """

    def __init__(self, data: bytes, sock: socket.socket) -> None:
        self._data = data
        self._rest = sock.makefile("rb", buffering=0)  # keeps the socket open though it is closed

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not self._data:
            return self._rest.readinto(buffer)
        count = min(len(buffer), len(self._data))
        buffer[:count], self._data = self._data[:count], self._data[count:]
        return count

    def close(self) -> None:
        self._rest.close()
        super().close()


def pieces(content: bytes) -> list[bytes]:
    """What to write with one call each; a short content in one."""
    starts = range(0, len(content), _PIECE_BYTES)
    return [content[start : start + _PIECE_BYTES] for start in starts]


def _is_answered(sock: socket.socket, error: OSError) -> bool:
    """Whether the server takes no more of a request as it has refused that already."""
    return isinstance(error, TimeoutError) and wait_for_read(sock, timeout=0.0)


def _first_data(sock: socket.socket) -> bytes:
    """What comes first of the answer; nothing when the server has hung up before."""
    try:
        return sock.recv(_READ_BYTES)
    except OSError as error:
        if error.errno not in _HUNG_UP:
            raise
        return b""


def _head(pool: urllib3.HTTPConnectionPool, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request but for its last lines: just what a connection of the pool writes."""
    scribe: Any = pool.ConnectionCls(pool.host, pool.port)
    written = bytearray()
    scribe.send = written.extend  # so it never connects
    scribe.request("POST", target, headers={**headers, "Content-Length": "0"})
    return bytes(written).removesuffix(b"Content-Length: 0\r\n\r\n")


class _Head(NamedTuple):
    """What the head of an ordinary answer says; the body is data[start:end]."""

    status: int
    start: int
    end: int
    retry_after: str | None


def _ordinary_head(data: bytes) -> _Head | None:
    """The head of the answer that begins with the data; None when that is not ordinary."""
    head = _HEAD.match(data)
    if head is None:
        return None
    status, start = int(head[1]), head.end()
    pairs = _FIELD.findall(data, 0, start)
    fields = {name.lower(): value for name, value in pairs}
    if len(fields) < len(pairs) or b"transfer-encoding" in fields:
        return None
    if fields.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    length = fields.get(b"content-length", b"0" if status == _NO_CONTENT else b"")
    if not _LENGTH.fullmatch(length):
        return None
    size = int(length)
    if size > (0 if status == _NO_CONTENT else LONGEST_TEXT):
        return None
    after = fields.get(b"retry-after")
    return _Head(status, start, start + size, None if after is None else after.decode("ascii"))
