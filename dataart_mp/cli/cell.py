"""The types that a cell of text may stand for."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from dataart_mp.errors import short_repr

# Not what Python's int() takes besides: 1_000, and spaces.
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_TRUTHS: Final = {"true": True, "t": True, "yes": True, "y": True, "1": True}
_LIES: Final = {"false": False, "f": False, "no": False, "n": False, "0": False}


def read_bool(value: Any) -> bool:
    """`true`, `t`, `yes`, `y`, `1`, and their opposites, in any case; ValueError for all else."""
    truth = {**_TRUTHS, **_LIES}.get(str(value).lower())
    if truth is None:
        raise ValueError
    return truth


def _int(value: Any) -> int:
    if isinstance(value, int):
        return int(value)
    if not _WHOLE.fullmatch(str(value)):
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


def read_cell(value: Any, kind: str | None) -> Any:
    """Make a value of a cell.

    Args:
        value: The cell; None, if it is empty.
        kind: A name in CELL_TYPES; None: the value as it is.

    Raises:
        ValueError: It is no such value; says so.
    """
    if value is None or kind is None:
        return value
    try:
        return CELL_TYPES[kind](value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{short_repr(value)} is no {kind}") from None
