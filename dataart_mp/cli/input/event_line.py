"""Events as lines of JSON.

    {"key": "play", "user_key": "u1", "is_anonymous_user": false,
     "timestamp": "2021-05-04T10:11:12.5+02:00", "metadata": {"song": 7}}
    {"user_key": "u1", "metadata": {"plan": "free"}}

`is_anonymous_user` (default: false), `timestamp` (default: now) and `metadata` (default: null) are
optional. So is `"type"`, which is `"action"` or `"identity"`.
"""

from collections.abc import Mapping
from typing import Any, Final

from dataart_mp.errors import EventError, short_repr
from dataart_mp.table.event import Action, Identity
from dataart_mp.table.json_text import read_json
from dataart_mp.table.shown import shown

_EXAMPLE: Final = '{"key": "play", "user_key": "u1"}'
_TIME_EXAMPLE: Final = "2021-05-04T10:11:12.5+02:00"
_KINDS: Final[Mapping[str, type[Action | Identity]]] = {"action": Action, "identity": Identity}
_FIELDS: Final = {kind: frozenset(kind._fields) for kind in _KINDS.values()}


def parse_event(line: bytes) -> Action | Identity:
    """Read the event in a line of JSON Lines.

    The values of its fields are checked by the client, not here.

    Raises:
        EventError: The line is not an event; the message says why.
    """
    fields = parse_object(line)
    kind = _kind(fields)
    if not fields.keys() <= _FIELDS[kind]:
        raise _unknown_fields(kind, fields.keys() - _FIELDS[kind])
    if "user_key" not in fields:
        raise EventError("user_key: is missing", "user_key")
    if kind is Action:
        _check_timestamp(fields.get("timestamp"))
    return kind(**fields)


def parse_object(line: bytes) -> dict[str, Any]:
    """Read the JSON object in a line.

    Raises:
        EventError: The line is not JSON, or not an object.
    """
    fields = read_json(line)
    if type(fields) is not dict:
        raise EventError(f"must be an object, such as {_EXAMPLE}, not {shown(fields)}")
    return fields


def _kind(fields: dict[str, Any]) -> type[Action | Identity]:
    name = fields.pop("type", "action" if "key" in fields else "identity")
    kind = _KINDS.get(name) if type(name) is str else None
    if kind is None:
        raise EventError(f'type: must be "action" or "identity", not {shown(name)}', "type")
    if kind is Action and "key" not in fields:
        raise EventError("key: is missing; an action needs one", "key")
    return kind


def _unknown_fields(kind: type[Action | Identity], unknown: set[str]) -> EventError:
    names = ", ".join(short_repr(name) for name in sorted(unknown))
    article = "an action" if kind is Action else "an identity"
    are_not = "is not a field of" if len(unknown) == 1 else "are not fields of"
    known = ", ".join(kind._fields)
    return EventError(f"{names} {are_not} {article}; its fields are {known}")


def _check_timestamp(value: object) -> None:
    """Refuse a timestamp that is not text, such as a number."""
    if value is not None and type(value) is not str:
        problem = f"must be RFC 3339 text, such as {_TIME_EXAMPLE}, not {shown(value)}"
        raise EventError(f"timestamp: {problem}", "timestamp")
