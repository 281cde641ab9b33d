"""Many actions of the usual form, checked column by column.

    {"key": "a", "user_key": "x", …}         key        user_key
    {"key": "b", "user_key": "y", …}   ──►   "a"        "x"        …   one check per column
    {"key": "c", "user_key": "z", …}         "b" "c"    "y" "z"

Checking each value separately would cost more than encoding it. A column is checked by functions
that loop in C. They only say whether all values are valid. If they are not, the caller encodes
each action separately with `encode_action`, whose error names the invalid value.
"""

import operator
from collections.abc import Sequence
from datetime import UTC, datetime
from types import NoneType
from typing import Any, Final

from dataart_mp.producer.plain import ATOMS, are_plain, to_plain
from dataart_mp.producer.timestamp import are_rfc_3339, to_timestamp

FIELDS: Final = ("key", "user_key", "is_anonymous_user", "timestamp", "metadata")
REQUIRED: Final = FIELDS[:2]

Column = Sequence[Any]
Event = dict[str, Any]


def as_events(actions: list[Any]) -> list[Event] | None:
    """Validate actions and add their missing fields.

    Args:
        actions: One or more, each with the arguments of `encode_action` by name.

    Returns:
        One event for each action, with all fields in the order of the protocol and with plain
        values; the action itself if it has that form already. None if some actions are not plain
        dicts, or may be invalid.
    """
    if set(map(type, actions)) != {dict}:
        return None
    try:
        events = actions if _are_complete(actions) else _completed(actions)
        # A dict with unknown fields has more fields than there are columns.
        keys, user_keys, are_anonymous, timestamps, metadata = _columns(events)
        if not (_are_keys(keys) and _are_keys(user_keys)):
            return None
        if not ({bool}.issuperset(map(type, are_anonymous)) and _are_metadata(metadata)):
            return None
        encodable = _encodable_timestamps(timestamps)
        if not _hold_plain_values(metadata):
            plain = [to_plain("metadata", value) for value in metadata]
            events = _replaced(events, "metadata", plain)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: another thread has changed one
        return None
    return events if encodable is timestamps else _replaced(events, "timestamp", encodable)


def _replaced(events: list[Event], field: str, column: Column) -> list[Event]:
    return [{**event, field: value} for event, value in zip(events, column, strict=True)]


def _are_complete(actions: list[Event]) -> bool:
    """Whether each action has all fields, in the order of the protocol."""
    try:
        columns = zip(FIELDS, zip(*actions, strict=True), strict=True)  # iterating a dict: names
        return all(column.count(name) == len(actions) for name, column in columns)
    except ValueError:  # their numbers of fields differ, or are not that of the protocol
        return False


def _completed(actions: list[Event]) -> list[Event]:
    """Return the actions with defaults for missing fields; None, an invalid key, if required."""
    defaults = {
        "key": None,
        "user_key": None,
        "is_anonymous_user": False,
        "timestamp": datetime.now(UTC),
        "metadata": None,
    }
    return [{**defaults, **action} for action in actions]


def _columns(events: list[Event]) -> list[Column]:
    return [*zip(*map(dict.values, events), strict=True)]


def _are_keys(column: Column) -> bool:
    """Whether each value is non-empty text, and no subclass of str."""
    return {str}.issuperset(map(type, column)) and all(column)


def _are_metadata(column: Column) -> bool:
    return {dict, NoneType}.issuperset(map(type, column))


def _hold_plain_values(column: Column) -> bool:
    """Whether `are_plain` holds for metadata; takes half the time if it has no containers."""
    kinds = {type(value) for metadata in column if metadata for value in metadata.values()}
    return kinds <= ATOMS or are_plain(column)


def _encodable_timestamps(column: Column) -> Column:
    """Return timestamps that can be encoded; the same column if all of them can be already.

    Raises:
        ValueError: A value is not a valid timestamp.
    """
    kinds = set(map(type, column))
    if kinds == {datetime} and all([value.tzinfo is UTC for value in column]):  # noqa: C419 - faster
        return column
    texts = column if kinds == {str} else [value for value in column if type(value) is str]
    if not are_rfc_3339(texts):
        raise ValueError("not a valid timestamp")
    if texts is column:
        return column
    now = datetime.now(UTC)
    encodable = [value if type(value) is str else _encodable(value, now) for value in column]
    return column if all(map(operator.is_, encodable, column)) else encodable


def _encodable(timestamp: object, now: datetime) -> datetime | str:
    if timestamp is None:
        return now
    if type(timestamp) is datetime and timestamp.tzinfo is UTC:
        return timestamp
    return to_timestamp(timestamp)
