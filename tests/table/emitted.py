"""Emit a table to memory, and emit the same values one by one, to compare the records."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from dataart_mp.errors import EventError, RowsError
from dataart_mp.producer.encoder import encode_action
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.table.emission import emission_of
from dataart_mp.table.literal import Literal

MOMENT = datetime.fromisoformat("2021-05-04T10:11:12.5+00:00")
DEFAULTS: dict[str, Any] = {
    "key": None,
    "user_key": None,
    "timestamp": None,
    "is_anonymous_user": None,
    "metadata": None,
    "timezone": None,
}


class Result(NamedTuple):
    """The records of a table, and the numbers of its rows that were refused."""

    records: list[bytes]
    refused: list[int]


def by_column(table: Any, *, room: int = 7, **arguments: Any) -> Result:
    """Emit a table with `emit_table`, a few records in each frame."""
    taken: list[bytes] = []

    def take(lines: memoryview, count: int) -> Taken:
        content = bytes(lines)
        assert content.count(b"\n") == count
        assert b"\0" not in content
        first = content.splitlines(keepends=True)[:room]
        taken.extend(first)
        return Taken(len(first), sum(map(len, first)), room)

    refused: list[int] = []
    try:
        emission_of(table, room, take, _never, None, None, **{**DEFAULTS, **arguments}).run()
    except RowsError as error:
        refused = [one.row for one in error.errors]
    return Result(taken, refused)


def one_by_one(rows: Sequence[Mapping[str, Any]], **arguments: Any) -> Result:
    """Emit the values of rows with `emit_action`, as a hand-written loop would."""
    records: list[bytes] = []
    refused: list[int] = []
    for number, row in enumerate(rows):
        fields = dict(row)
        event = {
            name: _value(arguments.get(name, name), fields)
            for name in ("key", "user_key", "timestamp", "is_anonymous_user")
        }
        event["key"], event["user_key"] = _text(event["key"]), _text(event["user_key"])
        event["is_anonymous_user"] = event["is_anonymous_user"] or False
        if event["timestamp"] is None:  # for `emit_action`, it would be now
            refused.append(number)
            continue
        try:
            records.append(encode_action(**event, metadata=fields or None))
        except EventError:
            refused.append(number)
    return Result(records, refused)


def _value(chosen: Any, fields: dict[str, Any]) -> Any:
    if isinstance(chosen, Literal):
        return chosen.value
    return fields.pop(chosen, None) if isinstance(chosen, str) else chosen


def _text(value: Any) -> Any:
    return str(value) if type(value) is int else value


def _never(*arguments: object) -> None:
    raise AssertionError(f"nothing is full: {arguments}")
