"""Records of columns have the same bytes as those that `emit_action` makes of the same values."""

import datetime
import decimal
import math
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from dataart_mp.producer.encoder import encode_action
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.literal import lit
from dataart_mp.table.rows import rows_of
from dataart_mp.table.terms import Terms
from dataart_mp.table.time_format import TimeFormat
from tests.table.emitted import MOMENT, by_column, one_by_one

pyarrow = pytest.importorskip("pyarrow")

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6}


def timestamps(unit: str, zone: str | None) -> Any:
    ticks = [count * PER_SECOND[unit] // 10**6 for count in MICROSECONDS]
    return pyarrow.array([*ticks, None], pyarrow.timestamp(unit, zone))


FIXED: dict[str, Any] = {"key": lit("k"), "user_key": lit("u"), "timestamp": lit(MOMENT)}
AWKWARD = ["", "a", '"', "\\", "\n\r\t\0\x1f\x7f", "é", "\u2028", "𝄞", 'a"b', "x" * 300, None]
INTEGERS = [0, 1, -1, 2**63 - 1, -(2**63), None]
FLOATS = [0.0, -0.0, 1.0, 1e16, 1e-7, 0.1, 5e-324, 1.7e308, math.nan, math.inf, -math.inf, None]
MICROSECONDS = [0, 1, -1, 999_999, 1_000_000, 1_620_115_872_500_000, -1_620_115_872_123_456]
TIMES: list[tuple[str, str | None]] = [
    (unit, zone)
    for unit in ("s", "ms", "us")
    for zone in (None, "UTC", "Europe/Vienna", "America/New_York", "+05:30", "-00:01")
]
COLUMNS: dict[str, Any] = {
    "text": pyarrow.array(AWKWARD),
    "large text": pyarrow.array(AWKWARD, pyarrow.large_string()),
    "text view": pyarrow.array(AWKWARD, pyarrow.string_view()),
    "plain text": pyarrow.array(["a", "b", "é"] * 10),
    "int64": pyarrow.array(INTEGERS, pyarrow.int64()),
    "int8": pyarrow.array([1, -128, None], pyarrow.int8()),
    "uint64": pyarrow.array([0, 2**64 - 1, None], pyarrow.uint64()),
    "float64": pyarrow.array(FLOATS, pyarrow.float64()),
    "float32": pyarrow.array(FLOATS[:7], pyarrow.float32()),
    "float16": pyarrow.array([1.0, 0.5, None]).cast(pyarrow.float16()),
    "bool": pyarrow.array([True, False, None]),
    "null": pyarrow.nulls(3),
    "category": pyarrow.array(["a", '"', None, "a"]).dictionary_encode(),
    "category of numbers": pyarrow.array([1, 2, None, 1]).dictionary_encode(),
    "date": pyarrow.array([datetime.date(2021, 5, 4), datetime.date(1, 1, 1), None]),
    "time of day": pyarrow.array([datetime.time(1, 2, 3, 4), None]),
    "decimal": pyarrow.array([decimal.Decimal("1.50"), decimal.Decimal("-0.00"), None]),
    "list": pyarrow.array([[1, None], [], None]),
    "list of text": pyarrow.array([['a"', "\n"], None]),
    "object": pyarrow.array([{"a": 1, "b": ["x"]}, {"a": None, "b": None}, None]),
    **{f"timestamp {unit} {zone}": timestamps(unit, zone) for unit, zone in TIMES},
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("start", [0, 1])
def test_a_column_of_metadata_has_the_bytes_of_its_values(column: Any, start: int) -> None:
    table = pyarrow.table({"a": column, "b": column}).slice(start)
    found = by_column(table, **FIXED)
    assert found == one_by_one(table.to_pylist(), **FIXED)
    assert len(found.records) == table.num_rows


@pytest.mark.parametrize("name", ["key", "user_key"])
@pytest.mark.parametrize(
    "column",
    [COLUMNS[name] for name in ("text", "plain text", "text view", "int64", "uint64", "category")],
)
def test_keys_have_the_bytes_of_their_values(name: str, column: Any) -> None:
    arguments = {**FIXED, name: "column"}
    table = pyarrow.table({"column": column, "n": range(len(column))})
    found = by_column(table, **arguments)
    assert found == one_by_one(table.to_pylist(), **arguments)


@pytest.mark.parametrize(("unit", "zone"), TIMES)
def test_timestamps_have_the_bytes_of_their_values(unit: str, zone: str | None) -> None:
    table = pyarrow.table({"at": timestamps(unit, zone)})
    arguments = {**FIXED, "timestamp": "at"}
    assert by_column(table, **arguments) == one_by_one(table.to_pylist(), **arguments)


@given(
    st.lists(st.integers(-62_000_000_000, 250_000_000_000), max_size=20),
    st.sampled_from([None, "UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe"]),
)
def test_timestamps_of_any_year_have_the_bytes_of_their_values(
    seconds: list[int], zone: str | None
) -> None:
    """Local mean time, which had seconds, and daylight saving time after 2037 included."""
    column = pyarrow.array(seconds, pyarrow.timestamp("s", zone))
    table = pyarrow.table({"at": column, "metadata time": column})
    arguments = {**FIXED, "timestamp": "at"}
    assert by_column(table, **arguments) == one_by_one(table.to_pylist(), **arguments)


@given(st.integers(0, 60), st.sampled_from(["Europe/Vienna", "America/New_York"]))
def test_a_time_without_a_zone_is_in_the_zone_that_was_given(minutes: int, name: str) -> None:
    """Around both changes of the clock: a time may exist twice, or not at all."""
    changes = [datetime.datetime(2021, 3, day, 2) for day in (14, 28)]  # noqa: DTZ001
    changes += [datetime.datetime(2021, 11, 7, 1), datetime.datetime(2021, 10, 31, 2)]  # noqa: DTZ001
    walls = [change + datetime.timedelta(minutes=minutes - 30) for change in changes]
    zone = ZoneInfo(name)
    table = pyarrow.table({"at": pyarrow.array(walls, pyarrow.timestamp("us"))})
    arguments = {**FIXED, "timestamp": "at"}
    rows = [{"at": wall.replace(tzinfo=zone)} for wall in walls]
    assert by_column(table, timezone=name, **arguments) == one_by_one(rows, **arguments)


def test_a_flag_is_false_where_it_is_null() -> None:
    table = pyarrow.table({"flag": pyarrow.array([True, None, False])})
    arguments = {**FIXED, "is_anonymous_user": "flag"}
    found = by_column(table, **arguments)
    assert found == one_by_one(table.to_pylist(), **arguments)
    assert [b'user":true' in record for record in found.records] == [True, False, False]


def test_nanoseconds_are_kept_as_a_timestamp_of_pandas_keeps_them() -> None:
    pandas = pytest.importorskip("pandas")
    texts = ["2021-05-04T10:11:12.123456789", "2021-05-04T10:11:12.123456", "2021-05-04T10:11:12"]
    walls = [pandas.Timestamp(text) for text in texts]
    moments = [wall.tz_localize("UTC") for wall in walls]
    bad = [1.5, None, None]
    frame = pandas.DataFrame({"at": moments, "wall": walls, "seen": moments, "bad": bad})
    frame = frame.astype({"at": "datetime64[ns, UTC]", "wall": "datetime64[ns]"})
    rows = [
        {"at": at, "wall": wall, "seen": at, "bad": number}
        for at, wall, number in zip(moments, walls, bad, strict=True)
    ]
    for timestamp in ("at", "wall"):
        arguments = {**FIXED, "timestamp": timestamp}
        assert by_column(frame, **arguments) == one_by_one(rows, **arguments)


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Vienna"])
def test_nanoseconds_are_kept_in_a_row_that_is_converted_alone(zone: str | None) -> None:
    column = pyarrow.array([1_620_115_872_123_456_789] * 2, pyarrow.timestamp("ns", zone))
    table = pyarrow.table({"at": column, "seen": column})
    rows = rows_of(table.to_batches()[0], Terms())
    for row in rows:
        assert isinstance(row, dict)
        action = ColumnMap(
            constants={"key": "k", "user_key": "u"},
            columns={"timestamp": "at"},
            times=TimeFormat(is_local=True),
        ).action_of(row)
        assert encode_action(*action) in by_column(table, **{**FIXED, "timestamp": "at"}).records


@given(st.lists(st.tuples(st.text(), st.floats(), st.none() | st.integers(-(2**63), 2**63 - 1))))
def test_any_rows_have_the_bytes_of_their_values(rows: list[tuple[Any, ...]]) -> None:
    texts, floats, integers = zip(*rows, strict=True) if rows else ((), (), ())
    table = pyarrow.table(
        {
            "user": pyarrow.array(texts, pyarrow.string()),
            'odd "name"\n': pyarrow.array(texts, pyarrow.string()),
            "float": pyarrow.array(floats, pyarrow.float64()),
            "integer": pyarrow.array(integers, pyarrow.int64()),
        }
    )
    arguments = {**FIXED, "user_key": "user"}
    assert by_column(table, **arguments) == one_by_one(table.to_pylist(), **arguments)


def test_an_invalid_value_costs_only_its_row() -> None:
    year_10000 = 253_402_300_800
    table = pyarrow.table(
        {
            "text": pyarrow.array([b"a", b"\xff", b"b", b"c", b"d"]).view(pyarrow.string()),
            "at": pyarrow.array([0, 0, year_10000, 0, None], pyarrow.timestamp("s", "UTC")),
            "day": pyarrow.array([0, 0, 0, year_10000, 0], pyarrow.timestamp("s")),
        }
    )
    found = by_column(table, **{**FIXED, "timestamp": "at"})
    assert len(found.records) == 1
    assert found.refused == [1, 2, 3, 4]


def test_rows_keep_their_order_if_some_are_converted_one_by_one() -> None:
    numbers = [*range(100)]
    texts = [None if number % 9 == 4 else f"user {number}" for number in numbers]
    table = pyarrow.table({"user": texts, "n": numbers})
    arguments = {**FIXED, "user_key": "user"}
    found = by_column(table, **arguments)
    assert found == one_by_one(table.to_pylist(), **arguments)
    assert found.refused == numbers[4::9]


@pytest.mark.parametrize("rows", [0, 1, 5, 20_000])
def test_tables_of_any_length_are_emitted_completely(rows: int) -> None:
    table = pyarrow.table({"n": pyarrow.array(range(rows), pyarrow.int64())})
    found = by_column(table, room=500, **FIXED)
    assert found == one_by_one(table.to_pylist(), **FIXED)
    assert len(by_column(table, room=500, metadata=[], **FIXED).records) == rows


def test_constants_are_part_of_the_metadata() -> None:
    table = pyarrow.table({"price": [1.5, None], "user": ["a", "b"]})
    chosen = {"cost": "price", "tags": lit(["x", '"']), "user": "user"}
    found = by_column(table, metadata=chosen, **FIXED)
    rows = [
        {"cost": row["price"], "user": row["user"], "tags": ["x", '"']} for row in table.to_pylist()
    ]
    assert found == one_by_one(rows, **FIXED)


def test_one_column_can_hold_the_whole_metadata() -> None:
    table = pyarrow.table({"metadata": [{"a": 1}, None, {"a": None}]})
    found = by_column(table, **FIXED)
    assert [record.partition(b',"metadata":')[2] for record in found.records] == [
        b'{"a":1}}\n',
        b"null}\n",
        b'{"a":null}}\n',
    ]
