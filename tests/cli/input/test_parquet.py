"""Parquet files, with the types of their columns."""

import datetime
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.event import Action
from tests.cli.input.files import SHOP, Write, events


def test_parquet_values_keep_their_types(tmp_path: Path) -> None:
    moment = datetime.datetime(2021, 5, 4, 10, 11, 12, 123456, datetime.UTC)
    table = pyarrow.table(
        {
            "user": [1, None],
            "what": ["a", "b"],
            "when": pyarrow.array([moment, moment], pyarrow.timestamp("ns", tz="UTC")),
            "tags": [["x"], None],
            "more": [{"n": 1}, None],
        }
    )
    file = tmp_path / "data"  # the format is detected by content
    parquet.write_table(table, file)

    assert events(file, *SHOP) == [
        Action("a", "1", False, moment, {"tags": ["x"], "more": {"n": 1}}),
        "user_key: is missing: column 'user' is empty",
    ]
    assert events(file, *SHOP, "--metadata", "")[0] == Action("a", "1", False, moment, None)


def test_parquet_rows_become_events_even_if_no_column_is_used(
    tmp_path: Path,
) -> None:
    file = tmp_path / "constants.parquet"
    parquet.write_table(pyarrow.table({"n": [1, 2]}), file)
    options = ("--metadata", "", "--set", "key=k", "--set", "user_key=ann")
    assert events(file, *options) == [Action("k", "ann", False, None, None)] * 2


def test_a_damaged_parquet_file_is_reported(write: Write) -> None:
    with pytest.raises(InputError, match="is damaged, or not Parquet"):
        events(write(b"PAR1nonsense", "x.parquet"))
