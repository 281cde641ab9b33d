"""Who may talk to the sink: a sink on loopback is in reach of every page a browser has open.

A page of `evil.example` reaches it in two ways: across origins, which `Origin` tells, or by a name
of its own that it lets point to 127.0.0.1 (DNS rebinding), which `Host` tells.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink import answer
from dataart_mp.devsink.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dataart_mp.devsink.settings import SinkSettings

_READING: Final = frozenset({"GET", "HEAD"})
_REMEMBERED: Final = 256
_HOST: Final = re.compile(
    r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]*)?"
).fullmatch
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text becomes HTML, not even by mistake.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: then the page's own changes would come without an origin.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """Knows the names of the sink."""

    def __init__(self, settings: SinkSettings) -> None:
        self._names = {"localhost", settings.host.lower(), *map(str.lower, settings.allow_hosts)}
        self._allow_remote = settings.allow_remote
        # Every request brings one, nearly always the same one.
        self._is_ours = lru_cache(_REMEMBERED)(self._is_ours_indeed)

    def check(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Refuse who came by a foreign name, and who wants to change something from elsewhere.

        Raises:
            RejectionError: 421 for the name, 403 for the origin.
        """
        host = headers.get(b"host")
        if host and not self._is_ours(host):
            raise RejectionError(
                "header Host",
                f"{shown(host.decode('latin-1'))} is no name of this sink; start it with "
                "--allow-host to use that name",
                status=421,
            )
        if method not in _READING:
            _check_origin(headers, host)

    def _is_ours_indeed(self, host: bytes) -> bool:
        match = _HOST(host.decode("latin-1").lower())
        if match is None:
            return False
        name = match["address"] or match["name"]
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # Rebinding needs a name; an address is the sink's own, or the connection would not be.
        return address.is_loopback or self._allow_remote


class Guarded:
    """An ASGI application behind the guard; its answers tell browsers to be strict."""

    def __init__(self, guard: Guard, app: ASGIApp) -> None:
        self._guard = guard
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""

        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            self._guard.check(scope["method"], dict(scope["headers"]))
        except RejectionError as error:
            await answer.rejection(error).send(send_strictly)
            return
        await self._app(scope, receive, send_strictly)


def _check_origin(headers: Mapping[bytes, bytes], host: bytes | None) -> None:
    origin = headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != host:
        raise RejectionError(
            "header Origin",
            f"{shown(origin.decode('latin-1'))} is another site, which may change nothing here",
            status=403,
        )
