"""Validate and convert timestamps. Each one is sent with its UTC offset."""

import functools
import re
from collections import deque
from collections.abc import Sequence
from datetime import UTC, date, datetime, timezone
from types import MethodDescriptorType
from typing import Any, Final

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.jsonable import as_text, is_equal_to_itself, is_whole_minutes

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
# With all digits replaced by zeros, a text is its shape. Looking up a shape takes a quarter of the
# time of a regular expression.
_TO_SHAPE: Final = bytes.maketrans(b"123456789", b"000000000")
_SHAPES: Final = frozenset(
    b"0000-00-00T00:00:00" + fraction + offset
    for fraction in (b"", *(b"." + b"0" * digits for digits in range(1, 10)))
    for offset in (b"Z", b"+00:00", b"-00:00")
)
_parse: Final = datetime.fromisoformat


def _parses(text: str) -> bool:
    try:
        _parse(text)
    except ValueError:
        return False
    return True


# Newer Python versions accept hour 24 as midnight of the next day.
_READS_HOUR_24: Final = _parses("2021-05-04T24:00:00Z")
_FIX = "pass an aware datetime, such as datetime.now(timezone.utc)"


def to_timestamp(value: object) -> datetime | str:
    """Convert a caller's timestamp into one that orjson writes with its offset.

    Args:
        value: A datetime, in local time if it is naive; or RFC 3339 text with an offset, which is
            kept unchanged, nanoseconds included. The precision of a subclass of datetime is that
            of its `isoformat`.

    Returns:
        A plain aware datetime whose offset is in whole minutes and is known without calling Python
        code; or RFC 3339 text.

    Raises:
        EventError: The value is not a timestamp; the message says what to pass.
    """
    try:
        if isinstance(value, datetime):
            return _aware(value) if type(value) is datetime else _subclass_as_text(value)
        text = as_text(value)
    except EventError:
        raise
    except Exception as error:  # a time zone that raises, or a year that no time zone covers
        raise _error(value, "its UTC offset cannot be determined; pass it in UTC") from error
    if text is not None:
        return _checked_text(text)
    if isinstance(value, int | float):
        raise _error(value, "pass datetime.fromtimestamp(value, timezone.utc)")
    if isinstance(value, date):
        raise _error(value, "a date has no time of day; pass a datetime")
    raise _error(value, _FIX)


def _aware(value: datetime) -> datetime:
    offset = value.utcoffset()
    if offset is None:
        value = _in_local_zone(value)
        offset = value.utcoffset()
    if offset is None or not is_whole_minutes(offset):
        return value.astimezone(UTC)
    # orjson would ask the zone for the offset again. A method in Python may raise then, or a signal
    # handler during it, and orjson would crash.
    kind: Any = type(value.tzinfo)
    return value if kind is timezone or _is_native(kind) else value.replace(tzinfo=timezone(offset))


@functools.cache
def _is_native(kind: Any) -> bool:
    """Whether a class of time zones is ZoneInfo, implemented in C."""
    names = (kind.__module__, kind.__qualname__)
    return names == ("zoneinfo", "ZoneInfo") and isinstance(kind.utcoffset, MethodDescriptorType)


def _in_local_zone(value: datetime) -> datetime:
    """Return the instant of a naive datetime, with the local offset of that instant.

    Where a clock is set forward, there is no such time. Then the offset before is used or, with
    `fold=1`, the one after (PEP 495). `astimezone` would apply the other one.
    """
    naive = value if value.tzinfo is None else value.replace(tzinfo=None)
    local = naive.astimezone()
    if (local.minute, local.hour, local.day) == (naive.minute, naive.hour, naive.day):
        return local
    seconds = naive.replace(microsecond=0).timestamp()
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=value.microsecond).astimezone()


def _subclass_as_text(value: datetime) -> str:
    if not is_equal_to_itself(value):
        raise _error(value, "it is not a time; omit the timestamp, or the event")
    text = str.__str__(value.isoformat())
    plain = _plain(value)
    if value.utcoffset() is None:
        text += _local_offset(plain)
    return text if is_rfc_3339(text) else _aware(plain).isoformat()


def _local_offset(value: datetime) -> str:
    """Return the offset with which the wall-clock time of a naive datetime is its instant."""
    naive = value.replace(tzinfo=None, microsecond=0)
    instant = _in_local_zone(naive).astimezone(UTC).replace(tzinfo=None)
    offset = timezone(naive - instant)
    return naive.replace(tzinfo=offset).isoformat().removeprefix(naive.isoformat())


def _plain(value: datetime) -> datetime:
    return datetime(
        value.year,
        value.month,
        value.day,
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        tzinfo=value.tzinfo,
        fold=value.fold,
    )


def _checked_text(text: str) -> str:
    if not is_rfc_3339(text):
        problem = 'must be RFC 3339 with an offset, such as "2021-05-04T10:11:12.5+02:00"'
        raise _error(text, f"{problem}; or {_FIX}")
    return text


def is_rfc_3339(text: str) -> bool:
    """Whether a text is an RFC 3339 timestamp with an offset. Leap seconds are refused."""
    try:
        if text.encode().translate(_TO_SHAPE) not in _SHAPES and not _RFC_3339.fullmatch(text):
            return False
        _parse(text)
    except ValueError:  # an invalid date or time, or a lone surrogate
        return False
    if _READS_HOUR_24 and "T24" in text:
        return False
    return text[-2] < "6" or text[-1] == "Z"  # Python accepts 75 as the minutes of an offset


def are_rfc_3339(texts: Sequence[str]) -> bool:
    """Whether `is_rfc_3339` holds for each text; takes half the time if all have the same shape."""
    joined = "\n".join(texts) + "\n"
    try:
        shapes = joined.encode().translate(_TO_SHAPE)
        shape = shapes[: shapes.find(b"\n")]
        if shape not in _SHAPES or shapes != (shape + b"\n") * len(texts):
            return all(map(is_rfc_3339, texts))
        deque(map(_parse, texts), maxlen=0)
    except ValueError:
        return False
    if _READS_HOUR_24 and "T24" in joined:
        return False
    return shape.endswith(b"Z") or all([text[-2] < "6" for text in texts])  # noqa: C419 - faster


def _error(value: object, fix: str) -> EventError:
    kind = type(value).__name__
    return EventError(f"timestamp: {kind} ({short_repr(value)}) is refused; {fix}", "timestamp")
