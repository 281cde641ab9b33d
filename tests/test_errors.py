"""Errors name the invalid value, and can be sent to another process."""

import pickle

import pytest

from dataart_mp.errors import (
    BufferFullError,
    ClosedError,
    ConfigError,
    DataArtError,
    EventError,
    MissingExtraError,
    RowError,
    RowsError,
    TableError,
    short_repr,
)

ERRORS = [
    DataArtError("why"),
    ConfigError("why", "flush_interval", "-1"),
    ConfigError("why"),
    EventError("why", "metadata.items[3]"),
    EventError("why"),
    BufferFullError("why"),
    TableError("why", "user_key"),
    MissingExtraError("why"),
    RowError("why", "metadata.price", 3, "price"),
    RowsError("why", "metadata.price", refused=3, columns={"price": 3}, accepted=5, dropped=1),
    ClosedError("why"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_survives_pickling_with_its_message_and_attributes(error: DataArtError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == "why"
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_data_art_error_is_the_base_of_all_errors(error: DataArtError) -> None:
    assert isinstance(error, DataArtError)


def test_a_refused_setting_or_event_is_a_value_error() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(EventError, ValueError)


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Endless:
    def __repr__(self) -> str:
        return "x" * 1_000_000


def test_a_short_value_is_shown_unchanged() -> None:
    assert short_repr({"a": [1, "b"]}) == "{'a': [1, 'b']}"


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000, b"x" * 10_000, bytearray(10_000), list(range(1000)), Endless(), 10**5000],
    ids=lambda value: type(value).__name__,
)
def test_a_long_value_is_shown_in_at_most_80_characters(value: object) -> None:
    assert 0 < len(short_repr(value)) <= 80


def test_a_value_whose_repr_raises_is_shown_by_its_type() -> None:
    assert "Broken" in short_repr(Broken())
    assert "Broken" in short_repr([Broken()])


def test_a_value_that_contains_itself_is_shown() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    assert short_repr(cycle) == "[[[...]]]"
