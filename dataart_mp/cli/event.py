"""What stands in a line of input: what a user did, or who a user is.

    {"key": "play", "user_key": "u1", "is_anonymous_user": false,
     "timestamp": "2021-05-04T10:11:12.5+02:00", "metadata": {"song": 7}}
    {"user_key": "u1", "metadata": {"plan": "free"}}

`is_anonymous_user` (false), `timestamp` (now) and `metadata` (null) may be left out; a `"type"`,
`"action"` or `"identity"`, may be added.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

import orjson

from dataart_mp.errors import EventError, short_repr


class Emitter(Protocol):
    """What takes events: a client, or what stands in for one. See `DataArtClient`."""

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take what a user did."""
        ...

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Take who a user is."""
        ...


class Action(NamedTuple):
    """What a user did; the arguments of `emit_action`, checked by it and not before."""

    key: str
    user_key: str
    is_anonymous_user: bool = False
    timestamp: datetime | str | None = None
    metadata: Mapping[str, Any] | None = None

    def hand_to(self, client: Emitter) -> bool:
        """Emit it."""
        return client.emit_action(*self)


class Identity(NamedTuple):
    """Who a user is; the arguments of `identify`, checked by it and not before."""

    user_key: str
    metadata: Mapping[str, Any] | None = None

    def hand_to(self, client: Emitter) -> bool:
        """Emit it."""
        return client.identify(*self)


_EXAMPLE: Final = '{"key": "play", "user_key": "u1"}'
_KINDS: Final[Mapping[str, type[Action | Identity]]] = {"action": Action, "identity": Identity}
_FIELDS: Final = {kind: frozenset(kind._fields) for kind in _KINDS.values()}


def parse_event(line: bytes) -> Action | Identity:
    """Read one line.

    Raises:
        EventError: It is no event; the message says why. What the values are is for the client
            to check.
    """
    fields = object_of(line)
    kind = _kind(fields)
    if not fields.keys() <= _FIELDS[kind]:
        raise _unknown_fields(kind, fields.keys() - _FIELDS[kind])
    if "user_key" not in fields:
        raise EventError("user_key: is missing", "user_key")
    if kind is Action:
        _check_timestamp(fields.get("timestamp"))
    return kind(**fields)


def object_of(line: bytes) -> dict[str, Any]:
    """Read one line that must hold a JSON object; EventError says what else it holds."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise EventError(f"not JSON: {error.msg} (column {error.colno})") from None
    if type(fields) is not dict:
        raise EventError(f"must be an object, such as {_EXAMPLE}, not {short_repr(fields)}")
    return fields


def _kind(fields: dict[str, Any]) -> type[Action | Identity]:
    name = fields.pop("type", "action" if "key" in fields else "identity")
    kind = _KINDS.get(name) if type(name) is str else None
    if kind is None:
        raise EventError(f'type: must be "action" or "identity", not {short_repr(name)}', "type")
    if kind is Action and "key" not in fields:
        raise EventError("key: is missing; an action needs one", "key")
    return kind


def _unknown_fields(kind: type[Action | Identity], unknown: set[str]) -> EventError:
    names = ", ".join(sorted(unknown))
    noun = "unknown field" if len(unknown) == 1 else "unknown fields"
    article = "an action" if kind is Action else "an identity"
    known = ", ".join(kind._fields)
    return EventError(f"{noun}: {names}; {article} has {known}: what else is known is metadata")


def _check_timestamp(value: object) -> None:
    """Refuse a number, and so on, in the words of JSON: the client's own are about Python."""
    if value is not None and type(value) is not str:
        problem = f"must be RFC 3339 text, such as 2021-05-04T10:11:12.5+02:00, not {value!r:.80}"
        raise EventError(f"timestamp: {problem}", "timestamp")
