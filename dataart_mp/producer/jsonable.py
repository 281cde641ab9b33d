"""Convert values that orjson cannot encode into values that it can."""

from collections import deque
from collections.abc import Mapping, Sequence, Set, ValuesView
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import singledispatch
from pathlib import PurePath
from typing import Any
from uuid import UUID


class Refused(TypeError):  # noqa: N818 - a result, not an error of the program
    """A value cannot be converted to JSON; the message says what to pass instead."""


@singledispatch
def to_jsonable(value: object) -> object:
    """Convert a value into one that orjson can encode. It is orjson's `default` hook.

    Args:
        value: A value that orjson cannot encode.

    Returns:
        An equal value or, where JSON has none, the closest one. Decimal, Path and pandas times
        become text; sets, named tuples and other sequences become lists; mappings and pydantic
        models become dicts; numpy arrays and scalars become Python values. NaT becomes None, as
        NaN does.

    Raises:
        Refused: There is no such value.
        Exception: A method of the value raised it.
    """
    if hasattr(type(value), "model_dump"):  # pydantic, without importing it
        return value.model_dump(mode="python")  # type: ignore[attr-defined]
    if hasattr(type(value), "tolist"):  # numpy and similar packages, without importing them
        return _numpy_to_jsonable(value)
    if type(value).__name__ == "Fragment":  # orjson.Fragment; only `locate` asks, for invalid ones
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


@to_jsonable.register(float)  # orjson encodes subclasses of str and int, but not of float
def _as_float(value: float) -> float:
    return float(value)


@to_jsonable.register(datetime)  # subclasses: this keeps the nanoseconds of pandas.Timestamp
@to_jsonable.register(date)
def _as_iso(value: date) -> str | None:
    return value.isoformat() if is_equal_to_itself(value) else None  # None for pandas.NaT


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
    if kind in {"M", "m"}:  # tolist() would return nanoseconds as plain integers
        return list(value) if value.shape else _numpy_time_to_jsonable(value, kind)
    plain = value.tolist()
    is_unchanged: bool = type(plain) is type(value)  # true for longdouble
    return float(plain) if is_unchanged else plain


def _numpy_time_to_jsonable(value: Any, kind: str) -> object:
    if not is_equal_to_itself(value):
        return None
    if kind == "m":
        raise Refused("pass its seconds: value / numpy.timedelta64(1, 's')")
    return value.astype("datetime64[us]").item()  # orjson writes microseconds


def is_equal_to_itself(value: object) -> bool:
    """Return False for the NaT of pandas and numpy, which is not equal to itself."""
    return bool(value == value)
