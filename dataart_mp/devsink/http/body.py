"""The body of a request: read and decompressed within a limit."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import zlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from dataart_mp.devsink.http.limits import BODY_SECONDS
from dataart_mp.devsink.http.rejection import RejectionError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import Receive

_GZIP_WBITS: Final = 31
_PEEK_SECONDS: Final = 0.1


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class Decompressor(Protocol):
    """A compressed stream with the interface of `zlib.decompressobj`."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""

    @property
    def unused_data(self) -> bytes:
        """The data after the end of the stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Return at most `max_length` bytes of the content."""


async def read_body(receive: Receive, length: int | None, limit: int) -> bytes:
    """Return the body as the client sent it.

    Args:
        receive: Receive function of the request.
        length: Content-Length; None: unknown.
        limit: Largest accepted body, in bytes.

    Raises:
        RejectionError: The body is larger than the limit, or takes too long.
        ClientGoneError: The client disconnected before the end of the body.
    """
    if length is not None and length > limit:
        raise _too_large(limit)
    first, is_complete = await _part(receive)
    if is_complete:  # nearly always, and without the cost of a timeout
        if len(first) > limit:
            raise _too_large(limit)
        return first
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _continued(receive, first, limit)
    except TimeoutError:
        problem = f"did not arrive within {BODY_SECONDS:g} seconds"
        raise RejectionError("body", problem, status=408) from None


async def peek_body(receive: Receive, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return what has arrived of the body of a request whose head is wrong, to be shown.

    It waits only as long as a client takes that sends the body right after the head.
    """
    if any(name == b"expect" for name, _ in headers):  # the client would then send the body
        return b""
    with contextlib.suppress(TimeoutError, ClientGoneError):
        async with asyncio.timeout(_PEEK_SECONDS):
            first, _ = await _part(receive)
            return first
    return b""


async def _continued(receive: Receive, first: bytes, limit: int) -> bytes:
    chunks, size, is_complete = [first], len(first), False
    while size <= limit:
        if is_complete:
            return b"".join(chunks)
        chunk, is_complete = await _part(receive)
        chunks.append(chunk)
        size += len(chunk)
    raise _too_large(limit)


async def _part(receive: Receive) -> tuple[bytes, bool]:
    """Return the next part of a body, and whether it is the last one."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message["body"], not message["more_body"]


def decode_body(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Return the decompressed content of a body.

    Args:
        body: The body as sent.
        encoding: Content-Encoding; None: the body is not compressed.
        limit: Largest accepted content, in bytes; no more is ever decompressed.

    Raises:
        RejectionError: The encoding is unknown, the body does not have it, or the content is
            larger than the limit.
    """
    if encoding is None:
        return body
    decompressor = _DECOMPRESSORS.get(encoding)
    if decompressor is None:
        raise RejectionError(
            "header Content-Encoding",
            f"must be one of {', '.join(_DECOMPRESSORS)}, not {shown(encoding)}",
            status=415,
        )
    return _decompress(decompressor, body, encoding, limit)


def _decompress(
    decompressor: Callable[[], Decompressor], body: bytes, encoding: str, limit: int
) -> bytes:
    stream = decompressor()
    try:
        content = stream.decompress(body, limit + 1)
    except Exception as error:  # each library has another type of error
        raise RejectionError("body", f"is not {encoding}: {error}") from error
    if len(content) > limit:
        raise _too_large(limit)
    if not stream.eof:
        raise RejectionError("body", f"ends before the end of its {encoding} stream")
    if stream.unused_data:
        raise RejectionError("body", f"continues after the end of its {encoding} stream")
    return content


def _too_large(limit: int) -> RejectionError:
    return RejectionError("body", f"is larger than {limit} bytes", status=413)


def _gzip() -> Decompressor:
    return zlib.decompressobj(wbits=_GZIP_WBITS)


def _zstd() -> Callable[[], Decompressor] | None:
    """Return the decompressor of Python 3.14 or of its backport; None: neither is installed."""
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
