"""The files of the live page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_FOLDER: Final = Path(__file__).with_name("static")


def files() -> StaticFiles:
    """Return the application to mount at `/_sink/page`."""
    return StaticFiles(directory=_FOLDER)


async def index(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the page; the application for `/`."""
    page = FileResponse(_FOLDER / "index.html", media_type="text/html; charset=utf-8")
    await page(scope, receive, send)
