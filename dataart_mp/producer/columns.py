"""Many actions of the usual form, checked column by column.

    {"key": "a", "user_key": "x", …}         key        user_key
    {"key": "b", "user_key": "y", …}   ──►   "a"        "x"        …   one check a column
    {"key": "c", "user_key": "z", …}         "b" "c"    "y" "z"

To look at each value costs more than to encode it. A column is looked at by functions that loop in
C. They say only that all is well or that something may not be: then each action is looked at by
itself, as `encode_action` does, which tells what it is.
"""

import operator
from collections.abc import Sequence
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
        it is that already. None when they are not all plain dicts, or when something may be wrong
        with one of them.
    """
    if set(map(type, actions)) != {dict}:
        return None
    try:
        events = actions if _are_complete(actions) else _completed(actions)
        # A dict of other fields has more than there are columns.
        keys, user_keys, are_anonymous, stamps, metadata = _columns(events)
        if not (_are_keys(keys) and _are_keys(user_keys)):
            return None
        if not ({bool}.issuperset(map(type, are_anonymous)) and _are_metadata(metadata)):
            return None
        moments = _moments(stamps)
    except (TypeError, ValueError, RuntimeError):  # the last: another thread has changed one
        return None
    if moments is stamps:
        return events
    pairs = zip(events, moments, strict=True)
    return [{**event, "timestamp": moment} for event, moment in pairs]


def _are_complete(actions: list[Event]) -> bool:
    # A dict's iterator goes through its names.
    try:
        columns = zip(FIELDS, zip(*actions, strict=True), strict=True)
        return all(column.count(name) == len(actions) for name, column in columns)
    except (
        ValueError
    ):  # some have more names than others, or all have more or less than they should
        return False


def _completed(actions: list[Event]) -> list[Event]:
    """The actions with what they left out; what they should not have left out is no key."""
    usual = {
        "key": None,
        "user_key": None,
        "is_anonymous_user": False,
        "timestamp": datetime.now(UTC),
        "metadata": None,
    }
    return [{**usual, **action} for action in actions]


def _columns(events: list[Event]) -> list[Column]:
    return [*zip(*map(dict.values, events), strict=True)]


def _are_keys(column: Column) -> bool:
    """Whether each is text that is not empty.

    Raises:
        TypeError: one is no text.
    """
    "".join(column)
    return all(column)


def _are_metadata(column: Column) -> bool:
    return {dict, NoneType}.issuperset(map(type, column))


def _moments(stamps: Column) -> Column:
    """The timestamps: the same column if all can be written as they are.

    Raises:
        ValueError: one is no moment.
    """
    kinds = set(map(type, stamps))
    if kinds == {datetime} and all([stamp.tzinfo is UTC for stamp in stamps]):  # noqa: C419 - faster
        return stamps
    texts = stamps if kinds == {str} else [stamp for stamp in stamps if type(stamp) is str]
    if not are_rfc_3339(texts):
        raise ValueError("one is no moment")
    if texts is stamps:
        return stamps
    now = datetime.now(UTC)
    moments = [stamp if type(stamp) is str else _moment(stamp, now) for stamp in stamps]
    return stamps if all(map(operator.is_, moments, stamps)) else moments


def _moment(stamp: object, now: datetime) -> datetime | str:
    if stamp is None:
        return now
    if type(stamp) is datetime and stamp.tzinfo is UTC:
        return stamp
    return to_timestamp(stamp)
