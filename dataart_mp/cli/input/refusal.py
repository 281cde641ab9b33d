"""Why a client refuses an event, in terms of rows and options.

The client's own errors are written for programmers: they name Python types, and arguments to pass.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from dataart_mp.cli.input.time_format import TimeFormat
from dataart_mp.config.environment import PREFIX, variable
from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.encoder import encode_action, encode_identity

_FIELD: Final = re.compile(r"\w+")
_ENCODING: Final = "is not valid text in its encoding; set --encoding"


def refusal(error: EventError, event: Mapping[str, Any]) -> EventError:
    """Reword the error of a client for the user who has a file, not a program.

    Args:
        error: The error that the client raised.
        event: The fields of the event; an identity has no `key`.

    Returns:
        An error that names the field, the value and the fix; its path is that of `error`.
    """
    if error.path is None:
        return EventError(_size_problem(event))
    field = _FIELD.match(error.path)
    name = field.group() if field else error.path
    value = event.get(name)
    match name:
        case "key" | "user_key":
            problem = _key_problem(value)
        case "is_anonymous_user":
            problem = f"must be true or false, not {short_repr(value)}"
        case "timestamp":
            return _time_error(value)
        case _:
            problem = _metadata_problem(error.path, value)
    return EventError(f"{error.path}: {problem}", error.path)


def _size_problem(event: Mapping[str, Any]) -> str:
    encode = encode_action if "key" in event else encode_identity
    remedy = f"shorten its metadata, or set {variable(PREFIX, 'max_request_bytes')}"
    return f"the event takes {len(encode(**event)):,} bytes, more than a request holds; {remedy}"


def _key_problem(value: object) -> str:
    if not isinstance(value, str):
        return f"must be text, not {short_repr(value)}"
    return f"{short_repr(value)} {_ENCODING}" if value else "must not be empty"


def _time_error(value: object) -> EventError:
    try:
        TimeFormat().read(value)  # which knows the options
    except EventError as error:
        return error
    problem = "is not RFC 3339 with a UTC offset; set --timestamp-format"
    return EventError(f"timestamp: {short_repr(value)} {problem}", "timestamp")


def _metadata_problem(path: str, metadata: object) -> str:
    if not isinstance(metadata, Mapping):
        return f"must be an object, not {short_repr(metadata)}"
    if path == "metadata":
        name = next((name for name in metadata if _is_refused({name: None})), None)
        nested = "is nested too deeply; flatten it"
        return nested if name is None else f"the name {short_repr(name)} {_ENCODING}"
    value = next((value for value in metadata.values() if _is_refused({"any": value})), None)
    if isinstance(value, str):
        return f"{short_repr(value)} {_ENCODING}"
    remedy = "convert the column, or leave it out with --metadata"
    return f"{short_repr(value)} cannot be written as JSON; {remedy}"


def _is_refused(metadata: Mapping[str, Any]) -> bool:
    try:
        encode_identity("any", metadata)
    except EventError:
        return True
    return False
