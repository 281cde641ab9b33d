"""A client's connection: uvicorn's protocol, which the sink can also cut."""

from __future__ import annotations

import itertools
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dataart_mp.devsink.rejection import RejectionError

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# Where a request finds its line, in the ASGI scope's extensions.
EXTENSION: Final = "dataart_mp.line"

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Line:
    """What a request may know of the connection on which it came.

    Attributes:
        number: The connection's, counted from 1.
    """

    number: int
    _transport: asyncio.Transport
    _cycle: RequestResponseCycle

    def cut(self, *, reset: bool = False) -> None:
        """Close the connection at once; nothing more is sent."""
        # Told beforehand, uvicorn does not try to answer 500 for a request left unanswered.
        self._cycle.disconnected = True
        if reset:
            connected = self._transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


def line_of(scope: Scope) -> Line:
    """The line on which a request came."""
    line: Line = scope["extensions"][EXTENSION]
    return line


class Connection(HttpToolsProtocol):
    """Hands each request its line, and tells the ledger of what is not even HTTP."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Number the connection."""
        self._number = next(_numbers)
        self._cycles: list[RequestResponseCycle] = []
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        """Attach the line; uvicorn's task for the request starts only after this returns."""
        super().on_headers_complete()
        self._cycles = [cycle for cycle in self._cycles if not cycle.response_complete]
        self._cycles.append(self.cycle)
        line = Line(self._number, self.transport, self.cycle)
        # ASGI's type wants a dict there, which an extension of our own need not be.
        self.scope["extensions"] = {EXTENSION: line}  # type: ignore[dict-item]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that the client is gone; uvicorn tells only the last of a pipeline."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Write down what the parser refused, and refuse it."""
        sink = self.app_state["sink"]
        visit = sink.ledger.arrive(self._number, "?", "?", [])
        sink.reject(sink.ledger, visit, RejectionError("request", "is not HTTP"))
        super().send_400_response(msg)
