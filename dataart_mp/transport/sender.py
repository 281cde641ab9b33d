"""The sender: posts a body and returns what came back."""

import importlib
import operator
from dataclasses import replace
from http.client import HTTPException
from typing import Any, Final, assert_never
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, ProxyError
from urllib3.util import parse_url

from dataart_mp import clock
from dataart_mp.config import ClientConfig
from dataart_mp.transport.channel import (
    Channel,
    Disconnected,
    Failed,
    Outcome,
    Unusual,
    can_drive,
)
from dataart_mp.transport.compression import compressor
from dataart_mp.transport.decoding import decoded
from dataart_mp.transport.envelope import PATHS
from dataart_mp.transport.fast_path import FastPath, Unanswered, pieces
from dataart_mp.transport.key_source import KeySource
from dataart_mp.transport.location import shown_location
from dataart_mp.transport.ordinary_response import OrdinaryResponse
from dataart_mp.transport.proxy import credentials, proxy_for
from dataart_mp.transport.response import MAX_BODY_BYTES, Response
from dataart_mp.transport.secret_mask import SecretMask
from dataart_mp.transport.tls import TimedSocket, client_context
from dataart_mp.transport.urllib3_seam import bound_responses

_MAX_TEXT_CHARACTERS: Final = 500
_FIRST_FINAL_STATUS: Final = 200
_KEY_REFUSED: Final = (401, 403)
_OLD_KEYS: Final = 4


class Sender:
    """Posts to one platform over a pool of kept-alive connections; for any thread.

    Args:
        config: The base URL, the API key and the HTTP options.
        connections: How many requests are sent concurrently.
        user_agent: The User-Agent header, unless the configuration sets one.

    Raises:
        ConfigError: A certificate or the environment's proxy cannot be used.
        TypeError: The `pool_factory` returned something else than a pool. Whatever it raises is
            passed on.
    """

    def __init__(self, config: ClientConfig, connections: int, user_agent: str) -> None:
        self._url = config.base_url
        self._http = config.http
        self._pool = _make_pool(config, connections)
        bound_responses(self._pool)
        self._timeout = urllib3.Timeout(
            connect=config.http.connect_timeout, read=config.http.read_timeout
        )
        self._config = config
        self._user_agent = user_agent
        self._keys = KeySource(config)
        self._old_keys: list[str] = []
        self._has_new_key = False
        self._headers = _headers(config, user_agent, self._keys.key)
        self._compress = compressor(config.http.compression)
        self._fast_paths: dict[str, FastPath] = {}
        self._may_take_fast_path = _may_take_fast_path(self._pool, config)
        self._mask = SecretMask(config, [self._keys.key])

    def post(self, path: str, body: bytes, key: str) -> Response:
        """Post a body.

        Args:
            path: The endpoint, relative to the base URL.
            body: The body, not compressed.
            key: The Idempotency-Key.

        Returns:
            What came back. A request that fails on the way returns a response without a status.
        """
        content = self._compress(body)
        response: OrdinaryResponse | urllib3.BaseHTTPResponse | Unanswered
        is_second = False
        try:
            response = self._send_on_fast_path(path, content, key)
            if isinstance(response, Unanswered):
                is_second = response is Unanswered.CLOSED
                response = self._send_with_urllib3(path, content, key)
            came = self._read(response)
        except (HTTPError, HTTPException, OSError) as error:
            came = self._no_response(error)
        return replace(came, is_second=True) if is_second else came

    # The API key, if it comes from a file

    @property
    def key_problem(self) -> str | None:
        """Why the file of the API key cannot be read; None if it can, or if there is none."""
        return self._keys.problem

    def check_key(self) -> bool:
        """Read the file of the API key again if it has changed.

        Returns:
            Whether the key is another one since the last call, also because the platform had
            refused it.
        """
        if self._keys.has_changed():
            self._reload_key()
        has_new_key, self._has_new_key = self._has_new_key, False
        return has_new_key

    def _reload_key(self) -> None:
        old = self._keys.key
        if not self._keys.reload():
            return
        self._old_keys = [*self._old_keys, old][-_OLD_KEYS:]  # responses may still quote them
        self._mask = SecretMask(self._config, [self._keys.key, *self._old_keys])
        self._headers = _headers(self._config, self._user_agent, self._keys.key)
        self._fast_paths = {}  # they hold the headers
        self._has_new_key = True

    # For a caller that drives connections itself

    def take_channel(self) -> Channel | None:
        """Take an idle connection that can be driven without waiting; None when there is none."""
        if not self._may_take_fast_path:
            return None
        connection = self._fast_path(PATHS[0]).take()
        if connection is None:
            return None
        if can_drive(connection):
            return Channel(connection, self._http)
        self.put_back(connection)
        return None

    def put_back(self, connection: HTTPConnection) -> None:
        """Return the connection of a channel, open or closed."""
        self._fast_path(PATHS[0]).put_back(connection)

    def request(self, path: str, body: bytes, key: str) -> bytes:
        """Return a request for a channel to send.

        Args:
            path: The endpoint, relative to the base URL.
            body: The body, not compressed.
            key: The Idempotency-Key.
        """
        return self._fast_path(path).request(self._compress(body), key)

    def complete(
        self, outcome: Outcome, connection: HTTPConnection, path: str, body: bytes, key: str
    ) -> Response:
        """Return what came back for a request that a channel has sent.

        It waits for the rest of an unusual response. A request whose connection the server has
        closed is sent once more.

        Args:
            outcome: What the channel has returned.
            connection: The connection of the channel, which nothing uses any more. Unless the
                outcome is an ordinary response, it is put back here.
            path: As for `request`.
            body: As for `request`.
            key: As for `request`.
        """
        response: OrdinaryResponse | urllib3.BaseHTTPResponse
        try:
            match outcome:
                case OrdinaryResponse():
                    response = outcome
                case Unusual(data, is_sent, deadline):
                    response = self._fast_path(path).resume(
                        connection, data, is_sent=is_sent, deadline=deadline
                    )
                case Disconnected():
                    connection.close()
                    self.put_back(connection)  # urllib3 takes it next, and connects it again
                    response = self._send_with_urllib3(path, self._compress(body), key)
                case Failed(error):
                    connection.close()
                    self.put_back(connection)
                    return self._no_response(error)
                case _:
                    assert_never(outcome)
            came = self._read(response)
        except (HTTPError, HTTPException, OSError) as error:
            came = self._no_response(error)
        return replace(came, is_second=True) if isinstance(outcome, Disconnected) else came

    def _read(self, response: OrdinaryResponse | urllib3.BaseHTTPResponse) -> Response:
        if response.status in _KEY_REFUSED:
            self._reload_key()
        if not isinstance(response, OrdinaryResponse):
            return self._unusual(response)
        status, body, fields = response
        if not fields:  # of a success, nearly always
            return Response(status, self._loggable(body))
        text = self._loggable(decoded(body, response.header(b"content-encoding")))
        return Response(status, text, response.header(b"retry-after"), response.header(b"date"))

    def _no_response(self, error: Exception) -> Response:
        return Response(None, self._loggable(self._described(error).encode()))

    def _unusual(self, response: urllib3.BaseHTTPResponse) -> Response:
        """Read a response with urllib3."""
        headers = response.headers
        start = _read_start(response, clock.monotonic() + self._http.read_timeout)
        text = decoded(start, headers.get("Content-Encoding"))
        location = headers.get("Location")
        if location is not None and 300 <= response.status < 400:
            target = f"redirect to {shown_location(location)}".encode()
            text = b": ".join(filter(None, (target, text)))
        after = headers.get("Retry-After")
        date = None if after is None else headers.get("Date")
        return Response(response.status, self._loggable(text), after, date)

    def _send_on_fast_path(
        self, path: str, content: bytes, key: str
    ) -> OrdinaryResponse | urllib3.HTTPResponse | Unanswered:
        """Send over an idle connection, if there is one and it may be used."""
        if not self._may_take_fast_path:
            return Unanswered.NO_CONNECTION
        return self._fast_path(path).post(content, key)

    def _fast_path(self, path: str) -> FastPath:
        fast_path = self._fast_paths.get(path)
        if fast_path is None:
            url = parse_url(self._url + path)
            pool = self._pool.connection_from_host(url.host, url.port, url.scheme)
            fast_path = FastPath(pool, url, self._headers, self._http)
            self._fast_paths[path] = fast_path
        return fast_path

    def _send_with_urllib3(self, path: str, content: bytes, key: str) -> urllib3.BaseHTTPResponse:
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

    def _described(self, error: Exception) -> str:
        """Return an error's type and text, and which proxy failed: urllib3 names it since 2.6."""
        text = f"{type(error).__name__}: {error}"
        proxy = getattr(self._pool, "proxy", None) if isinstance(error, ProxyError) else None
        return f"{text} (proxy {proxy.host}:{proxy.port})" if proxy else text

    def _loggable(self, text: bytes) -> str:
        """Return the text short and without secrets."""
        text = self._mask.masked(text, is_cut=len(text) >= MAX_BODY_BYTES)
        return text.decode(errors="replace")[:_MAX_TEXT_CHARACTERS]


def _headers(config: ClientConfig, user_agent: str, key: str) -> dict[str, str]:
    headers = urllib3.HTTPHeaderDict(
        {
            "X-API-Key": key,
            "Content-Type": "application/json",
            "User-Agent": user_agent,
        }
    )
    if config.http.compression is not None:
        headers["Content-Encoding"] = config.http.compression
    headers.update(config.http.headers)  # a User-Agent, in any case, replaces ours
    return dict(headers)


def _read_start(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    """Return the start of a response's body; nothing if it is incomplete or late.

    The connection is kept only if the whole response was read in time.
    """
    start = b""
    try:
        # What follows 101 Switching Protocols, which nothing asked for, is not HTTP.
        while response.status >= _FIRST_FINAL_STATUS and len(start) <= MAX_BODY_BYTES:
            piece = response.read1(MAX_BODY_BYTES + 1 - len(start))
            if not piece:
                response.release_conn()
                return start
            start += piece
            if clock.monotonic() > deadline:
                start = b""
                break
    except (HTTPError, OSError):
        start = b""  # the status alone decides
    response.close()
    return start


def _make_pool(config: ClientConfig, connections: int) -> urllib3.PoolManager:
    if config.pool_factory is not None:
        return _custom_pool(config.pool_factory, config)
    proxy = proxy_for(config.base_url, config.http)
    settings: dict[str, Any] = {"maxsize": connections, "num_pools": 2}
    if "https" in (urlsplit(config.base_url).scheme, urlsplit(proxy or "").scheme):
        settings["ssl_context"] = client_context(config.http)
    if proxy is None:
        return urllib3.PoolManager(**settings)
    if "ssl_context" in settings and urlsplit(proxy).scheme == "https":
        settings["ssl_context"].sslsocket_class = TimedSocket
    auth = credentials(proxy)
    return urllib3.ProxyManager(
        proxy,
        proxy_headers=urllib3.make_headers(proxy_basic_auth=auth) if auth else None,
        proxy_ssl_context=settings.get("ssl_context"),
        **settings,
    )


def _may_take_fast_path(pool: urllib3.PoolManager, config: ClientConfig) -> bool:
    """Whether nothing but the two ends of a connection takes part in a request.

    A custom pool may act on each request, and so does urllib3 for a proxy that forwards.
    """
    if config.pool_factory is not None:
        return False
    return pool.proxy is None or urlsplit(config.base_url).scheme == "https"


def _custom_pool(pool_factory: str, config: ClientConfig) -> urllib3.PoolManager:
    module, _, name = pool_factory.partition(":")
    factory = operator.attrgetter(name)(importlib.import_module(module))
    pool = factory(config)
    if not isinstance(pool, urllib3.PoolManager):
        kind = type(pool).__name__
        raise TypeError(
            f"pool_factory={pool_factory!r} must make a urllib3.PoolManager, not {kind}"
        )
    return pool
