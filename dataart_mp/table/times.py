"""Columns of timestamps as text, as `isoformat` writes each.

    2013-01-01 │ T05:15:00 │ .123456 │ -05:00
    the day      the time    the       the offset; a column without a zone has none
                 of day      fraction

Each part has few different values, which are formatted once. `pyarrow.compute.strftime` takes two
microseconds for each row, and this a tenth of that.
"""

import functools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from dataart_mp.producer.jsonable import is_whole_minutes
from dataart_mp.producer.timestamp import to_timestamp
from dataart_mp.table.text import join

_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY: Final = 86_400
_HOUR: Final = 3600
_EPOCH: Final = date(1970, 1, 1).toordinal() - 1  # in days after the start of the year 1
_FIRST: Final = -_EPOCH * _DAY
_LAST: Final = date.max.toordinal() * _DAY - _EPOCH * _DAY - 1
_YEAR_1: Final = datetime(1, 1, 1)  # noqa: DTZ001 - a time of day without a zone
_ZONES_OF_UTC: Final = frozenset({"UTC", "Etc/UTC", "Z", "+00:00"})


_OffsetOf = Callable[[datetime, tzinfo | None], timedelta | None]


class Times(NamedTuple):
    """The texts of a column of timestamps.

    Attributes:
        texts: The parts of the text, one after the other: arrays of text, or texts.
        doubtful: Which rows must be converted one by one; an array, or None if there are none.
    """

    texts: tuple[Any, ...]
    doubtful: Any


class _Wall(NamedTuple):
    """Times of day, as a clock on the wall shows them.

    Attributes:
        seconds: Seconds after the start of the year 1.
        fraction: The rest, in the unit of the column.
        is_valid: Whether the year is between 1 and 9999; null where the time is.
    """

    seconds: Any
    fraction: Any
    is_valid: Any


def texts_of(array: Any) -> Times:
    """Return the texts of a column of timestamps.

    Args:
        array: Timestamps, in a zone or in none.

    Raises:
        pyarrow.ArrowException: The zone is unknown.
    """
    import pyarrow
    import pyarrow.compute as pc

    zone = array.type.tz
    if zone is None:
        wall = _wall(array)
        return Times(_clock(wall, array.type.unit), _doubt(wall.is_valid))
    utc = _wall(_without_zone(array))
    if zone in _ZONES_OF_UTC:
        return Times((*_clock(utc, array.type.unit), "+00:00"), _doubt(utc.is_valid))
    # Not `pyarrow.compute.local_timestamp`: after 2037 it knows no daylight saving time.
    offsets = _by_hour(utc.seconds, _offset_in_zone, pyarrow.lib.string_to_tzinfo(zone))
    wall = utc._replace(seconds=pc.add(utc.seconds, offsets))
    return _with_offsets(wall, offsets, array)


def texts_in_zone(array: Any, zone: tzinfo | None) -> Times:
    """Return the texts of a column of timestamps that have no zone, each with the zone's offset.

    Args:
        array: Timestamps in no zone.
        zone: Their zone; None: local time.
    """
    wall = _wall(array)
    return _with_offsets(wall, _by_hour(wall.seconds, _offset_of_wall, zone), array)


def _with_offsets(wall: _Wall, offsets: Any, array: Any) -> Times:
    import pyarrow.compute as pc

    is_valid = pc.and_(wall.is_valid, pc.or_(offsets.is_valid(), array.is_null()))
    return Times((*_clock(wall, array.type.unit), _names_of_offsets(offsets)), _doubt(is_valid))


def _by_hour(seconds: Any, offset_of: _OffsetOf, zone: tzinfo | None) -> Any:
    """Return the offset of each time in seconds; null where its hour has more than one."""
    import pyarrow
    import pyarrow.compute as pc

    hours = pc.divide(seconds, _HOUR).dictionary_encode()
    # `time.tzset` may change local time, and with it these names.
    local = (*time.tzname, time.timezone, time.altzone) if zone is None else None
    known = [_offset_of_hour(hour, offset_of, zone, local) for hour in hours.dictionary.to_pylist()]
    return pyarrow.array(known, pyarrow.int64()).take(hours.indices)


def _without_zone(array: Any) -> Any:
    import pyarrow

    return array.cast(pyarrow.int64()).cast(pyarrow.timestamp(array.type.unit))


def _wall(array: Any) -> _Wall:
    import pyarrow
    import pyarrow.compute as pc

    unit = _PER_SECOND[array.type.unit]
    ticks = array.cast(pyarrow.int64())
    seconds = pc.divide(ticks, unit)  # towards zero
    fraction = pc.subtract(ticks, pc.multiply(seconds, unit))
    is_before = pc.less(fraction, 0)
    if pc.any(is_before).as_py():
        seconds = pc.if_else(is_before, pc.subtract(seconds, 1), seconds)
        fraction = pc.if_else(is_before, pc.add(fraction, unit), fraction)
    is_valid = pc.and_(pc.greater_equal(seconds, _FIRST), pc.less_equal(seconds, _LAST))
    if not pc.all(is_valid).as_py():
        seconds = pc.if_else(is_valid, seconds, 0)
    return _Wall(pc.subtract(seconds, _FIRST), fraction, is_valid)


def _doubt(is_valid: Any) -> Any:
    import pyarrow.compute as pc

    return None if pc.all(is_valid).as_py() else pc.invert(is_valid)


def _clock(wall: _Wall, unit: str) -> tuple[Any, ...]:
    """Return the day, the time of day and the fraction as texts."""
    import pyarrow
    import pyarrow.compute as pc

    numbers = pc.divide(wall.seconds, _DAY)
    days = numbers.dictionary_encode()
    names = [_name_of_day(day) for day in days.dictionary.to_pylist()]
    second = pc.subtract(wall.seconds, pc.multiply(numbers, _DAY))
    texts = (
        pyarrow.array(names, pyarrow.large_string()).take(days.indices),
        _times_of_day().take(second),
    )
    return (*texts, *_fractions(wall.fraction, unit))


def _fractions(fraction: Any, unit: str) -> Iterator[Any]:
    """Yield the fractions of the seconds as texts, which are empty where there is none."""
    import pyarrow
    import pyarrow.compute as pc

    is_whole = pc.equal(fraction, 0)
    if pc.all(is_whole).as_py():
        return
    digits = 9 if unit == "ns" else 6
    scaled = pc.multiply(fraction, 10**digits // _PER_SECOND[unit])
    texts = pc.utf8_lpad(scaled.cast(pyarrow.large_string()), digits, "0")
    if unit == "ns":
        ends = pc.utf8_slice_codeunits(texts, 6)
        texts = pc.if_else(pc.equal(ends, "000"), pc.utf8_slice_codeunits(texts, 0, 6), texts)
    yield pc.if_else(is_whole, "", join([".", texts]))


def _names_of_offsets(seconds: Any) -> Any:
    import pyarrow

    different = seconds.dictionary_encode()
    names = [_name_of_offset(offset) for offset in different.dictionary.to_pylist()]
    return pyarrow.array(names, pyarrow.large_string()).take(different.indices)


@functools.lru_cache(4096)
def _name_of_day(number: int) -> str:
    return date.fromordinal(number + 1).isoformat()


@functools.cache
def _times_of_day() -> Any:
    import pyarrow

    sixty = [f"{number:02}" for number in range(60)]
    hours = [f"T{hour}:{minute}:" for hour in sixty[:24] for minute in sixty]
    texts = [f"{minute}{second}" for minute in hours for second in sixty]
    return pyarrow.array(texts, pyarrow.large_string())


def _name_of_offset(seconds: int) -> str:
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}"


@functools.lru_cache(65_536)
def _offset_of_hour(
    number: int, offset_of: _OffsetOf, zone: tzinfo | None, _local: object
) -> int | None:
    """Return the offset of all times in an hour, in seconds; None if they have several."""
    try:
        first = _YEAR_1 + timedelta(hours=number)
        last = first + timedelta(hours=1, microseconds=-1)
        offsets = {offset_of(moment, zone) for moment in (first, last)}
    except (OverflowError, ValueError):  # before the year 1 or after 9999
        return None
    offset = offsets.pop()
    return None if offsets or offset is None else int(offset.total_seconds())


def _offset_in_zone(moment: datetime, zone: tzinfo | None) -> timedelta | None:
    """Return the offset of a zone at a time in UTC; None if it has seconds."""
    offset = moment.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    return offset if offset is not None and is_whole_minutes(offset) else None


def _offset_of_wall(moment: datetime, zone: tzinfo | None) -> timedelta | None:
    """Return the offset of a zone at a time in it; None if there is no such time."""
    found = to_timestamp(moment.replace(tzinfo=zone))
    if not isinstance(found, datetime) or found.replace(tzinfo=None) != moment:
        return None  # the clock is set forward, or the offset has seconds
    return found.utcoffset()
