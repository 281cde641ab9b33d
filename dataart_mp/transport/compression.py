"""Compression of request bodies."""

import gzip
import importlib
from collections.abc import Callable
from typing import cast

from dataart_mp.config.zstd import zstd_module

Compress = Callable[[bytes], bytes]


def compressor(name: str | None) -> Compress:
    """Return the function that compresses a request body.

    The same body always gives the same bytes, so that a repeated request is identical.

    Args:
        name: A value of `HTTPOptions.compression`; None compresses nothing.

    Raises:
        ValueError: The name is unknown, or zstd is not installed.
    """
    match name:
        case None:
            return bytes
        case "gzip":
            return lambda body: gzip.compress(body, compresslevel=1, mtime=0)
        case "zstd":
            return _zstd()
        case _:
            raise ValueError(f"compression={name!r} is unknown; use 'gzip', 'zstd' or None")


def _zstd() -> Compress:
    module = zstd_module()
    if module is None:
        raise ValueError("compression='zstd' is not installed; pip install 'dataart-mp[zstd]'")
    return cast("Compress", importlib.import_module(module).compress)
