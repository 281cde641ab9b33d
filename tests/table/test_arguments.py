"""An argument of `emit_table` that does not fit the table is refused before the first event."""

import datetime
import sys
from typing import Any

import pytest

from dataart_mp import MissingExtraError, TableError, lit
from dataart_mp.testing import RecordingClient

pyarrow = pytest.importorskip("pyarrow")

TABLE = pyarrow.table(
    {
        "action": ["play", "stop"],
        "user": ["ann", "bob"],
        "price": [1.5, None],
        "at": pyarrow.array([0, 1], pyarrow.timestamp("s", "UTC")),
        "took": pyarrow.array([1, 2], pyarrow.duration("s")),
        "raw": [b"a", b"b"],
    }
)
GOOD: dict[str, Any] = {
    "key": "action",
    "user_key": "user",
    "timestamp": "at",
    "metadata": ["price"],
}
NAMES = "action, user, price, at, took, raw"
LITERAL = "for the same value in all rows, pass lit('acton')"

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown column": (
        {"key": "acton"},
        "key",
        f"key: no column 'acton' in {NAMES}; did you mean 'action'?; {LITERAL}",
    ),
    "column of the default name": (
        {"user_key": None},
        "user_key",
        f"no column 'user_key' in {NAMES}; did you mean 'user'?; "
        "pass user_key=COLUMN, or user_key=lit(VALUE)",
    ),
    "unknown timestamp": (
        {"timestamp": "zzz"},
        "timestamp",
        f"timestamp: no column 'zzz' in {NAMES}",
    ),
    "value without lit": (
        {"key": 5},
        "key",
        "key: int (5) is refused; pass the name of a column, or lit(VALUE) for the same value in "
        "all rows",
    ),
    "empty constant": ({"key": lit("")}, "key", "key: str ('') is refused; must not be empty"),
    "float as key": (
        {"user_key": "price"},
        "user_key",
        "user_key: column 'price' has the type double, but needs text or integers; convert it",
    ),
    "text as flag": (
        {"is_anonymous_user": "user"},
        "is_anonymous_user",
        "is_anonymous_user: column 'user' has the type string, but needs booleans",
    ),
    "number as timestamp": (
        {"timestamp": "price"},
        "timestamp",
        "timestamp: column 'price' has the type double, but needs timestamps or RFC 3339 text",
    ),
    "constant that is not a timestamp": (
        {"timestamp": lit("yesterday")},
        "timestamp",
        "timestamp: str ('yesterday') is refused",
    ),
    "unknown metadata": (
        {"metadata": ["prize"]},
        "metadata",
        f"metadata: no column 'prize' in {NAMES}; did you mean 'price'?",
    ),
    "metadata as text": (
        {"metadata": "price"},
        "metadata",
        "metadata: str ('price') is refused; pass a list of columns, such as ['price']",
    ),
    "metadata as number": ({"metadata": 5}, "metadata", "metadata: int (5) is refused"),
    "metadata without lit": (
        {"metadata": {"n": 5}},
        "metadata",
        "metadata: int (5) is refused; pass the name of a column; or, in a dict, lit(VALUE)",
    ),
    "constant that JSON has not": (
        {"metadata": {"n": lit(b"x")}},
        "metadata",
        "metadata.n: bytes (b'x', 1 bytes) cannot be encoded",
    ),
    "column of durations": (
        {"metadata": ["took"]},
        "metadata",
        "metadata: column 'took' has the type duration[s], which JSON has not; "
        "convert it to seconds, or leave it out: metadata=[…]",
    ),
    "column of bytes among all": (
        {"metadata": None},
        "metadata",
        "metadata: column 'took' has the type duration[s]",
    ),
    "column of bytes": (
        {"metadata": ["raw"]},
        "metadata",
        "metadata: column 'raw' has the type binary",
    ),
    "unknown zone": ({"timezone": "Vienna"}, "timezone", "timezone: 'Vienna' is not a time zone"),
    "zone that is a number": (
        {"timezone": 2},
        "timezone",
        "timezone: int (2) is refused; pass a name",
    ),
    "progress": ({"progress": 5}, "progress", "progress: int (5) is refused; pass a function"),
}


@pytest.mark.parametrize(("arguments", "field", "problem"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_refused_with_its_name_value_and_fix(
    arguments: dict[str, Any], field: str, problem: str
) -> None:
    client = RecordingClient()
    with pytest.raises(TableError) as caught:
        client.emit_table(TABLE, **{**GOOD, **arguments})
    assert str(caught.value).startswith(problem)
    assert caught.value.field == field
    assert client.actions == []
    assert client.emit_table(TABLE, **GOOD).accepted == 2


@pytest.mark.parametrize("table", [[{"key": "k"}], {"key": ["k"]}, 5, None, "flights"])
def test_what_is_not_a_table_is_refused(table: object) -> None:
    with pytest.raises(TableError, match="is not a table; pass a DataFrame of pandas or polars"):
        RecordingClient().emit_table(table)


def test_a_column_alone_is_refused() -> None:
    with pytest.raises(TableError, match="pass a table whose columns have names"):
        RecordingClient().emit_table(pyarrow.chunked_array([[1]]))


def test_a_duplicated_column_is_refused() -> None:
    table = pyarrow.Table.from_arrays([TABLE["user"]] * 2, names=["user", "user"])
    with pytest.raises(TableError, match="the column 'user' is duplicated; rename one of them"):
        RecordingClient().emit_table(table, key=lit("k"), user_key="user")


def test_columns_beside_one_that_is_named_metadata_are_not_lost() -> None:
    table = TABLE.select(["user", "price"]).append_column("metadata", [[{"a": 1}, {"a": 2}]])
    arguments: dict[str, Any] = {"key": lit("k"), "user_key": "user"}
    with pytest.raises(TableError, match="columns beside 'metadata' are not used: price"):
        RecordingClient().emit_table(table, **arguments)
    client = RecordingClient()
    client.emit_table(table.drop_columns("price"), **arguments)
    assert [action.metadata for action in client.actions] == [{"a": 1}, {"a": 2}]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dataart-mp\[arrow\]'"):
        RecordingClient().emit_table(TABLE, **GOOD)


def test_columns_with_the_names_of_fields_need_no_argument() -> None:
    moment = datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)
    table = pyarrow.table(
        {
            "key": ["k"],
            "user_key": [17],
            "timestamp": [moment],
            "is_anonymous_user": [True],
            "n": [1],
        }
    )
    client = RecordingClient()
    client.emit_table(table)
    (action,) = client.actions
    assert (action.key, action.user_key, action.is_anonymous_user) == ("k", "17", True)
    assert (action.timestamp, action.metadata) == (moment, {"n": 1})


def test_a_flag_and_a_time_may_be_constants_without_lit() -> None:
    moment = datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)
    client = RecordingClient()
    client.emit_table(
        TABLE, key=lit("k"), user_key="user", timestamp=moment, is_anonymous_user=True, metadata=[]
    )
    assert [action.timestamp for action in client.actions] == [moment] * 2
    assert all(action.is_anonymous_user and action.metadata is None for action in client.actions)
