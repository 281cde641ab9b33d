"""Why a client refuses an event, in terms of rows and options.

The client's own errors are written for programmers: they name Python types, and arguments to pass.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dataart_mp.cli.input.terms import COMMAND_LINE
from dataart_mp.config.environment import PREFIX, variable
from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.table.shown import shown
from dataart_mp.table.time_format import TimeFormat

_FIELD: Final = re.compile(r"\w+")
_ENCODING: Final = "is not valid text in its encoding; set --encoding"
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


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
            problem = f"must be true or false, not {shown(value)}"
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
        return f"must be text, not {shown(value)}"
    return f"{shown(value)} {_ENCODING}" if value else "must not be empty"


def _time_error(value: object) -> EventError:
    try:
        TimeFormat(terms=COMMAND_LINE).read(value)  # which knows the options
    except EventError as error:
        return error
    problem = "is not RFC 3339 with a UTC offset; set --timestamp-format"
    return EventError(f"timestamp: {shown(value)} {problem}", "timestamp")


def _metadata_problem(path: str, metadata: object) -> str:
    if not isinstance(metadata, Mapping):
        return f"must be an object, not {shown(metadata)}"
    if path == "metadata":
        name = next((name for name in metadata if _is_refused({name: None})), None)
        nested = "is nested too deeply; flatten it"
        return nested if name is None else f"the name {shown(name)} {_ENCODING}"
    value = _refused_part(metadata)
    if isinstance(value, str):
        return f"{shown(value)} {_ENCODING}"
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return f"{shown(value)} is wider than 64 bits; make it text: --metadata COLUMN:text"
    remedy = "convert the column, or leave it out with --metadata"
    return f"{shown(value)} cannot be written as JSON; {remedy}"


def _refused_part(value: object) -> object:
    """Return the innermost value that a client refuses."""
    parts: Iterable[object] = ()
    if isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    refused = next((part for part in parts if _is_refused({"any": part})), None)
    return value if refused is None else _refused_part(refused)


def _is_refused(metadata: Mapping[str, Any]) -> bool:
    try:
        encode_identity("any", metadata)
    except EventError:
        return True
    return False
