"""Many actions of the usual form, checked column by column.

    {"key": "a", "user_key": "x", …}         key        user_key
    {"key": "b", "user_key": "y", …}   ──►   "a"        "x"        …   one check a column
    {"key": "c", "user_key": "z", …}         "b" "c"    "y" "z"

To look at each value costs more than to encode it. A column is looked at by functions that loop in
C. They say only that all is well or that something may not be: then each action is looked at by
itself, as `encode_action` does, which tells what it is.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Final

from dataart_mp.producer.timestamp import are_rfc_3339, to_timestamp

FIELDS: Final = ("key", "user_key", "is_anonymous_user", "timestamp", "metadata")
NEEDED: Final = FIELDS[:2]

Column = Sequence[Any]
Event = dict[str, Any]


def as_events(actions: list[Any]) -> list[Event] | None:
    """Check actions, and complete them.

    Args:
        actions: One or more, each with the arguments of `encode_action` by their names.

    Returns:
        For each its event, with all fields in the order of the protocol: the action itself where
        it is that already. None when they are not all plain dicts, of the same fields in the same
        order, or when something may be wrong with one of them.
    """
    if set(map(type, actions)) != {dict}:
        return None
    dicts: list[Event] = actions
    try:
        columns = _columns(dicts)
        if columns is None or not _are_sound(columns):
            return None
        stamps = columns.get("timestamp", ())
        moments = _moments(stamps, len(dicts))
    except (TypeError, ValueError, RuntimeError):  # the last: another thread has changed one
        return None
    if moments is stamps and tuple(columns) == FIELDS:
        return dicts
    return _completed({**columns, "timestamp": moments}, len(dicts))


def _columns(dicts: Sequence[Event]) -> dict[str, Column] | None:
    names = tuple(dicts[0])
    if not set(NEEDED) <= set(names) <= set(FIELDS):
        return None
    # A dict's iterator goes through its names.
    for name, column in zip(names, zip(*dicts, strict=True), strict=True):
        if column.count(name) != len(dicts):
            return None
    return dict(zip(names, zip(*map(dict.values, dicts), strict=True), strict=True))


def _are_sound(columns: Mapping[str, Column]) -> bool:
    """Whether all but the timestamps are what they should be.

    Raises:
        TypeError: there is a key that is no text.
    """
    keys, user_keys = columns["key"], columns["user_key"]
    "".join(keys)
    "".join(user_keys)
    return (
        all(keys)
        and all(user_keys)
        and {bool}.issuperset(map(type, columns.get("is_anonymous_user", ())))
        and {dict, NoneType}.issuperset(map(type, columns.get("metadata", ())))
    )


def _moments(stamps: Column, count: int) -> Column:
    """The timestamps, as they are if they can be written so.

    Raises:
        EventError: one is no moment.
    """
    kinds = set(map(type, stamps))
    if kinds == {str} and are_rfc_3339(stamps):
        return stamps
    if kinds == {datetime} and all([stamp.tzinfo is UTC for stamp in stamps]):  # noqa: C419 - faster
        return stamps
    now = datetime.now(UTC)
    return [now if stamp is None else to_timestamp(stamp) for stamp in stamps or [None] * count]


def _completed(columns: Mapping[str, Column], count: int) -> list[Event]:
    rows = zip(
        columns["key"],
        columns["user_key"],
        columns.get("is_anonymous_user", [False] * count),
        columns["timestamp"],
        columns.get("metadata", [None] * count),
        strict=True,
    )
    return [
        {
            "key": key,
            "user_key": user_key,
            "is_anonymous_user": is_anonymous_user,
            "timestamp": timestamp,
            "metadata": metadata,
        }
        for key, user_key, is_anonymous_user, timestamp, metadata in rows
    ]
