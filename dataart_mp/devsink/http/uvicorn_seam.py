"""The only module that uses internals of uvicorn.

uvicorn has no public API for closing a connection without a response, for reporting what is not
HTTP, or for stopping at once. The sink therefore subclasses two of its classes and relies on:

    HttpToolsProtocol             `connection_made`, `data_received`, `on_message_begin`,
                                  `on_headers_complete`, `on_body`, `connection_lost` and
                                  `send_400_response` are hooks that a subclass may extend;
                                  `transport`, `loop`, `url`, `headers`, `scope`, `cycle`,
                                  `connections` and `app_state` are attributes; an exception in
                                  `on_headers_complete` ends in `send_400_response`
    RequestResponseCycle          `disconnected`: uvicorn sends no 500 for a missing response;
                                  `response_complete`; `message_event`: wakes a waiting `receive`
    Server                        `startup`, `shutdown` and `capture_signals` are hooks;
                                  `should_exit` ends the main loop; `server_state.connections`
    messages of `receive`         `http.request` always has `body` and `more_body`, although ASGI
                                  makes them optional (used in body.py)

httptools is only used through `HttpToolsProtocol`, except that it calls `on_chunk_header`. Of
Starlette, only the public API is used.
`tests/devsink/test_uvicorn_seam.py` fails when one of these moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import itertools
import os
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dataart_mp.devsink.http import limits
from dataart_mp.devsink.http.rejection import RejectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# Key of a request's connection in the `extensions` of its ASGI scope.
EXTENSION: Final = "dataart_mp.connection"
# Key of the lifespan state: a function to call with the number of a connection that sent something
# which cannot become a request, and with the error.
ON_REFUSED: Final = "on_refused"

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
# How long a refused connection is read after the response: closing it at once would reset it, and
# the client might lose the response.
_LINGER_SECONDS: Final = 1.0
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class ClientConnection:
    """The connection on which a request arrived.

    Attributes:
        number: Number of the connection, counted from 1.
    """

    number: int
    _transport: asyncio.Transport
    _cycle: RequestResponseCycle

    def close(self, *, reset: bool = False) -> None:
        """Close the connection at once, without a response.

        Args:
            reset: Close with a RST instead of a FIN.
        """
        # Set first, so that uvicorn does not send a 500 for the missing response.
        self._cycle.disconnected = True
        if reset:
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


def connection_of(scope: Scope) -> ClientConnection:
    """Return the connection on which a request arrived."""
    connection: ClientConnection = scope["extensions"][EXTENSION]
    return connection


class SinkProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits, which also gives each request its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Number the connection, and refuse it if there are too many."""
        self._number = next(_numbers)
        self._cycles: list[RequestResponseCycle] = []
        self._refusal: RejectionError | None = None
        self._is_in_head = False
        # Whether the request got closer to its end, and how many bytes came since it last did.
        self._has_advanced = False
        self._stalled_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._await_head()
        limit = limits.max_connections()
        if len(self.connections) > limit:
            # Without a linger, which would keep the descriptor.
            self._refuse(limits.too_many_connections(limit), linger=0.0)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and refuse a head that is too large or does not end."""
        if self._refusal is not None:
            return
        super().data_received(data)
        if self._has_advanced:
            self._has_advanced = False
            self._stalled_bytes = 0
        else:
            self._stalled_bytes += len(data)
            if self._stalled_bytes > limits.HEAD_BYTES and self._refusal is None:
                self._end_stalled()
        if self._is_in_head and self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Attach the connection; uvicorn starts the request's task only after this returns."""
        self._is_in_head = False
        self._has_advanced = True
        self._end_head_timer()
        try:
            limits.check_head(self.url, self.headers)
        except RejectionError as error:
            self._refusal = error  # for `send_400_response`
            raise
        super().on_headers_complete()
        self._cycles = [cycle for cycle in self._cycles if not cycle.response_complete]
        self._cycles.append(self.cycle)
        connection = ClientConnection(self._number, self.transport, self.cycle)
        # The type of ASGI requires a dict here, which a custom extension need not be.
        self.scope["extensions"] = {EXTENSION: connection}  # type: ignore[dict-item]

    def on_chunk_header(self) -> None:
        """Note that the size line of a chunk has ended."""
        self._has_advanced = True

    def on_body(self, body: bytes) -> None:
        """Note that a part of the body has arrived."""
        self._has_advanced = True
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the disconnect to all pipelined requests; uvicorn reports it to the last only."""
        self._end_head_timer()
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the name of uvicorn's parameter
        """Respond with the reason why what the client sent cannot become a request."""
        self._reject(self._refusal or RejectionError("request", "is not HTTP"))

    def _end_stalled(self) -> None:
        if self._is_in_head:
            self._reject(limits.too_large())
        else:
            # Within a body, such as in a trailer. Its request ends with the connection.
            self.transport.abort()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(limits.HEAD_SECONDS, self._end_slow_head)

    def _end_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_slow_head(self) -> None:
        self._head_timer = None
        if any(not cycle.response_complete for cycle in self._cycles):
            self._await_head()  # it waits for the responses before it
        elif self._is_in_head:
            self._reject(limits.too_slow())
        else:
            self.transport.close()

    def _reject(self, error: RejectionError) -> None:
        """Count what arrived as a rejected request, and refuse it."""
        self.app_state[ON_REFUSED](self._number, error)
        self._refuse(error)

    def _refuse(self, error: RejectionError, linger: float = _LINGER_SECONDS) -> None:
        """Respond with an error, and accept nothing more on this connection."""
        self._refusal = error
        self._end_head_timer()
        if any(not cycle.response_complete for cycle in self._cycles):
            # The error would be read as the response to an earlier request.
            self.transport.abort()
            return
        self.transport.write(_refused(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(linger, self.transport.close)


def _refused(error: RejectionError) -> bytes:
    content = orjson.dumps(error.as_json())
    status = http.HTTPStatus(error.status)
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/json",
        f"content-length: {len(content)}",
        "connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class SinkServer(uvicorn.Server):
    """uvicorn's server, which also reports its URL and stops at once.

    Args:
        config: Configuration of uvicorn.
        on_ready: Called with the URL of each listener as soon as it listens.
        until_eof: Also stop at the end of standard input.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[str], object] | None,
        *,
        until_eof: bool,
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._until_eof = until_eof

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then report the URL."""
        await super().startup(sockets)
        if self._until_eof:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_stdin)
        if self._on_ready is not None:
            for listener in sockets or []:
                self._on_ready(_url(listener))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop at once: idle and hanging connections get no grace period."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM.

        uvicorn's own method raises the signal again after the shutdown. For a sink that was asked
        to stop, stopping is a success. A signal that is ignored stays ignored, as in a command that
        a script runs in the background, unless another process controls this one.
        """
        loop = asyncio.get_running_loop()
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if self._until_eof or signal.getsignal(number) is not signal.SIG_IGN
        ]
        for number in numbers:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
