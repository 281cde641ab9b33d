"""The sender: posts a body and returns what came back. The one module that knows urllib3."""

import gzip
import importlib
from collections.abc import Callable
from typing import Any, Final, cast

import urllib3
from urllib3.exceptions import HTTPError

from dataart_mp.config import ClientConfig
from dataart_mp.worker.verdict import Answer

_ANSWER_BYTES: Final = 2048  # of an answer's body: enough to tell why, and bounded
_TEXT_CHARACTERS: Final = 500


class Sender:
    """Posts to one platform over its own pool of kept-alive connections; for any thread.

    Args:
        config: where to, with which key and how.
        connections: how many requests are under way at once.
        user_agent: the client's name.
    """

    def __init__(self, config: ClientConfig, connections: int, user_agent: str) -> None:
        self._url = config.base_url
        self._manager = _make_pool(config, connections)
        self._timeout = urllib3.Timeout(
            connect=config.http.connect_timeout, read=config.http.read_timeout
        )
        self._headers = {
            "X-API-Key": config.api_key,
            "Content-Type": "application/json",
            "User-Agent": user_agent,
            **config.http.headers,
        }
        self._compress = _compressor(config.http.compression)
        if config.http.compression is not None:
            self._headers["Content-Encoding"] = config.http.compression

    def post(self, path: str, body: bytes, key: str) -> Answer:
        """Post `body` to `path` behind the base URL; what goes wrong is an answer too."""
        headers = {**self._headers, "Idempotency-Key": key}
        try:
            response = self._manager.urlopen(
                "POST",
                self._url + path,
                body=self._compress(body),
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout,
            )
        except (HTTPError, OSError) as error:
            return Answer(None, f"{type(error).__name__}: {error}"[:_TEXT_CHARACTERS])
        return Answer(response.status, _first_bytes(response), response.headers.get("Retry-After"))


def _first_bytes(response: urllib3.BaseHTTPResponse) -> str:
    """The start of the answer's body. The connection is kept only if that was all of it."""
    try:
        text = response.read(_ANSWER_BYTES)
        if response.read(1):
            response.close()
        else:
            response.release_conn()
    except (HTTPError, OSError):
        # The status has come, and it alone decides.
        response.close()
        return ""
    return text.decode(errors="replace")[:_TEXT_CHARACTERS]


def _make_pool(config: ClientConfig, connections: int) -> urllib3.PoolManager:
    if config.pool_factory is not None:
        module, _, name = config.pool_factory.partition(":")
        factory = getattr(importlib.import_module(module), name)
        return cast("urllib3.PoolManager", factory(config))
    http = config.http
    settings: dict[str, Any] = {"maxsize": connections, "num_pools": 2}
    if config.base_url.startswith("https:"):
        settings |= {
            "ca_certs": http.ca_file,
            "cert_file": http.client_cert,
            "key_file": http.client_key,
            "key_password": http.client_key_password,
        }
    if http.proxy is not None:
        return urllib3.ProxyManager(http.proxy, **_proxy_credentials(http.proxy), **settings)
    return urllib3.PoolManager(**settings)


def _proxy_credentials(proxy: str) -> dict[str, Any]:
    auth = urllib3.util.parse_url(proxy).auth
    return {"proxy_headers": urllib3.make_headers(proxy_basic_auth=auth)} if auth else {}


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
        module = importlib.import_module("zstandard")
    return cast("Callable[[bytes], bytes]", module.compress)
