"""Values that orjson does not take by itself, turned into values that it does."""

from collections import deque
from collections.abc import Mapping, Sequence, Set, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from pathlib import PurePath
from typing import Any
from uuid import UUID


class Refused(TypeError):  # noqa: N818 - an answer, not an error of the program
    """A value has no form in JSON; the text says what to pass instead."""


@singledispatch
def to_jsonable(value: object) -> object:
    """Turn a value into what orjson takes: its `default` hook.

    Args:
        value: Anything that orjson does not take by itself.

    Returns:
        An equal or, where JSON has none, the closest value: Decimal, Path and pandas' times as
        text, sets, named tuples and other sequences as lists, mappings and pydantic models as
        dicts, numpy's arrays and scalars as Python's; not-a-time is None, as not-a-number is.

    Raises:
        Refused: There is none.
        Exception: Whatever the value's own methods raise.
    """
    if hasattr(type(value), "model_dump"):  # pydantic, without importing it
        return value.model_dump(mode="python")  # type: ignore[attr-defined]
    if hasattr(type(value), "tolist"):  # numpy and its kin, without importing them
        return _numpy_to_jsonable(value)
    if type(value).__name__ == "Fragment":  # orjson's own; asked about only if it is at fault
        raise Refused("it must hold JSON without line breaks; pass orjson.loads(text) instead")
    raise Refused("pass a str, number, bool, None, list, or dict instead")


@to_jsonable.register(Decimal)
@to_jsonable.register(PurePath)
@to_jsonable.register(UUID)
def _as_text(value: object) -> str:
    return str(value)


@to_jsonable.register(Set)
@to_jsonable.register(Sequence)  # named tuples, ranges
@to_jsonable.register(ValuesView)
@to_jsonable.register(deque)
def _as_list(value: Set[object] | Sequence[object]) -> list[object]:
    return list(value)


@to_jsonable.register(Mapping)
def _as_dict(value: Mapping[object, object]) -> dict[object, object]:
    return dict(value)


@to_jsonable.register(float)  # orjson takes subclasses of str and int, but not of float
def _as_float(value: float) -> float:
    return float(value)


@to_jsonable.register(datetime)  # subclasses: pandas.Timestamp keeps its nanoseconds so
@to_jsonable.register(date)
def _as_iso(value: date) -> str | None:
    return value.isoformat() if is_equal_to_itself(value) else None  # pandas.NaT is not


@to_jsonable.register(time)
def _refuse_time(value: time) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    raise Refused("a time of day with a zone is ambiguous: pass its isoformat(), or a datetime")


@to_jsonable.register(timedelta)
def _refuse_timedelta(_value: timedelta) -> object:
    raise Refused("pass its total_seconds()")


@to_jsonable.register(bytes)
@to_jsonable.register(bytearray)
@to_jsonable.register(memoryview)
def _refuse_bytes(_value: bytes) -> object:
    raise Refused("decode it or encode it as base64 text")


def _numpy_to_jsonable(value: Any) -> object:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in {"M", "m"}:  # tolist() makes bare integers of nanoseconds
        return list(value) if value.shape else _numpy_time_to_jsonable(value, kind)
    plain = value.tolist()
    is_unchanged: bool = type(plain) is type(value)  # so it is for longdouble
    return float(plain) if is_unchanged else plain


def _numpy_time_to_jsonable(value: Any, kind: str) -> object:
    if not is_equal_to_itself(value):
        return None
    if kind == "m":
        raise Refused("pass its seconds: value / numpy.timedelta64(1, 's')")
    return value.astype("datetime64[us]").item()  # as precise as orjson writes it


def is_equal_to_itself(value: object) -> bool:
    """Tell a value from the not-a-time of pandas or numpy, which equals nothing."""
    return bool(value == value)
