"""Compressed files, whole and truncated."""

import gzip
from collections.abc import Callable

import pytest

from dataart_mp.cli.input.error import InputError
from tests.cli.input.files import SHOP, TABLE, Write, events

try:
    from compression import zstd  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from backports import zstd


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
@pytest.mark.parametrize("name", ["table.csv.gz", "table.csv.zst", "table.csv"])
def test_compression_is_detected_by_content(
    write: Write, compress: Callable[[bytes], bytes], name: str
) -> None:
    file = write(compress(TABLE.encode()), name)

    assert events(file, *SHOP) == events(write(TABLE), *SHOP)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_truncated_compressed_file_is_reported(
    write: Write, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(b"".join(b'{"key":"k","user_key":"u%d"}\n' % n for n in range(1000)))

    with pytest.raises(InputError, match="is truncated or damaged"):
        events(write(whole[:-9], "events.jsonl.gz"))
