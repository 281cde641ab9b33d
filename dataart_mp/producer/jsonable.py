"""Convert values that JSON does not have into values that it has, one step at a time."""

import dataclasses
import re
from collections import UserString, deque
from collections.abc import Iterator, Mapping, Sequence, Set, ValuesView
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from pathlib import PurePath
from types import NoneType
from typing import Any, Final
from uuid import UUID

_NUMBERS: Final = "biuf"  # the kinds of numpy's numbers, bool included
_LONGDOUBLE: Final = "g"
_YEAR: Final = re.compile("-?[0-9]+")
_FIRST_YEAR, _LAST_YEAR = 1, 9999  # of `datetime`; numpy has others


class Refused(TypeError):  # noqa: N818 - a result, not an error of the program
    """A value cannot be converted to JSON; the message says what to pass instead."""


def to_jsonable(value: object) -> object:
    """Convert a value into text, a number, a list or a dict.

    Args:
        value: A value of another type than those, or of a subclass.

    Returns:
        An equal value or, where JSON has none, the closest one. Its parts, and the value itself if
        it is not of one of the types above, are converted by further calls. Times, Decimal, Path,
        UUID and everything that claims to be text become text; sets, named tuples and other
        sequences become lists; mappings, dataclasses and pydantic models become dicts; an enum
        becomes its value; numpy arrays and scalars become Python values. NaT and `pandas.NA`
        become None, as NaN does.

    Raises:
        Refused: There is no such value.
        Exception: A method of the value raised it.
    """
    # First, because an enum may also be a str or an int.
    return value.value if isinstance(value, Enum) else _convert(value)


def as_text(value: object) -> str | None:
    """Return the text that a value is or stands for; None if it is not text.

    Args:
        value: A str; an enum of texts; or a text-like object: a UserString, or the lazy proxy of a
            str, which says by `__class__` that it is one.

    Raises:
        Exception: A method of the value raised it.
    """
    if not isinstance(value, str | UserString):
        return None
    text = to_jsonable(value)
    return str.__str__(text) if isinstance(text, str) else None


def is_native_number(value: Any) -> bool:
    """Whether a value is a number or an array of numpy that orjson encodes without its methods."""
    kind = type(value)
    if kind.__module__ != "numpy":
        return False
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.kind not in _NUMBERS or dtype.char == _LONGDOUBLE:
        return False
    if kind.__name__ != "ndarray":
        return not hasattr(kind, "__array_finalize__")  # a scalar, and not an array's subclass
    return bool(value.shape and dtype.isnative and value.flags.c_contiguous)


@singledispatch
def _convert(value: object) -> object:
    kind = type(value)
    if hasattr(kind, "model_dump"):  # pydantic, without importing it
        return value.model_dump(mode="python")  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(kind):
        return dict(_attributes(value))
    if hasattr(kind, "tolist"):  # numpy and similar packages, without importing them
        return _numpy_to_jsonable(value)
    if kind.__name__ == "NAType":  # pandas.NA, which is neither true nor false nor equal to itself
        return None
    raise Refused("pass a str, number, bool, None, list, or dict instead")


@_convert.register(str)
def _as_exact_text(value: object) -> str:
    if type(value).__str__ is object.__str__:  # a proxy that shows its own address
        raise Refused("pass the text that it stands for")
    return _as_text(value)


@_convert.register(UserString)
@_convert.register(Decimal)
@_convert.register(PurePath)
@_convert.register(UUID)
def _as_text(value: object) -> str:
    return str.__str__(str(value))  # a `__str__` may return a subclass


# Subclasses, and proxies of such a value.


@_convert.register(bool)
def _as_bool(value: int) -> bool:
    return bool(value)


@_convert.register(int)
def _as_int(value: int) -> int:
    return int(value)


@_convert.register(float)
def _as_float(value: float) -> float:
    return float(value)


@_convert.register(NoneType)
def _as_none(_value: None) -> None:
    return None


@_convert.register(Set)
@_convert.register(Sequence)  # named tuples, ranges, subclasses of list
@_convert.register(ValuesView)
@_convert.register(deque)
def _as_list(value: Set[object] | Sequence[object]) -> list[object]:
    return list(value)


@_convert.register(Mapping)
def _as_dict(value: Mapping[object, object]) -> dict[object, object]:
    return dict(value)


@_convert.register(datetime)
def _as_time(value: datetime) -> str | None:
    if not is_equal_to_itself(value):
        return None
    offset = value.utcoffset()
    if offset is None or is_whole_minutes(offset):
        return str(value.isoformat())  # a subclass, such as pandas.Timestamp, has nanoseconds
    return value.astimezone(UTC).isoformat()


@_convert.register(date)
def _as_date(value: date) -> str | None:
    return value.isoformat() if is_equal_to_itself(value) else None


@_convert.register(time)
def _as_time_of_day(value: time) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    raise Refused("a time of day with a zone is ambiguous: pass its isoformat(), or a datetime")


@_convert.register(timedelta)
def _refuse_timedelta(_value: timedelta) -> object:
    raise Refused("pass its total_seconds()")


@_convert.register(bytes)
@_convert.register(bytearray)
@_convert.register(memoryview)
def _refuse_bytes(_value: bytes) -> object:
    raise Refused("decode it or encode it as base64 text")


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    """Yield the public fields of a dataclass, and then its other public attributes.

    Raises:
        AttributeError: The value has slots, and one of them is not set.
    """
    kept = dict(getattr(value, "__dict__", {}))
    has_slots = not hasattr(value, "__dict__")
    for field in dataclasses.fields(value):
        if field.name.startswith("_"):
            continue
        if has_slots or field.name in kept or hasattr(value, field.name):
            yield field.name, getattr(value, field.name)
        kept.pop(field.name, None)
    yield from ((name, kept[name]) for name in kept if not name.startswith("_"))


def _numpy_to_jsonable(value: Any) -> object:
    dtype: Any = getattr(value, "dtype", None)
    kind = getattr(dtype, "kind", "")
    if kind in {"M", "m"}:  # tolist() would return nanoseconds as plain integers
        return list(value) if value.shape else _numpy_time_to_jsonable(value, kind)
    if kind == "V" and getattr(dtype, "names", None):  # as above, for each field
        return list(value) if value.shape else [value[name] for name in dtype.names]
    plain = value.tolist()
    if type(plain) is not type(value):
        return plain
    if kind != "f":  # clongdouble has no Python value either, and float() would drop a part
        raise Refused("pass a str, number, bool, None, list, or dict instead")
    return _longdouble_to_float(plain)


def _longdouble_to_float(value: Any) -> float:
    number = float(value)
    if number in {float("inf"), float("-inf")} and number != value:
        raise Refused("it is too large for a float; pass it as text")
    return number


def _numpy_time_to_jsonable(value: Any, kind: str) -> object:
    if not is_equal_to_itself(value):
        return None
    if kind == "m":
        raise Refused("pass its seconds: value / numpy.timedelta64(1, 's')")
    year = int(_YEAR.match(str(value))[0])  # type: ignore[index]
    if _FIRST_YEAR <= year <= _LAST_YEAR:
        return value.astype("datetime64[us]").item().isoformat()
    seconds = value.astype("datetime64[s]")
    if seconds.astype(value.dtype) != value:
        raise Refused("the year is outside of 1 to 9999; pass it as text")
    return str(seconds)


def is_whole_minutes(offset: timedelta) -> bool:
    """Whether text can express an offset. Local mean time, before about 1900, has seconds."""
    return not offset.seconds % 60 and not offset.microseconds


def is_equal_to_itself(value: object) -> bool:
    """Return False for the NaT of pandas and numpy, which is not equal to itself."""
    return bool(value == value)
