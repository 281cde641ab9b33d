"""Many actions of the usual form: plain dicts whose fields are valid.

Such actions are checked in one loop, and encoded together. The checks only say whether all values
are valid. If they are not, the caller encodes each action separately with `encode_action`, whose
error names the invalid value.
"""

from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from dataart_mp.producer.plain import ATOMS, MAX_DEPTH, are_plain, to_plain
from dataart_mp.producer.timestamp import are_rfc_3339, to_timestamp

FIELDS: Final = ("key", "user_key", "is_anonymous_user", "timestamp", "metadata")
REQUIRED: Final = FIELDS[:2]

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
    if {*map(type, actions)} != {dict}:
        return None
    try:
        events = actions if _are_complete(actions) else _completed(actions)
        form = _form(events)
        if form is None:
            return None
        return events if form else [_encodable(event) for event in events]
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: another thread has changed one
        return None


def _are_complete(actions: list[Event]) -> bool:
    """Whether each action has all fields, in the order of the protocol."""
    return [*chain.from_iterable(actions)] == [*FIELDS] * len(actions)  # iterating a dict: names


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


def _form(events: list[Event]) -> bool | None:
    """Return whether orjson may encode all events as they are; None if one may be invalid.

    Raises:
        ValueError: An event has unknown fields.
    """
    texts: list[str] = []
    encodable = True
    for key, user_key, is_anonymous_user, timestamp, metadata in map(dict.values, events):
        if not (type(key) is str is type(user_key) and key and user_key):
            return None
        if type(is_anonymous_user) is not bool:
            return None
        if type(timestamp) is str:
            texts.append(timestamp)
        elif type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
            encodable = False
        if type(metadata) is dict:
            for value in metadata.values():
                if type(value) not in ATOMS and not are_plain((value,), MAX_DEPTH - 1):
                    encodable = False
                    break
        elif metadata is not None:
            return None
    return encodable if are_rfc_3339(texts) else None


def _encodable(event: Event) -> Event:
    """Return an event that orjson may encode.

    Raises:
        EventError: The timestamp or the metadata are invalid.
    """
    timestamp = event["timestamp"]
    if timestamp is None:
        timestamp = datetime.now(UTC)
    elif type(timestamp) is not str:  # texts are checked already
        timestamp = to_timestamp(timestamp)
    return {**event, "timestamp": timestamp, "metadata": to_plain("metadata", event["metadata"])}
