"""The body of a request: read and decompressed within a bound."""

from __future__ import annotations

import importlib
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from dataart_mp.devsink.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive

_GZIP_WBITS: Final = 31


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole."""


class Decompressor(Protocol):
    """One compressed stream, as `zlib.decompressobj` has it."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was met."""

    @property
    def unused_data(self) -> bytes:
        """What was given after the end of the stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most so many bytes of the content."""


async def read_body(receive: Receive, length: int | None, limit: int) -> bytes:
    """The body as the client sent it.

    Raises:
        RejectionError: It is larger than the limit.
        ClientGoneError: The client left in the middle of it.
    """
    if length is not None and length > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunks.append(message["body"])
        size += len(message["body"])
        if size > limit:
            raise _too_large(limit)
        if not message["more_body"]:
            return b"".join(chunks)


def decode_body(body: bytes, encoding: str | None, limit: int) -> bytes:
    """The content of a body.

    Raises:
        RejectionError: The encoding is unknown, the body is not in it, or the content is larger
            than the limit. No more than the limit is ever decompressed.
    """
    if encoding is None:
        return body
    decompressor = _DECOMPRESSORS.get(encoding)
    if decompressor is None:
        raise RejectionError(
            "header Content-Encoding",
            f"{shown(encoding)} is none of {', '.join(_DECOMPRESSORS)}",
            status=415,
        )
    return _decompress(decompressor, body, encoding, limit)


def _decompress(
    decompressor: Callable[[], Decompressor], body: bytes, encoding: str, limit: int
) -> bytes:
    stream = decompressor()
    try:
        content = stream.decompress(body, limit + 1)
    except Exception as error:  # each library has an error of its own
        raise RejectionError("body", f"is not {encoding}: {error}") from error
    if len(content) > limit:
        raise _too_large(limit)
    if not stream.eof:
        raise RejectionError("body", f"ends in the middle of its {encoding}")
    if stream.unused_data:
        raise RejectionError("body", f"goes on after the end of its {encoding}")
    return content


def _too_large(limit: int) -> RejectionError:
    return RejectionError("body", f"is larger than {limit} bytes", status=413)


def _gzip() -> Decompressor:
    return zlib.decompressobj(wbits=_GZIP_WBITS)


def _zstd() -> Callable[[], Decompressor] | None:
    """The decompressor of Python 3.14 or of its backport, if there is one."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module: Any = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        factory: Callable[[], Decompressor] = module.ZstdDecompressor
        return factory
    return None


def _decompressors() -> dict[str, Callable[[], Decompressor]]:
    zstd = _zstd()
    return {"gzip": _gzip} if zstd is None else {"gzip": _gzip, "zstd": zstd}


_DECOMPRESSORS: Final = _decompressors()
