"""Protection from web pages: every page open in a browser can reach a sink on loopback.

A page of `evil.example` can do so in two ways: with a cross-origin request, which has a foreign
`Origin`, or with a host name that it resolves to 127.0.0.1 (DNS rebinding), which has a foreign
`Host`.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from dataart_mp.devsink.http import response
from dataart_mp.devsink.http.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dataart_mp.devsink.settings import SinkSettings

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_CACHED_HOSTS: Final = 256
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
        # No text becomes HTML, even by mistake.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: with it, the page's own requests would have the origin null.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """Accepts requests for the host names of the sink, from clients and its own page."""

    def __init__(self, settings: SinkSettings) -> None:
        self._names = {"localhost", settings.host.lower(), *map(str.lower, settings.allow_hosts)}
        self._allow_remote = settings.allow_remote
        # Every request has a host, nearly always the same one.
        self._is_own = lru_cache(_CACHED_HOSTS)(self._is_own_host)

    def check(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Check the host of a request, and the origin of one that changes something.

        Raises:
            RejectionError: With status 421 for a foreign host, 403 for a foreign origin.
        """
        host = headers.get(b"host")
        if host and not self._is_own(host):
            raise RejectionError(
                "header Host",
                f"{shown(host.decode('latin-1'))} is not a name of this sink; start it with "
                "--allow-host to allow it",
                status=421,
            )
        if method not in _SAFE_METHODS:
            _check_origin(headers, host)

    def _is_own_host(self, host: bytes) -> bool:
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
        # Rebinding needs a name: with an address, the client reached what it meant to reach.
        return address.is_loopback or self._allow_remote


class Guarded:
    """An ASGI application behind the guard; its responses have strict security headers."""

    def __init__(self, guard: Guard, app: ASGIApp) -> None:
        self._guard = guard
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or reject it."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        try:
            self._guard.check(scope["method"], dict(scope["headers"]))
        except RejectionError as error:
            await response.rejected(error).send(send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def _check_origin(headers: Mapping[bytes, bytes], host: bytes | None) -> None:
    origin = headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != host:
        raise RejectionError(
            "header Origin",
            f"{shown(origin.decode('latin-1'))} is another site, which may not change anything",
            status=403,
        )
