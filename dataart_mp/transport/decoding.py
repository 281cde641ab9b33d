"""Decoding of response bodies that a server compressed although nothing asked for it."""

import zlib
from typing import Final

from dataart_mp.transport.response import MAX_BODY_BYTES

_AUTOMATIC: Final = 32 + zlib.MAX_WBITS  # gzip or zlib, whichever the data begins with
_RAW: Final = -zlib.MAX_WBITS  # what some servers call deflate


def decoded(body: bytes, encoding: str | None) -> bytes:
    """Return the start of a body's text.

    Args:
        body: The body, or its start.
        encoding: The Content-Encoding header; None when there was none.

    Returns:
        Up to MAX_BODY_BYTES of the text; a note in place of a body that cannot be decoded.
    """
    name = "" if encoding is None else encoding.strip().lower()
    if not body or name in ("", "identity"):
        return body
    if name in ("gzip", "x-gzip", "deflate"):
        for window_bits in (_AUTOMATIC, _RAW):
            try:
                return zlib.decompressobj(window_bits).decompress(body, MAX_BODY_BYTES)
            except zlib.error:
                continue
    return f"a body of {len(body)} bytes with Content-Encoding {name!r}".encode()
