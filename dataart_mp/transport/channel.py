"""A channel: one connection over which requests are sent, one by one, without ever waiting.

It does what `FastPath` does, in steps, so that one thread can drive many connections. The
caller waits for the socket, and for the deadline.

                  send             proceed             proceed
    idle ────────────────► writing ───────► reading ──────────► outcome ──► idle, or over
                           one deadline     one deadline

It begins with an idle connection that urllib3 has made, TLS and tunnels included. An outcome other
than an `OrdinaryResponse` leaves the connection to urllib3; see `Sender.complete`.
"""

import math
import socket
import ssl
from dataclasses import dataclass
from typing import Final, NamedTuple

from urllib3.connection import HTTPConnection

from dataart_mp.config import HTTPOptions
from dataart_mp.transport.fast_path import PIECE_BYTES
from dataart_mp.transport.ordinary_response import (
    DISCONNECTED,
    READ_BYTES,
    Head,
    OrdinaryResponse,
    ordinary_head,
    whole_response,
)
from dataart_mp.transport.tls import TimedSocket
from dataart_mp.transport.urllib3_seam import socket_of

_NOT_YET: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Unusual(NamedTuple):
    """A response has begun that urllib3 has to read.

    Attributes:
        data: Its first bytes.
        is_sent: Whether all of the request was written.
        deadline: The end of the wait for the response (monotonic, seconds).
    """

    data: bytes
    is_sent: bool
    deadline: float


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The server closed the connection without a response, most likely because it was idle."""


class Failed(NamedTuple):
    """No response came.

    Attributes:
        error: Why.
    """

    error: OSError


Outcome = OrdinaryResponse | Unusual | Disconnected | Failed


def can_drive(connection: HTTPConnection) -> bool:
    """Return whether an open connection can be a channel.

    It cannot if its socket is none of the operating system, as with TLS inside TLS, or cannot be
    set to return at once.
    """
    sock: object = socket_of(connection)
    return isinstance(sock, socket.socket) and not isinstance(sock, TimedSocket)


class Channel:
    """One connection that does not block; for one thread at a time.

    Args:
        connection: An idle connection that this module `can_drive`.
        http: The timeouts.

    Attributes:
        connection: The connection.
        fd: The descriptor of its socket.
        wants_to_write: Whether the request continues when the socket can be written to, rather than
            read from.
        deadline: The end of the wait for the socket (monotonic, seconds).
        is_watched_to_write: What the driver waits for; it sets this.
        is_reusable: Whether another request may follow, after an ordinary response.
    """

    __slots__ = (
        "_data",
        "_head",
        "_is_sent",
        "_left",
        "_read_timeout",
        "_receive",
        "_renew_at",
        "_send",
        "_write_timeout",
        "connection",
        "deadline",
        "fd",
        "is_reusable",
        "is_watched_to_write",
        "wants_to_write",
    )

    def __init__(self, connection: HTTPConnection, http: HTTPOptions) -> None:
        self.connection = connection
        sock = socket_of(connection)
        sock.settimeout(0.0)
        self.fd = sock.fileno()
        self._send = sock.send
        self._receive = sock.recv
        self._write_timeout = http.connect_timeout
        self._read_timeout = http.read_timeout
        self._left: memoryview | None = None  # of the request; None when no more is written
        self._renew_at = 0
        self._is_sent = True
        self._head: Head | None = None  # of the response, when only a part of it has arrived
        self._data = b""  # that part
        self.wants_to_write = False
        self.is_watched_to_write = False
        self.deadline = math.inf
        self.is_reusable = True

    def send(self, request: bytes, now: float) -> Outcome | None:
        """Begin to send a request.

        Args:
            request: All of it.
            now: Monotonic time in seconds.

        Returns:
            None, nearly always, because the outcome needs a wait for the socket.
        """
        self.is_reusable = False
        size = len(request)
        try:
            count = self._send(request) if size <= PIECE_BYTES else 0
        except _NOT_YET:
            count = 0
        except OSError as error:
            return self._stopped(error, now)
        if count == size:
            self._is_sent = True
            self.deadline = now + self._read_timeout
            return None
        self._left = memoryview(request)[count:]
        self._renew(now)
        return self._write(now)

    def proceed(self, now: float) -> Outcome | None:
        """Continue: the socket is ready.

        Args:
            now: Monotonic time in seconds.

        Returns:
            The outcome; None while the channel waits for the socket again.
        """
        return self._read() if self._left is None else self._write(now)

    def expire(self, now: float) -> Outcome | None:
        """Continue: the deadline is over.

        Args:
            now: Monotonic time in seconds.

        Returns:
            The outcome. None if the server has stopped to read the request because it has begun to
            respond, and the channel waits for the rest.
        """
        if self._left is not None:
            self._await_response(now, is_sent=False)
            outcome = self._read()
            if outcome is not None or self._head is not None:
                return outcome
        if self._head is None:
            return Failed(TimeoutError("timed out"))
        return self._incomplete(self._head)

    def _write(self, now: float) -> Outcome | None:
        left = self._left
        while left:
            try:
                # TLS repeats a call that could not write with the same bytes, so with the same cut.
                count = self._send(left[:PIECE_BYTES])
            except ssl.SSLWantReadError:
                self.wants_to_write = False
                return None
            except (BlockingIOError, ssl.SSLWantWriteError):
                self.wants_to_write = True
                return None
            except OSError as error:
                return self._stopped(error, now)
            left = self._left = left[count:]
            if len(left) <= self._renew_at:
                self._renew(now)
        self._await_response(now, is_sent=True)
        return None

    def _stopped(self, error: OSError, now: float) -> Outcome | None:
        """Read the response, which may have come although the server reads no more."""
        if error.errno not in DISCONNECTED:
            return Failed(error)
        self._await_response(now, is_sent=False)
        return self._read()

    def _renew(self, now: float) -> None:
        """Begin the time for the next piece: a large body on a slow network needs more than one."""
        self.deadline = now + self._write_timeout
        self._renew_at = len(self._left or b"") - PIECE_BYTES

    def _await_response(self, now: float, *, is_sent: bool) -> None:
        self._left = None
        self._is_sent = is_sent
        self.wants_to_write = False
        self.deadline = now + self._read_timeout

    def _read(self) -> Outcome | None:
        self.wants_to_write = False
        while True:
            try:
                piece = self._receive(READ_BYTES)
            except ssl.SSLWantWriteError:
                self.wants_to_write = True
                return None
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except OSError as error:
                if self._head is None and error.errno not in DISCONNECTED:
                    return Failed(error)
                piece = b""
            if self._head is None and self._is_sent:
                response = whole_response(piece)
                if response is not None:  # as nearly always
                    self.is_reusable = True
                    return response
            data, head = self._data + piece, self._head
            if head is None:
                if not data:
                    return Disconnected()
                head = ordinary_head(data)
                if head is None:
                    return Unusual(data, self._is_sent, self.deadline)
            if len(data) >= head.end:
                self._head, self._data = None, b""
                # What follows would be taken for a part of the next response.
                self.is_reusable = self._is_sent and len(data) == head.end < READ_BYTES
                return OrdinaryResponse(head.status, data[head.start : head.end], head.fields)
            if not piece:
                return self._incomplete(head)
            self._head, self._data = head, data

    def _incomplete(self, head: Head) -> OrdinaryResponse:
        return OrdinaryResponse(head.status, b"", head.fields)
