"""The only module that uses internals of uvicorn.

uvicorn has no public API for closing a connection without a response, for reporting what is not
HTTP, or for stopping at once. The sink therefore subclasses two of its classes and relies on:

    HttpToolsProtocol             `connection_made`, `on_headers_complete`, `connection_lost` and
                                  `send_400_response` are hooks that a subclass may extend;
                                  `transport`, `scope`, `cycle` and `app_state` are attributes
    RequestResponseCycle          `disconnected`: uvicorn sends no 500 for a missing response;
                                  `response_complete`; `message_event`: wakes a waiting `receive`
    Server                        `startup`, `shutdown` and `capture_signals` are hooks;
                                  `should_exit` ends the main loop; `server_state.connections`
    messages of `receive`         `http.request` always has `body` and `more_body`, although ASGI
                                  makes them optional (used in body.py)

httptools is only used through `HttpToolsProtocol`, Starlette only through its public API.
`tests/devsink/test_uvicorn_seam.py` fails when one of these moves.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# Key of a request's connection in the `extensions` of its ASGI scope.
EXTENSION: Final = "dataart_mp.connection"
# Key of the lifespan state: a function to call with the number of a connection that sent bytes
# which are not HTTP.
ON_MALFORMED: Final = "on_malformed"

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
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
    """uvicorn's HTTP protocol, which also gives each request access to its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Number the connection."""
        self._number = next(_numbers)
        self._cycles: list[RequestResponseCycle] = []
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        """Attach the connection; uvicorn starts the request's task only after this returns."""
        super().on_headers_complete()
        self._cycles = [cycle for cycle in self._cycles if not cycle.response_complete]
        self._cycles.append(self.cycle)
        connection = ClientConnection(self._number, self.transport, self.cycle)
        # The type of ASGI requires a dict here, which a custom extension need not be.
        self.scope["extensions"] = {EXTENSION: connection}  # type: ignore[dict-item]

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the disconnect to all pipelined requests; uvicorn reports it to the last only."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Report that the client sent bytes which are not HTTP, then respond with a 400."""
        self.app_state[ON_MALFORMED](self._number)
        super().send_400_response(msg)


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
