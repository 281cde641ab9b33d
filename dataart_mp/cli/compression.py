"""Compressed input, told by its first bytes."""

import functools
import gzip
import importlib
import zlib
from contextlib import ExitStack
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, Final, cast

from dataart_mp.cli.input_error import InputError

SUFFIXES: Final = frozenset({".gz", ".zst", ".zstd"})
"""What the names of compressed files end with: their format's suffix stands before it."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


def decompressed(raw: BufferedReader, first: bytes, file: str, stack: ExitStack) -> BinaryIO:
    """The content of a file.

    Args:
        raw: The file.
        first: Its first bytes; they come again.
        file: Its name.
        stack: Closes what is opened.

    Raises:
        InputError: What is needed for it is not there.
    """
    if first.startswith(_GZIP):
        stream: Any = gzip.GzipFile(fileobj=raw, mode="rb")
    elif first.startswith(_ZSTD):
        stream = _zstd(file).ZstdFile(raw)
    else:
        return raw
    # Its own lines would be read one by one through several layers.
    return stack.enter_context(BufferedReader(cast("RawIOBase", stack.enter_context(stream))))


def damage() -> tuple[type[Exception], ...]:
    """What reading raises where compressed content is cut off or damaged."""
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
    for name in ("compression.zstd", "backports.zstd"):  # the library's, from Python 3.14 on
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
