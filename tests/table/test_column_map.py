"""One row at a time becomes an event, or an error that names the field."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from dataart_mp.errors import EventError, TableError
from dataart_mp.table.column_map import ColumnMap, MetadataColumn
from dataart_mp.table.event import Action, Identity

PLAY = {"key": "play", "user_key": "ann"}


def event_of(content: Any, columns: ColumnMap | None = None) -> Action | Identity:
    return (columns or ColumnMap()).event_of(content)


def error_of(fields: dict[str, Any], columns: ColumnMap | None = None) -> str:
    with pytest.raises(EventError) as caught:
        event_of(fields, columns)
    return str(caught.value)


def test_rows_are_actions_unless_they_are_said_to_be_identities() -> None:
    assert event_of(PLAY) == Action("play", "ann", False, None, None)
    assert event_of(PLAY, ColumnMap(identities=True)) == Identity("ann", {"key": "play"})


def test_a_map_cannot_be_changed_and_its_parts_have_names() -> None:
    columns = ColumnMap()
    with pytest.raises(FrozenInstanceError):
        columns.identities = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        ColumnMap({})  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("key", "text"),
    [(5, "5"), (0, "0"), (-1, "-1"), ("x", "x"), ("", ""), (True, True), (1.5, 1.5), ([], [])],
)
def test_an_integer_becomes_text_and_everything_else_is_left_to_the_client(
    key: object, text: object
) -> None:
    event = event_of({**PLAY, "key": key})
    assert isinstance(event, Action)
    assert event.key == text
    assert type(event.key) is type(text)


def test_an_anonymous_user_is_true_or_false() -> None:
    anonymous = [event_of({**PLAY, "is_anonymous_user": value}) for value in ("yes", "0", None)]
    assert [getattr(event, "is_anonymous_user", None) for event in anonymous] == [
        True,
        False,
        False,
    ]
    error = error_of({**PLAY, "is_anonymous_user": "maybe"})
    assert error.startswith("is_anonymous_user: must be true or false, not ")
    assert "maybe" in error


def test_metadata_that_cannot_be_parsed_is_an_error_of_the_row() -> None:
    assert error_of({**PLAY, "metadata": "{"}).startswith("metadata: ")
    entry = ColumnMap(metadata=(MetadataColumn("n", "a", "int"),))
    assert error_of({**PLAY, "a": "x"}, entry) == "metadata.n: 'x' is not of type int"


def test_an_empty_timestamp_is_an_error_where_there_is_such_a_column() -> None:
    """Else the event would have the time of the import."""
    when = ColumnMap(columns={"timestamp": "when"})
    missing = "timestamp: is missing: column 'timestamp' is empty"
    assert error_of({**PLAY, "timestamp": None}) == missing
    assert error_of({**PLAY, "when": None}, when) == "timestamp: is missing: column 'when' is empty"
    assert error_of(PLAY, when) == "timestamp: is missing: column 'when' is empty"
    assert event_of(PLAY) == Action("play", "ann", False, None, None)


@pytest.mark.parametrize(
    ("columns", "first"), [(["a", "b", "b", "c", "c"], "'b'"), (["c", "c", "b", "b"], "'c'")]
)
def test_the_first_column_that_is_duplicated_is_named(columns: list[str], first: str) -> None:
    with pytest.raises(TableError, match=f"the column {first} is duplicated"):
        ColumnMap().check(["key", "user_key", *columns])


def test_all_columns_are_read_unless_the_metadata_is_named() -> None:
    columns = ["key", "user_key", "timestamp", "a", "b", "c"]
    named = ColumnMap(
        columns={"key": "a"}, constants={"timestamp": "x"}, metadata=(MetadataColumn("n", "c"),)
    )
    assert ColumnMap().columns_to_read(columns) == columns
    assert named.columns_to_read(columns) == ["user_key", "a", "c"]
    assert ColumnMap(metadata=()).columns_to_read(columns) == ["key", "user_key", "timestamp"]
