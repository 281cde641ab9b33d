"""Parquet files, with the types of their columns."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from dataart_mp.cli.input.error import InputError
from dataart_mp.table.event import Action
from tests.cli.input.files import SHOP, Write, events, open_file


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


def microseconds(*values: int | None) -> Any:
    return pyarrow.array(values, pyarrow.timestamp("us", tz="UTC"))


YEAR_10000 = 253_402_300_800
ODD = {
    "timestamp": (microseconds(0, YEAR_10000 * 10**6, 1), "timestamp[us, tz=UTC]"),
    "before year 1": (microseconds(0, -62_135_596_801 * 10**6, 1), "timestamp[us, tz=UTC]"),
    "date": (pyarrow.array([0, YEAR_10000 // 86400, 1], pyarrow.date32()), "date32[day]"),
    "duration": (pyarrow.array([0, 2**62, 1], pyarrow.duration("ms")), "duration[ms]"),
    "list": (
        pyarrow.array([[0], [1, YEAR_10000 * 10**3], []], pyarrow.list_(pyarrow.timestamp("ms"))),
        "list<element: timestamp[ms]>",
    ),
    "invalid text": (
        pyarrow.array([b"a", b"\xff", b"b"], pyarrow.binary()).view(pyarrow.string()),
        "string",
    ),
}


@pytest.mark.parametrize(("column", "kind"), ODD.values(), ids=ODD)
def test_a_value_that_python_cannot_represent_makes_only_its_row_bad(
    tmp_path: Path, column: Any, kind: str
) -> None:
    file = tmp_path / "odd.parquet"
    table = {"key": ["k"] * 3, "user_key": ["a", "b", "c"], "odd": column}
    parquet.write_table(pyarrow.table(table), file)

    source, _ = open_file(file)
    contents = [row.content for row in source.rows()]

    assert [isinstance(content, dict) for content in contents] == [True, False, True]
    assert str(contents[1]).startswith(f"column 'odd': the {kind} of this row cannot be read: ")
    assert str(contents[1]).endswith("; convert the column, or leave it out with --metadata")
    assert len(events(file, "--metadata", "")) == 3
    assert all(isinstance(event, Action) for event in events(file, "--metadata", ""))


def test_nanoseconds_are_truncated_wherever_they_are(tmp_path: Path) -> None:
    file = tmp_path / "nanoseconds.parquet"
    at = pyarrow.timestamp("ns", tz="UTC")
    table = pyarrow.table(
        {
            "key": ["k"],
            "user_key": ["u"],
            "list": pyarrow.array([[1001]], pyarrow.list_(at)),
            "object": pyarrow.array([{"a": 1001}], pyarrow.struct([("a", at)])),
            "time": pyarrow.array([1001], pyarrow.time64("ns")),
        }
    )
    parquet.write_table(table, file)
    moment = datetime.datetime(1970, 1, 1, 0, 0, 0, 1, datetime.UTC)

    assert events(file) == [
        Action(
            "k",
            "u",
            metadata={
                "list": [moment],
                "object": {"a": moment},
                "time": datetime.time(0, 0, 0, 1),
            },
        )
    ]


def test_old_timestamps_keep_years_that_nanoseconds_cannot_express(tmp_path: Path) -> None:
    file = tmp_path / "old.parquet"
    moment = datetime.datetime(3000, 1, 1)  # noqa: DTZ001 - INT96 has no zone
    table = {"key": ["k"], "user_key": ["u"], "timestamp": pyarrow.array([moment])}
    parquet.write_table(pyarrow.table(table), file, use_deprecated_int96_timestamps=True)

    event = events(file, "--timezone", "UTC")[0]

    assert isinstance(event, Action)
    assert event.timestamp == moment.replace(tzinfo=datetime.UTC)


def test_dates_are_the_start_of_a_day_in_the_time_zone(tmp_path: Path) -> None:
    file = tmp_path / "dates.parquet"
    day = pyarrow.array([datetime.date(2021, 5, 4)])
    parquet.write_table(pyarrow.table({"key": ["k"], "user_key": ["u"], "timestamp": day}), file)

    moment = datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)
    assert events(file, "--timezone", "UTC") == [Action("k", "u", timestamp=moment)]
    assert events(file) == [
        "timestamp: 2021-05-04 has no UTC offset; set --timezone, for example UTC"
    ]
