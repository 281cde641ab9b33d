r"""An event becomes a record: one line of JSON, which is never parsed again before it is sent.

    {"key":"k","user_key":"u","is_anonymous_user":false,"timestamp":"…","metadata":{…}}\n
    {"user_key":"u","metadata":{…}}\n

The newline at the end is the only one, and there is no NUL: the queue and the request body rely
on it. Not-a-number and infinities become null, as JSON has neither.

`encode_action` runs once per event in the application's own thread. What it does for a valid event
stands in one function for that reason: each call of another costs a tenth of the whole.
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
_NEWLINE, _NUL = 0x0A, 0x00  # numbers: twice as fast to look for as bytes

# Where a record ends and the next begins: in an array, and as lines.
_SEAM, _CUT = b'},{"key":', b'}\n{"key":'

# Costs nothing. One thing it gets wrong: not-a-time within an array of datetime64 becomes a day of
# the year 1677. To look for it would cost every event.
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_LATER_ATTEMPTS = (
    _NUMPY | orjson.OPT_NON_STR_KEYS,  # half as dear again: not for those who have none
    orjson.OPT_NON_STR_KEYS,  # what orjson refuses of numpy goes through to_jsonable
)


def encode_action(
    key: object,
    user_key: object,
    is_anonymous_user: object = False,
    timestamp: object = None,
    metadata: object = None,
) -> bytes:
    """Encode what a user did.

    The types are those of `DataArtClient.emit_action`; here they are checked.

    Args:
        key: What was done; non-empty text.
        user_key: Who did it; non-empty text.
        is_anonymous_user: A bool.
        timestamp: When; None is now. See `to_timestamp`.
        metadata: None or a mapping of what orjson or `to_jsonable` take. It must not be changed
            by another thread meanwhile.

    Returns:
        The record, with its newline.

    Raises:
        EventError: The event cannot be sent; the message names path, value and remedy.
    """
    if not (type(key) is str is type(user_key) and key and user_key):
        _check_key("key", key)
        _check_key("user_key", user_key)
    if type(is_anonymous_user) is not bool:
        _refuse("is_anonymous_user", is_anonymous_user, "pass True or False")
    if timestamp is None:
        timestamp = datetime.now(UTC)  # looked up each time: tests freeze it
    elif type(timestamp) is str:
        if not is_rfc_3339(timestamp):
            to_timestamp(timestamp)  # says why not
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
        line = _encode_otherwise(action, error)
    if _NEWLINE in line or _NUL in line:
        _refuse_fragment(action)
    return line + b"\n"


def encode_events(events: Sequence[object]) -> bytes | None:
    """Encode actions that were checked, at half the price of one by one.

    orjson writes them as an array, which is cut where a record ends and the next begins. What looks
    like such a seam may be a part of metadata: then there are more of them than there should be.

    Args:
        events: One or more, from `columns.as_events`.

    Returns:
        The records; None when they must be encoded one by one, to know where they end, or which
        of them it is that cannot be encoded.
    """
    try:
        array = _dumps(events, to_jsonable, _NUMPY)
    except TypeError as error:
        _let_interrupts_through(error)
        return None
    if _NEWLINE in array or _NUL in array:
        return None
    parts = array[1:-1].split(_SEAM)
    return _CUT.join(parts) + b"\n" if len(parts) == len(events) else None


def encode_identity(user_key: object, metadata: object = None) -> bytes:
    """Encode who a user is.

    Args:
        user_key: Non-empty text.
        metadata: As for `encode_action`.

    Returns:
        The record, with its newline.

    Raises:
        EventError: The identity cannot be sent; the message names path, value and remedy.
    """
    _check_key("user_key", user_key)
    if metadata is not None and type(metadata) is not dict:
        metadata = _as_dict(metadata)
    identity = {"user_key": user_key, "metadata": metadata}
    try:
        line = _dumps(identity, to_jsonable, _NUMPY)
    except TypeError as error:
        line = _encode_otherwise(identity, error)
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
        _refuse("metadata", metadata, "pass a dict, or None; of a model, its fields as a dict")
    try:
        return dict(metadata)
    except Exception as error:
        problem = f"it raised {short_repr(error)}; pass a dict"
        raise _refusal("metadata", metadata, problem) from error


def _encode_otherwise(event: dict[str, object], error: TypeError) -> bytes:
    """Try what is too dear to try first; if that fails too, say which value is at fault."""
    for options in _LATER_ATTEMPTS:
        _let_interrupts_through(error)
        try:
            return _dumps(event, to_jsonable, options)
        except TypeError as next_error:
            error = next_error
    _let_interrupts_through(error)
    raise _fault_of(event, error)


def _let_interrupts_through(error: TypeError) -> None:
    """Raise what orjson has packed into its own error: Ctrl-C during a value's own method."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, Exception):
        raise cause


def _refuse_fragment(event: dict[str, object]) -> NoReturn:
    """Refuse the only thing that orjson writes unseen: an `orjson.Fragment`."""
    raise _fault_of(event, ValueError("a raw line break or NUL in an orjson.Fragment"))


def _fault_of(event: dict[str, object], error: Exception) -> EventError:
    fault = locate(event, _encodes)
    if fault is None:  # it can be encoded now
        problem = f"changed while it was encoded ({error}); pass a copy that nobody else changes"
        return EventError(f"metadata: {problem}", "metadata")
    return fault


def _encodes(value: object) -> bool:
    return any(_is_line([value], options) for options in (_NUMPY, *_LATER_ATTEMPTS))


def _is_line(value: object, options: int) -> bool:
    try:
        line = _dumps(value, to_jsonable, options)
    except TypeError as error:
        _let_interrupts_through(error)
        return False
    return _NEWLINE not in line and _NUL not in line


def _refuse(name: str, value: object, remedy: str) -> NoReturn:
    raise _refusal(name, value, remedy)


def _refusal(name: str, value: object, remedy: str) -> EventError:
    kind = type(value).__name__
    return EventError(f"{name}: {kind} ({short_repr(value)}) is refused; {remedy}", name)
