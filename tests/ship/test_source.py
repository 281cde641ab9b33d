"""The rows of a part may come from whatever has record batches."""

from collections.abc import Callable
from typing import Any

import pytest

from dataart_mp import TableError
from dataart_mp.ship.source import record_batches
from tests.ship.visits import visits

pyarrow = pytest.importorskip("pyarrow")

TABLE = visits(30)


def rows(batches: Any, attempt: int = 0) -> list[int]:
    found = [*record_batches(batches, attempt)]
    assert {batch.schema for batch in found} == {found[0].schema}
    return [number for batch in found for number in batch.column("_id").to_pylist()]


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        TABLE.to_reader,
        lambda: TABLE.to_batches(max_chunksize=7),
        lambda: iter(TABLE.to_batches(max_chunksize=7)),
        lambda: (TABLE.slice(start, 10) for start in (0, 10, 20)),
        lambda: [TABLE.slice(0, 10), *TABLE.slice(10).to_batches()],
        TABLE.to_pandas,
        lambda: [TABLE.to_batches()[0].slice(start, 15) for start in (0, 15)],
    ],
)
def test_rows_come_from_tables_and_record_batches(make: Callable[[], Any]) -> None:
    assert rows(make()) == [*range(30)]
    assert rows(make) == [*range(30)]
    assert rows(make, attempt=1) == [*range(30)]


def test_a_relation_of_duckdb_and_a_frame_of_polars_are_tables() -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    connection = duckdb.connect()
    connection.register("visits", TABLE)
    assert rows(connection.sql("select * from visits order by _id"), attempt=1) == [*range(30)]
    assert rows(polars.from_arrow(TABLE), attempt=1) == [*range(30)]


def test_a_table_without_rows_still_has_columns() -> None:
    (batch,) = record_batches(TABLE.slice(0, 0).to_reader(), 0)
    assert (batch.num_rows, batch.schema) == (0, TABLE.schema)
    assert [*record_batches([], 0)] == []


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (17, r"batches: int \(17\) has no record batches; pass a function"),
        ("visits.csv", r"batches: str \('visits.csv'\) has no record batches"),
        (lambda: None, "batches: NoneType"),
        ([{"_id": 1}], "table: dict .* is not a table"),
        (
            [visits(3), visits(3).drop_columns("page")],
            "a record batch has the columns user_key, timestamp, _id, not user_key, .*, page as",
        ),
        (
            [visits(3), visits(3).set_column(2, "_id", [["a", "b", "c"]])],
            "a record batch has string in the column '_id', not int64 as the first one; cast all",
        ),
    ],
)
def test_what_has_no_rows_of_one_kind_is_refused(batches: Any, message: str) -> None:
    with pytest.raises(TableError, match=message):
        [*record_batches(batches, 0)]
