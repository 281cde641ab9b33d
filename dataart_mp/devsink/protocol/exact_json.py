"""JSON whose integers stay exact: orjson turns those beyond 64 bits into floats."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

# 64 bits have 19 digits or more, so an integer beyond them has too.
_LONG_RUN: Final = b"0" * 19
_DIGITS_TO_ZEROS: Final = bytes.maketrans(b"123456789", b"0" * 9)
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


class LongInteger(int):
    """An integer beyond 64 bits, which orjson leaves to its `default`."""


def loads(content: bytes) -> Any:
    """Parse JSON; an integer beyond 64 bits becomes a `LongInteger`.

    Raises:
        orjson.JSONDecodeError: It is not JSON, or has a number that is infinite as a float.
        RecursionError: It is nested too deeply to be parsed exactly.
    """
    value = orjson.loads(content)
    if _LONG_RUN not in content.translate(_DIGITS_TO_ZEROS):
        return value
    # orjson has validated it; Python's parser is slower, and reads more than JSON.
    return json.loads(content, parse_int=_integer)


def dumps(value: Any) -> bytes:
    """Encode a value.

    Raises:
        orjson.JSONEncodeError: It is nested too deeply.
    """
    return orjson.dumps(value, _digits, orjson.OPT_PASSTHROUGH_SUBCLASS)


def canonical(value: Any) -> bytes:
    """Encode a value as `dumps` does, with sorted keys, so that equal values have equal bytes."""
    return orjson.dumps(value, _digits, orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_SORT_KEYS)


def _integer(text: str) -> int:
    value = int(text)
    return value if _SMALLEST <= value <= _LARGEST else LongInteger(value)


def _digits(value: object) -> orjson.Fragment:
    if isinstance(value, LongInteger):
        return orjson.Fragment(str(int(value)).encode())
    raise TypeError(f"{type(value).__name__} is not JSON")
