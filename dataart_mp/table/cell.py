"""Conversion of cells to typed values."""

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from dataart_mp.table.json_text import read_json
from dataart_mp.table.shown import shown

# Stricter than int(), which also accepts 1_000 and spaces.
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1
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


class _InexactError(ValueError):
    """A number cannot be represented; the message says why, and what to do."""


def _int(value: Any) -> int:
    if not isinstance(value, int) and not _INTEGER.fullmatch(str(value)):
        raise ValueError
    number = int(value)
    if not _SMALLEST <= number <= _LARGEST:
        raise _InexactError("is wider than 64 bits; use the type text")
    return number


def _float(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or "_" in str(value):
        raise ValueError
    exact = _integer(value)
    if exact is not None and exact != number:
        raise _InexactError("would be rounded; use the type int or text")
    return number


def _integer(value: Any) -> int | None:
    """Return the integer that a value is, or None: a float may round fractions, not integers."""
    if isinstance(value, int) or (isinstance(value, str) and _INTEGER.fullmatch(value.strip())):
        return int(value)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return None


def _json(value: Any) -> Any:
    return read_json(value) if isinstance(value, str | bytes) else value


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
    except _InexactError as error:
        raise ValueError(f"{shown(value)} {error}") from None
    except (ValueError, TypeError, ArithmeticError):
        raise ValueError(f"{shown(value)} is not of type {kind}") from None
