"""Conversion of cells to typed values."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from dataart_mp.errors import short_repr

# Stricter than int(), which also accepts 1_000 and spaces.
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}


def read_bool(value: Any) -> bool:
    """Convert `true`, `t`, `yes`, `y`, `1` and their opposites, in upper or lower case.

    Raises:
        ValueError: The value is none of these.
    """
    found = _BOOLEANS.get(str(value).lower())
    if found is None:
        raise ValueError
    return found


def _int(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if not _INTEGER.fullmatch(str(value)):
        raise ValueError
    return int(value)


def _float(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or "_" in str(value):
        raise ValueError
    return number


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str | bytes) else value


CELL_TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "text": str,
    "int": _int,
    "float": _float,
    "bool": read_bool,
    "json": _json,
}
"""The types that a user can name, each with its conversion."""


def read_cell(value: Any, kind: str | None) -> Any:
    """Convert a cell to a value.

    Args:
        value: The cell; None: it is empty.
        kind: A name in CELL_TYPES; None: the value is returned unchanged.

    Raises:
        ValueError: The cell is not of this type; the message says so.
    """
    if value is None or kind is None:
        return value
    try:
        return CELL_TYPES[kind](value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{short_repr(value)} is not of type {kind}") from None
