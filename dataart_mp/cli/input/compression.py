"""Decompression of input; the format is detected by the first bytes of a file."""

import functools
import gzip
import importlib
import re
import zlib
from contextlib import ExitStack
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, Final, cast

from dataart_mp.cli.input.error import InputError

SUFFIXES: Final = frozenset({".gz", ".zst", ".zstd"})
"""Suffixes of compressed files; the suffix before them names the format of the content."""

_GZIP: Final = re.compile(rb"\x1f\x8b")
# A frame, or a skippable frame: pzstd, for example, writes one with a size before each frame.
_ZSTD: Final = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")


def compression(first: bytes) -> str | None:
    """Return the name of the compression that a file's first bytes show: gzip, zstd or None."""
    if _GZIP.match(first):
        return "gzip"
    return "zstd" if _ZSTD.match(first) else None


def decompressed(raw: BufferedReader, kind: str, file: str, stack: ExitStack) -> BufferedReader:
    """Return the decompressed content of a file, which may consist of several frames.

    Args:
        raw: The file.
        kind: What `compression` returned.
        file: The file's name.
        stack: Closes the streams that are opened.

    Raises:
        InputError: The library for this format is not installed.
    """
    stream: Any = gzip.GzipFile(fileobj=raw, mode="rb") if kind == "gzip" else _zstd(file, raw)
    # Buffered: the stream's own readline passes every line through several layers of Python.
    return stack.enter_context(BufferedReader(cast("RawIOBase", stack.enter_context(stream))))


def damage() -> tuple[type[Exception], ...]:
    """Return the exceptions that reading truncated or damaged compressed content raises."""
    found: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
    module = _zstd_module()
    return found if module is None else (*found, module.ZstdError)


def _zstd(file: str, raw: BinaryIO) -> Any:
    module = _zstd_module()
    if module is None:
        raise InputError(f"{file}: zstd needs: pip install 'dataart-mp[zstd]'")
    return module.ZstdFile(raw)


@functools.cache
def _zstd_module() -> Any:
    for name in ("compression.zstd", "backports.zstd"):  # the former is part of Python 3.14
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
