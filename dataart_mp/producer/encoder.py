r"""Encode events as records. A record is one line of JSON, and is sent without being parsed again.

    {"key":"k","user_key":"u","is_anonymous_user":false,"timestamp":"…","metadata":{…}}\n
    {"user_key":"u","metadata":{…}}\n

A record holds exactly one newline, at its end, and no NUL: the queue and the request body rely on
that. NaN and infinities become null, because JSON has neither.

`encode_action` runs once per event, in the application's thread. All its code for a valid event is
in one function, because each further function call would add a tenth to its duration.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import orjson

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.jsonable import to_jsonable
from dataart_mp.producer.locate import locate
from dataart_mp.producer.timestamp import is_rfc_3339, to_timestamp

_dumps = orjson.dumps
_NEWLINE, _NUL = 0x0A, 0x00  # searching for an int is twice as fast as for bytes

# The boundary of two records, in an array and as lines.
_ARRAY_BOUNDARY, _LINE_BOUNDARY = b'},{"key":', b'}\n{"key":'

# This option costs nothing. Its one error, NaT in an array of datetime64 becomes a date in the year
# 1677, is accepted, because checking for it would slow down every event.
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_SLOWER_OPTIONS = (
    _NUMPY | orjson.OPT_NON_STR_KEYS,  # takes 1.5 times as long, and few events need it
    orjson.OPT_NON_STR_KEYS,  # numpy values that orjson refuses go through to_jsonable
)


def encode_action(
    key: object,
    user_key: object,
    is_anonymous_user: object = False,
    timestamp: object = None,
    metadata: object = None,
) -> bytes:
    """Validate and encode an action.

    Args:
        key: Name of the action; non-empty text.
        user_key: Key of the user; non-empty text.
        is_anonymous_user: A bool.
        timestamp: Time of the action; None is now. See `to_timestamp`.
        metadata: None or a mapping whose values orjson or `to_jsonable` can encode. No other
            thread may change it during the call.

    Returns:
        The record, with its newline.

    Raises:
        EventError: The action cannot be sent; the message names the path, the value and the fix.
    """
    if not (type(key) is str is type(user_key) and key and user_key):
        _check_key("key", key)
        _check_key("user_key", user_key)
    if type(is_anonymous_user) is not bool:
        _refuse("is_anonymous_user", is_anonymous_user, "pass True or False")
    if timestamp is None:
        timestamp = datetime.now(UTC)  # looked up on each call, so that tests can freeze it
    elif type(timestamp) is str:
        if not is_rfc_3339(timestamp):
            to_timestamp(timestamp)  # raises the error
    elif type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
        timestamp = to_timestamp(timestamp)
    if metadata is not None and type(metadata) is not dict:
        metadata = _as_dict(metadata)
    action = {
        "key": key,
        "user_key": user_key,
        "is_anonymous_user": is_anonymous_user,
        "timestamp": timestamp,
        "metadata": metadata,
    }
    try:
        line = _dumps(action, to_jsonable, _NUMPY)
    except TypeError as error:
        line = _encode_slowly(action, error)
    if _NEWLINE in line or _NUL in line:
        _refuse_fragment(action)
    return line + b"\n"


def encode_events(events: Sequence[object]) -> bytes | None:
    """Encode validated actions in half the time that encoding them one by one takes.

    orjson writes them as one array, which is split at the boundaries of the records. Metadata may
    contain the same bytes as a boundary; then the number of parts is too high.

    Args:
        events: One or more events, from `columns.as_events`.

    Returns:
        The records; None if the events must be encoded one by one, because the boundaries are
        ambiguous or an event cannot be encoded.
    """
    try:
        array = _dumps(events, to_jsonable, _NUMPY)
    except TypeError as error:
        _reraise_interrupt(error)
        return None
    if _NEWLINE in array or _NUL in array:
        return None
    parts = array[1:-1].split(_ARRAY_BOUNDARY)
    return _LINE_BOUNDARY.join(parts) + b"\n" if len(parts) == len(events) else None


def encode_identity(user_key: object, metadata: object = None) -> bytes:
    """Validate and encode an identity.

    Args:
        user_key: Key of the user; non-empty text.
        metadata: As for `encode_action`.

    Returns:
        The record, with its newline.

    Raises:
        EventError: The identity cannot be sent; the message names the path, the value and the fix.
    """
    _check_key("user_key", user_key)
    if metadata is not None and type(metadata) is not dict:
        metadata = _as_dict(metadata)
    identity = {"user_key": user_key, "metadata": metadata}
    try:
        line = _dumps(identity, to_jsonable, _NUMPY)
    except TypeError as error:
        line = _encode_slowly(identity, error)
    if _NEWLINE in line or _NUL in line:
        _refuse_fragment(identity)
    return line + b"\n"


def _check_key(name: str, value: object) -> None:
    if not isinstance(value, str):
        _refuse(name, value, "pass text, such as str(value)")
    if not value:
        _refuse(name, value, "must not be empty; pass the key of an event or of a user")


def _as_dict(metadata: object) -> dict[object, object]:
    if not isinstance(metadata, Mapping):
        _refuse(
            "metadata", metadata, "pass a dict, or None; for a model, pass its fields as a dict"
        )
    try:
        return dict(metadata)
    except Exception as error:
        problem = f"it raised {short_repr(error)}; pass a dict"
        raise _refusal("metadata", metadata, problem) from error


def _encode_slowly(event: dict[str, object], error: TypeError) -> bytes:
    """Encode an event with the slower options; raise an error with the path if these fail too."""
    for options in _SLOWER_OPTIONS:
        _reraise_interrupt(error)
        try:
            return _dumps(event, to_jsonable, options)
        except TypeError as next_error:
            error = next_error
    _reraise_interrupt(error)
    raise _located(event, error)


def _reraise_interrupt(error: TypeError) -> None:
    """Raise an interrupt, such as Ctrl-C in a value's method, that orjson has wrapped."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, Exception):
        raise cause


def _refuse_fragment(event: dict[str, object]) -> NoReturn:
    """Refuse an `orjson.Fragment` with a line break: orjson writes it without validating it."""
    raise _located(event, ValueError("a raw line break or NUL in an orjson.Fragment"))


def _located(event: dict[str, object], error: Exception) -> EventError:
    located = locate(event, _can_encode)
    if located is None:  # the event can be encoded now
        problem = f"changed while it was encoded ({error}); pass a copy that no other code changes"
        return EventError(f"metadata: {problem}", "metadata")
    return located


def _can_encode(value: object) -> bool:
    return any(_is_line([value], options) for options in (_NUMPY, *_SLOWER_OPTIONS))


def _is_line(value: object, options: int) -> bool:
    try:
        line = _dumps(value, to_jsonable, options)
    except TypeError as error:
        _reraise_interrupt(error)
        return False
    return _NEWLINE not in line and _NUL not in line


def _refuse(name: str, value: object, fix: str) -> NoReturn:
    raise _refusal(name, value, fix)


def _refusal(name: str, value: object, fix: str) -> EventError:
    kind = type(value).__name__
    return EventError(f"{name}: {kind} ({short_repr(value)}) is refused; {fix}", name)
