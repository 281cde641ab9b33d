r"""Encode events as records. A record is one line of JSON, and is sent without being parsed again.

    {"key":"k","user_key":"u","is_anonymous_user":false,"timestamp":"…","metadata":{…}}\n
    {"user_key":"u","metadata":{…}}\n

A record holds exactly one newline, at its end, and no NUL: the queue and the request body rely on
that. NaN and infinities become null, because JSON has neither.

`encode_action` runs once per event, in the application's thread. All its code for a valid event of
plain values is in one function, because each further function call would add a tenth to its
duration. All other events are converted into plain values first: see `plain`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import orjson

from dataart_mp import native
from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.jsonable import as_text
from dataart_mp.producer.plain import (
    ATOMS,
    are_plain,
    encode_plain,
    find_invalid_atom,
    to_plain,
)
from dataart_mp.producer.timestamp import is_rfc_3339, to_timestamp

_dumps = orjson.dumps
_END_OF_LINE = orjson.OPT_APPEND_NEWLINE
_NEWLINE, _NUL = 0x0A, 0x00  # searching for an int is twice as fast as for bytes

# The boundary of two records, in an array and as lines.
_ARRAY_BOUNDARY, _LINE_BOUNDARY = b'},{"key":', b'}\n{"key":'


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
        metadata: None or a mapping whose values `to_plain` can convert. No other thread may change
            it during the call.

    Returns:
        The record, with its newline.

    Raises:
        EventError: The action cannot be sent; the message names the path, the value and the fix.
    """
    if not (type(key) is str is type(user_key) and key and user_key):
        key, user_key = checked_key("key", key), checked_key("user_key", user_key)
    if type(is_anonymous_user) is not bool:
        _refuse("is_anonymous_user", is_anonymous_user, "pass True or False")
    if timestamp is None:
        timestamp = datetime.now(UTC)  # looked up on each call, so that tests can freeze it
    elif type(timestamp) is str:
        if not is_rfc_3339(timestamp):
            to_timestamp(timestamp)  # raises the error
    elif type(timestamp) is not datetime or timestamp.tzinfo is not UTC:
        timestamp = to_timestamp(timestamp)
    action = {
        "key": key,
        "user_key": user_key,
        "is_anonymous_user": is_anonymous_user,
        "timestamp": timestamp,
        "metadata": metadata,
    }
    try:
        if type(metadata) is dict:
            for value in metadata.values():
                if type(value) not in ATOMS:
                    if are_plain(metadata):
                        break
                    return _encode_slowly(action)
        elif metadata is not None:
            return _encode_slowly(action)
        return _dumps(action, None, _END_OF_LINE)
    except (TypeError, RuntimeError):  # RuntimeError: another thread has changed the metadata
        return _encode_slowly(action)


def encode_events(events: Sequence[object]) -> bytes | None:
    """Encode validated actions in half the time that encoding them one by one takes.

    orjson writes them as one array, which is split at the boundaries of the records. Metadata may
    contain the same bytes as a boundary; then the number of parts is too high.

    Args:
        events: One or more events, from `usual.as_events`.

    Returns:
        The records; None if the events must be encoded one by one, because the boundaries are
        ambiguous or an event cannot be encoded.
    """
    try:
        array = encode_plain(events)
    except TypeError:
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
    if type(user_key) is not str or not user_key:
        user_key = checked_key("user_key", user_key)
    identity = {"user_key": user_key, "metadata": metadata}
    try:
        if metadata is None or (type(metadata) is dict and are_plain(metadata)):
            return _dumps(identity, None, _END_OF_LINE)
    except (TypeError, RuntimeError):  # RuntimeError: another thread has changed it
        pass
    return _encode_slowly(identity)


def _encode_slowly(event: dict[str, object]) -> bytes:
    """Encode an event of any values, or raise the error with the path."""
    metadata = event["metadata"]
    if metadata is not None and type(metadata) is not dict:
        event["metadata"] = as_dict(metadata)
    plain = {**event, "metadata": to_plain("metadata", event["metadata"])}
    try:
        return encode_plain(plain, _END_OF_LINE)
    except TypeError:  # an invalid text or integer, or the timestamp of a frozen clock
        plain = {name: to_plain(name, value) for name, value in plain.items()}
    try:
        return encode_plain(plain, _END_OF_LINE)
    except TypeError as error:
        raise _located(plain, error) from None


def _located(plain: dict[str, object], error: TypeError) -> EventError:
    located = find_invalid_atom(plain)
    if located is None:  # a container that is used at several depths
        located = EventError(f"metadata: cannot be encoded ({error}); flatten it", "metadata")
    return located


def checked_key(name: str, value: object) -> str:
    """Return a key as text.

    Args:
        name: The name of the argument.
        value: Text, or what stands for text.

    Raises:
        EventError: It is not text, or empty.
    """
    if type(value) is str and value:
        return value
    try:
        text = as_text(value)
    except Exception as error:
        problem = f"it raised {short_repr(error)}; pass text, such as str(value)"
        raise _refusal(name, value, problem) from error
    if text is None:
        _refuse(name, value, "pass text, such as str(value)")
    if not text:
        _refuse(name, value, "must not be empty; pass the key of an event or of a user")
    return text


def as_dict(metadata: object) -> dict[object, object]:
    """Return metadata as a new dict.

    Raises:
        EventError: It is not a mapping.
    """
    try:
        fields = dict(metadata) if isinstance(metadata, Mapping) else None
    except Exception as error:
        problem = f"it raised {short_repr(error)}; pass a dict"
        raise _refusal("metadata", metadata, problem) from error
    if fields is None:
        fix = "pass a dict, or None; for a model, pass its fields as a dict"
        _refuse("metadata", metadata, fix)
    return fields


def _refuse(name: str, value: object, fix: str) -> NoReturn:
    raise _refusal(name, value, fix)


def _refusal(name: str, value: object, fix: str) -> EventError:
    kind = type(value).__name__
    return EventError(f"{name}: {kind} ({short_repr(value)}) is refused; {fix}", name)


if native.compiled:  # it looks up `datetime` here, which tests may have replaced
    native.hot_path.use_encoder(orjson.dumps, globals())
