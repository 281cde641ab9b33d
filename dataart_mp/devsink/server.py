"""The sink as a server: one process, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.routing import Mount, Route, Router

from dataart_mp.devsink.assets import index
from dataart_mp.devsink.connection import Connection
from dataart_mp.devsink.control import control_app
from dataart_mp.devsink.guard import Guarded
from dataart_mp.devsink.ingest import Ingest
from dataart_mp.devsink.sink import Sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from dataart_mp.devsink.settings import SinkSettings

_BACKLOG: Final = 2048
# A stop cuts all connections, so requests end at once; this is for one that does not.
_STOP_SECONDS: Final = 1


def serve(settings: SinkSettings, on_ready: Callable[[str], object] | None) -> None:
    """Serve until SIGTERM, SIGINT or, with `until_eof`, the end of standard input."""
    with contextlib.closing(Sink(settings)) as sink, _listener(settings) as listener:
        server = _Server(_config(settings, _app(sink)), settings, on_ready)
        # What lives by now lives to the end: the collector need not look at it again and again.
        gc.freeze()
        server.run(sockets=[listener])


def _app(sink: Sink) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Router) -> AsyncIterator[dict[str, Any]]:
        # uvicorn hands this state to every Connection.
        yield {"sink": sink}

    def guarded(app: ASGIApp) -> Guarded:
        return Guarded(sink.guard, app)

    own = Router(
        routes=[
            Mount("/_sink", app=guarded(control_app(sink))),
            Route("/", guarded(index), methods=["GET"]),
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    ingest = Ingest(sink)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # A router would try all its routes before it lets an event through.
        is_own = scope["type"] == "lifespan" or _is_own(scope["method"], scope["path"])
        await (own if is_own else ingest)(scope, receive, send)

    return app


def _is_own(method: str, path: str) -> bool:
    return path.startswith("/_sink/") or (path == "/" and method in ("GET", "HEAD"))


def _config(settings: SinkSettings, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        # Declared as int, used as a delay in seconds.
        timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


def _listener(settings: SinkSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        settings: SinkSettings,
        on_ready: Callable[[str], object] | None,
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._settings.until_eof:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_stdin)
        if self._on_ready is not None:
            for listener in sockets or []:
                self._on_ready(_url(listener))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # No grace for whoever hangs or keeps an idle connection: a stop is prompt.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again after the shutdown; for a sink that was told
        # to stop, stopping is success.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop()
