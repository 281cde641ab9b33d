"""The server of a sink: one process, one event loop."""

from __future__ import annotations

import contextlib
import gc
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.routing import Mount, Route, Router

from dataart_mp.devsink.control.app import control_app
from dataart_mp.devsink.http.guard import Guarded
from dataart_mp.devsink.http.uvicorn_seam import ON_REFUSED, SinkProtocol, SinkServer
from dataart_mp.devsink.ingest import Ingest
from dataart_mp.devsink.log import LOGGING
from dataart_mp.devsink.page.assets import index
from dataart_mp.devsink.sink import Sink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from dataart_mp.devsink.settings import SinkSettings

_BACKLOG: Final = 2048
# A stop closes all connections, which ends their requests; this limits a request that does not end.
_STOP_SECONDS: Final = 1


def serve(settings: SinkSettings, on_ready: Callable[[str], object] | None) -> None:
    """Serve until SIGTERM, SIGINT or, with `until_eof`, the end of standard input."""
    with contextlib.closing(Sink(settings)) as sink, _listener(settings) as listener:
        server = SinkServer(_config(settings, _app(sink)), on_ready, until_eof=settings.until_eof)
        # Objects that exist now live until the end; the collector need not visit them again.
        gc.freeze()
        server.run(sockets=[listener])


def _app(sink: Sink) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Router) -> AsyncIterator[dict[str, Any]]:
        # uvicorn hands this state to every SinkProtocol.
        yield {ON_REFUSED: sink.refuse}

    def guarded(app: ASGIApp) -> Guarded:
        return Guarded(sink.guard, app)

    control = Router(
        routes=[
            Mount("/_sink", app=guarded(control_app(sink))),
            Route("/", guarded(index), methods=["GET"]),
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    ingest = Ingest(sink)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # A router would try all its routes before an event reaches `ingest`.
        is_control = scope["type"] == "lifespan" or _is_control(scope["method"], scope["path"])
        await (control if is_control else ingest)(scope, receive, send)

    return app


def _is_control(method: str, path: str) -> bool:
    # HEAD: `dataart-mp doctor` looks at what is there; it sends nothing that could be recorded.
    return path.startswith("/_sink/") or method == "HEAD" or (path == "/" and method == "GET")


def _config(settings: SinkSettings, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=SinkProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=LOGGING,
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
