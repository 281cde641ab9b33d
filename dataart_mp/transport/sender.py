"""The sender: posts a body and returns what came back.

This module and the exchange, its short way, are the ones that know urllib3.
"""

import gzip
import importlib
import operator
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final, cast
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from dataart_mp import clock
from dataart_mp.config import ClientConfig
from dataart_mp.config.setting import MASK
from dataart_mp.transport.fast_path import LONGEST_TEXT, FastPath, OrdinaryResponse, pieces
from dataart_mp.transport.proxy import credentials, proxy_for
from dataart_mp.transport.response import Response
from dataart_mp.transport.tls import client_context

_TEXT_CHARACTERS: Final = 500
_FIRST_FINAL_STATUS: Final = 200


class Sender:
    """Posts to one platform over its own pool of kept-alive connections; for any thread.

    Args:
        config: where to, with which key and how.
        connections: how many requests are under way at once.
        user_agent: the client's name.

    Raises:
        ConfigError, TypeError: what the configuration names can't be used; and whatever a
            `pool_factory` raises.
    """

    def __init__(self, config: ClientConfig, connections: int, user_agent: str) -> None:
        self._url = config.base_url
        self._http = config.http
        self._pool = _make_pool(config, connections)
        self._timeout = urllib3.Timeout(
            connect=config.http.connect_timeout, read=config.http.read_timeout
        )
        self._headers = _headers(config, user_agent)
        self._compress = _compressor(config.http.compression)
        self._fast_paths: dict[str, FastPath] = {}
        self._may_take_fast_path = _may_take_fast_path(self._pool, config)
        # Some servers quote the key that they refuse, in one encoding or the other.
        self._secrets = {config.api_key.encode(code) for code in ("latin-1", "utf-8")}

    def post(self, path: str, body: bytes, key: str) -> Response:
        """Post `body` to `path` behind the base URL; what goes wrong is an answer too."""
        content = self._compress(body)
        answer: OrdinaryResponse | urllib3.BaseHTTPResponse | None
        try:
            answer = self._exchange(path, content, key)
            if answer is None:
                answer = self._ask(path, content, key)
        except (HTTPError, HTTPException, OSError) as error:
            return Response(None, self._shown(f"{type(error).__name__}: {error}".encode()))
        if isinstance(answer, OrdinaryResponse):
            return Response(answer.status, self._shown(answer.text), answer.retry_after)
        text = _first_bytes(answer, clock.monotonic() + self._http.read_timeout)
        return Response(answer.status, self._shown(text), answer.headers.get("Retry-After"))

    def _exchange(
        self, path: str, content: bytes, key: str
    ) -> OrdinaryResponse | urllib3.HTTPResponse | None:
        """The short way, over a connection that was kept; None when there is none."""
        if not self._may_take_fast_path:
            return None
        exchange = self._fast_paths.get(path)
        if exchange is None:
            url = parse_url(self._url + path)
            pool = self._pool.connection_from_host(url.host, url.port, url.scheme)
            exchange = FastPath(pool, url, self._headers, self._http)
            self._fast_paths[path] = exchange
        return exchange.post(content, key)

    def _ask(self, path: str, content: bytes, key: str) -> urllib3.BaseHTTPResponse:
        """The way that is open always."""
        return self._pool.urlopen(
            "POST",
            self._url + path,
            body=pieces(content),
            headers={
                **self._headers,
                "Content-Length": str(len(content)),
                "Idempotency-Key": key,
            },
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            timeout=self._timeout,
        )

    def _shown(self, text: bytes) -> str:
        """The text as it may be logged: short, and without the key."""
        for secret in self._secrets:
            text = text.replace(secret, MASK.encode())
        return text.decode(errors="replace")[:_TEXT_CHARACTERS]


def _headers(config: ClientConfig, user_agent: str) -> dict[str, str]:
    headers = urllib3.HTTPHeaderDict(
        {
            "X-API-Key": config.api_key,
            "Content-Type": "application/json",
            "User-Agent": user_agent,
        }
    )
    if config.http.compression is not None:
        headers["Content-Encoding"] = config.http.compression
    headers.update(config.http.headers)  # a user-agent, however it is spelled, replaces ours
    return dict(headers)


def _first_bytes(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """The start of the answer's body; nothing of one that breaks off, for the status alone decides.

    The connection is kept only if that was all of the answer, and in time.
    """
    text = b""
    try:
        # After a word in between (1xx) the answer itself is still to come: left on a connection
        # that is kept, it would be taken for the answer to the next request.
        while response.status >= _FIRST_FINAL_STATUS and len(text) <= LONGEST_TEXT:
            piece = response.read1(LONGEST_TEXT + 1 - len(text))
            if not piece:
                response.release_conn()
                return text
            text += piece
            if clock.monotonic() > deadline:
                text = b""
                break
    except (HTTPError, OSError):
        text = b""
    response.close()
    return text


def _make_pool(config: ClientConfig, connections: int) -> urllib3.PoolManager:
    if config.pool_factory is not None:
        return _own_pool(config.pool_factory, config)
    proxy = proxy_for(config.base_url, config.http)
    settings: dict[str, Any] = {"maxsize": connections, "num_pools": 2}
    if "https" in (urlsplit(config.base_url).scheme, urlsplit(proxy or "").scheme):
        settings["ssl_context"] = client_context(config.http)
    if proxy is None:
        return urllib3.PoolManager(**settings)
    auth = credentials(proxy)
    return urllib3.ProxyManager(
        proxy,
        proxy_headers=urllib3.make_headers(proxy_basic_auth=auth) if auth else None,
        proxy_ssl_context=settings.get("ssl_context"),
        **settings,
    )


def _may_take_fast_path(pool: urllib3.PoolManager, config: ClientConfig) -> bool:
    """Whether a request is nobody's business but that of the two at the connection's ends.

    An application's own pool may do something about each one, and so does urllib3 for a proxy that
    forwards.
    """
    if config.pool_factory is not None:
        return False
    return pool.proxy is None or urlsplit(config.base_url).scheme == "https"


def _own_pool(pool_factory: str, config: ClientConfig) -> urllib3.PoolManager:
    module, _, name = pool_factory.partition(":")
    factory = operator.attrgetter(name)(importlib.import_module(module))
    pool = factory(config)
    if not isinstance(pool, urllib3.PoolManager):
        kind = type(pool).__name__
        raise TypeError(
            f"pool_factory={pool_factory!r} must make a urllib3.PoolManager, not {kind}"
        )
    return pool


def _compressor(name: str | None) -> Callable[[bytes], bytes]:
    match name:
        case None:
            return bytes
        case "gzip":
            return lambda body: gzip.compress(body, compresslevel=1, mtime=0)
        case "zstd":
            return _zstd()
        case _:
            raise ValueError(f"compression {name!r} is unknown; use 'gzip', 'zstd' or None")


def _zstd() -> Callable[[bytes], bytes]:
    try:
        module = importlib.import_module("compression.zstd")  # in the library from Python 3.14
    except ImportError:
        module = importlib.import_module("backports.zstd")  # the same for older ones
    return cast("Callable[[bytes], bytes]", module.compress)
