"""The fast path: a request and its response over an idle connection, if the response is ordinary.

urllib3 makes every connection (TLS and tunnels through proxies included) and reads every response
that is not ordinary. For all others, which is nearly all, its layers cost several times the work
itself: a request with 20 events takes 235 µs of CPU through urllib3, 28 µs here, and 11 µs through
a bare socket. So a prepared head goes out with the body in one write, and the response comes in
with one read.

                     a connection in urllib3's pool
               none, or closed │       │ open
                               │       ▼
                               │      head, body ──► socket ──► first bytes of the response
                               ▼                          none │ ordinary │ anything else
                   urllib3 sends the request ◄─────────────────┤          │
                               ▼                               ▼          ▼
                     urllib3's response           OrdinaryResponse    urllib3's response

No bytes: the server closed the connection, most likely because it was idle, when the request
arrived. That is not a failure yet. The request is sent once more at once, over a new connection and
under the same key; a failure there counts.

A response is ordinary if it is HTTP/1.1, has a final status that is not a redirect, has up to 64
headers of printable ASCII that arrive together, and has a short body of known length (or none, with
204). urllib3 reads everything else from its first byte, as it would without the fast path: chunks,
`Connection: close`, HTTP/1.0, an interim (1xx) response, an unusual or duplicate header, and
whatever is not HTTP. Either way, one deadline holds for the whole response.
"""

import socket
from collections.abc import Mapping
from enum import Enum
from typing import Final

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.util import Url, wait_for_read

from dataart_mp import clock
from dataart_mp.config import HTTPOptions
from dataart_mp.transport.ordinary_response import (
    DISCONNECTED,
    READ_BYTES,
    OrdinaryResponse,
    ordinary_head,
)
from dataart_mp.transport.urllib3_seam import (
    IdleConnections,
    request_head,
    resumed_response,
    socket_of,
)

# The timeout of a write covers all that one call writes: a large body on a slow network needs
# more than one.
PIECE_BYTES: Final = 64 * 1024


class Unanswered(Enum):
    """Why there is no response, so that urllib3 has to send the request."""

    NO_CONNECTION = "no connection was open"
    CLOSED = "the server closed the connection; it may have processed the request"


class FastPath:
    """Posts to one URL over the idle connections of a urllib3 pool; for any thread.

    Args:
        pool: The pool.
        url: The URL. A proxy that forwards plain HTTP must not be in between.
        headers: The headers that all requests have in common.
        http: The timeouts.
    """

    def __init__(
        self,
        pool: urllib3.HTTPConnectionPool,
        url: Url,
        headers: Mapping[str, str],
        http: HTTPOptions,
    ) -> None:
        self._pool = pool
        self._idle = IdleConnections(pool)
        self._head = request_head(pool, url.request_uri, headers)
        self._write_timeout = http.connect_timeout
        self._read_timeout = http.read_timeout

    def take(self) -> HTTPConnection | None:
        """Take an idle connection; None when there is none. The caller puts it back."""
        return self._idle.take()

    def put_back(self, connection: HTTPConnection) -> None:
        """Put a connection back, open or closed; the next request takes it first."""
        self._idle.put(connection)

    def request(self, content: bytes, key: str) -> bytes:
        """Return a whole request.

        Args:
            content: The body, already compressed.
            key: The Idempotency-Key.
        """
        return b"%bContent-Length: %d\r\nIdempotency-Key: %b\r\n\r\n%b" % (
            self._head,
            len(content),
            key.encode("latin-1"),
            content,
        )

    def resume(
        self, connection: HTTPConnection, data: bytes, *, is_sent: bool, deadline: float
    ) -> urllib3.HTTPResponse:
        """Return a response that has begun, for the caller to read with urllib3.

        Args:
            connection: The connection that it arrives on.
            data: Its first bytes.
            is_sent: Whether all of the request was written.
            deadline: The end of the wait for the response (monotonic, seconds).

        Raises:
            OSError, http.client.HTTPException: As for `post`.
        """
        try:
            return resumed_response(
                self._pool, connection, data, reusable=is_sent, deadline=deadline
            )
        except BaseException:
            connection.close()
            raise

    def post(
        self, content: bytes, key: str
    ) -> OrdinaryResponse | urllib3.HTTPResponse | Unanswered:
        """Post a body.

        Args:
            content: The body, already compressed.
            key: The Idempotency-Key.

        Returns:
            The response. One of urllib3 is still to be read, and holds the connection until then.

        Raises:
            OSError, http.client.HTTPException, urllib3.exceptions.HTTPError: No response came.
        """
        connection = self._idle.take()
        if connection is None:
            return Unanswered.NO_CONNECTION
        try:
            return self._post(connection, content, key)
        except BaseException:
            connection.close()
            raise

    def _post(
        self, connection: HTTPConnection, content: bytes, key: str
    ) -> OrdinaryResponse | urllib3.HTTPResponse | Unanswered:
        sock = socket_of(connection)
        is_sent = self._send(sock, content, key)
        deadline = clock.monotonic() + self._read_timeout
        data = _receive_first(sock)
        if not data:
            connection.close()
            self._idle.put(connection)  # urllib3 takes it next, and connects it again
            return Unanswered.CLOSED
        head = ordinary_head(data)
        if head is None:
            return self.resume(connection, data, is_sent=is_sent, deadline=deadline)
        if len(data) < head.end:
            data = _receive_rest(sock, data, head.end, deadline)
        if is_sent and len(data) == head.end < READ_BYTES:
            self._idle.put(connection)
        else:
            # The rest of this response, of this request, or of something that was not requested
            # would be taken for a part of the next.
            connection.close()
        body = data[head.start : head.end] if len(data) >= head.end else b""
        return OrdinaryResponse(head.status, body, head.fields)

    def _send(self, sock: socket.socket, content: bytes, key: str) -> bool:
        """Write the request, and set the timeout for reading.

        Returns:
            Whether all of it was written. If not, the server has closed the connection, or has
            responded already.
        """
        request = self.request(content, key)
        sock.settimeout(self._write_timeout)
        try:
            for piece in pieces(request):
                sock.sendall(piece)
            is_sent = True
        except OSError as error:
            if error.errno not in DISCONNECTED and not _has_responded(sock, error):
                raise
            is_sent = False
        sock.settimeout(self._read_timeout)
        return is_sent


def pieces(content: bytes) -> list[bytes] | list[memoryview]:
    """Cut what is written into pieces for one call each, so that each has the full timeout."""
    if len(content) <= PIECE_BYTES:
        return [content]
    view = memoryview(content)  # a copy of a large request takes long
    return [view[start : start + PIECE_BYTES] for start in range(0, len(content), PIECE_BYTES)]


def _has_responded(sock: socket.socket, error: OSError) -> bool:
    """Whether the server stopped reading the request because it has refused it."""
    return isinstance(error, TimeoutError) and wait_for_read(sock, timeout=0.0)


def _receive_first(sock: socket.socket) -> bytes:
    """Return the first bytes of the response; none if the server closed the connection first."""
    try:
        return sock.recv(READ_BYTES)
    except OSError as error:
        if error.errno not in DISCONNECTED:
            raise
        return b""


def _receive_rest(sock: socket.socket, data: bytes, length: int, deadline: float) -> bytes:
    """Return the data and what follows up to `length`; less if it breaks off or is late."""
    while len(data) < length:
        seconds = deadline - clock.monotonic()
        if seconds <= 0:
            break
        sock.settimeout(seconds)
        try:
            piece = sock.recv(READ_BYTES)
        except OSError:
            break
        if not piece:
            break
        data += piece
    return data
