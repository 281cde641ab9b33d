"""Files of any format: positions, sizes, and missing libraries."""

import gzip
import sys
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.input import compression
from dataart_mp.cli.input.error import InputError
from tests.cli.input.files import Write, events, open_file, rows


def test_a_missing_library_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pyarrow", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    compression._zstd_module.cache_clear()
    try:
        with pytest.raises(InputError, match=r"pip install 'dataart-mp\[parquet\]'"):
            events(write(b"PAR1", "x"))
        with pytest.raises(InputError, match=r"pip install 'dataart-mp\[zstd\]'"):
            events(write(b"\x28\xb5\x2f\xfd", "x"))
    finally:
        compression._zstd_module.cache_clear()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_reading_resumes_at_a_position_unless_the_file_has_changed(
    write: Write, tmp_path: Path, kind: str
) -> None:
    users = [f"user\n{number}" for number in range(2500)]
    file = tmp_path / f"table.{kind}"
    if kind == "csv":
        text = "".join(f'k,"{user}"\n' for user in users)
        file.write_text(f"key,user_key\n{text}")
    else:
        parquet.write_table(pyarrow.table({"key": ["k"] * len(users), "user_key": users}), file)
    all_rows = rows(file)
    for reached in (0, 999, 1000, 2499):
        assert rows(file, start=all_rows[reached][0].after) == all_rows[reached + 1 :]

    wrong = all_rows[5][0].after._replace(crc=1)
    with pytest.raises(InputError, match="has changed since its first"):
        rows(file, start=wrong)


def test_the_source_counts_bytes_of_the_file_not_of_its_decompressed_content(write: Write) -> None:
    file = write(gzip.compress(b'{"key":"k","user_key":"u"}\n' * 1000), "x.gz")
    source, _ = open_file(file)

    assert len(list(source.rows())) == 1000
    assert source.bytes == source.size == file.stat().st_size
