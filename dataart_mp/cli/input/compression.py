"""Decompression of input; the format is detected by the first bytes of a file."""

import functools
import gzip
import importlib
import zlib
from contextlib import ExitStack
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, Final, cast

from dataart_mp.cli.input.error import InputError

SUFFIXES: Final = frozenset({".gz", ".zst", ".zstd"})
"""Suffixes of compressed files; the suffix before them names the format of the content."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def decompressed(raw: BufferedReader, first: bytes, file: str, stack: ExitStack) -> BinaryIO:
    """Return the decompressed content of a file.

    Args:
        raw: The file.
        first: The first bytes of the file, which `raw` will return again.
        file: The file's name.
        stack: Closes the streams that are opened.

    Raises:
        InputError: The library for this format is not installed.
    """
    if first.startswith(_GZIP):
        stream: Any = gzip.GzipFile(fileobj=raw, mode="rb")
    elif first.startswith(_ZSTD):
        stream = _zstd(file).ZstdFile(raw)
    else:
        return raw
    # Buffered: the stream's own readline passes every line through several layers of Python.
    return stack.enter_context(BufferedReader(cast("RawIOBase", stack.enter_context(stream))))


def damage() -> tuple[type[Exception], ...]:
    """Return the exceptions that reading truncated or damaged compressed content raises."""
    found: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    module = _zstd_module()
    return found if module is None else (*found, module.ZstdError)


def _zstd(file: str) -> Any:
    module = _zstd_module()
    if module is None:
        raise InputError(f"{file}: zstd needs: pip install 'dataart-mp[zstd]'")
    return module


@functools.cache
def _zstd_module() -> Any:
    for name in ("compression.zstd", "backports.zstd"):  # the former is part of Python 3.14
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
