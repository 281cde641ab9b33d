"""The table of flights: each row becomes one action.

    2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
    {"key":"departure","user_key":"N14228","is_anonymous_user":false,
     "timestamp":"2013-01-01T05:15:00-05:00",
     "metadata":{"row":1,"carrier":"UA","flight":1545,"origin":"EWR","dest":"IAH",…}}

The timestamp is the scheduled time, which seven of the columns contain. `row` is the number of the
row in the table, which identifies a flight in an audit.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Final

from dataart_mp.cli.nycflights.archive import Archive, ArchiveError
from dataart_mp.table.event import Action

TOTAL: Final = 336_776
"""Number of flights in the table."""

_COLUMNS: Final = [
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time"),
    *("sched_arr_time", "arr_delay", "carrier", "flight", "tailnum", "origin", "dest"),
    *("air_time", "distance", "hour", "minute", "time_hour"),
]
_SCHEDULE: Final = ("year", "month", "day", "hour", "minute")
_MISSING: Final = "NA"
# By the number of hours that New York is behind UTC: 4 in summer, 5 in winter.
_ZONES: Final = {behind: timezone(timedelta(hours=-behind)) for behind in (4, 5)}


def read_flights(archive: Archive) -> Iterator[Action]:
    """Read all flights, in the order of the table.

    Raises:
        ArchiveError: The table has other columns or another number of rows than expected.
    """
    rows = archive.rows()
    header = next(rows, [])
    if header != _COLUMNS:
        raise ArchiveError(f"{archive.path}: the table has the columns {header}, not {_COLUMNS}")
    number = 0
    for number, row in enumerate(rows, start=1):
        yield action_of(number, row)
    if number != TOTAL:
        raise ArchiveError(f"{archive.path}: the table has {number:,} rows, not {TOTAL:,}")


def spread(flights: Iterable[Action], count: int, total: int = TOTAL) -> Iterator[Action]:
    """Choose some flights, always the same ones, spread evenly over all flights.

    Args:
        flights: The flights to choose from.
        count: Number of flights to choose.
        total: Number of flights to choose from.
    """
    return (flight for index, flight in enumerate(flights) if index * count % total < count)


def action_of(number: int, row: list[str]) -> Action:
    """Convert one row of the table to an action.

    Args:
        number: The row's number, counted from 1.
        row: The cells of the row.
    """
    flight = dict(zip(_COLUMNS, row, strict=True))
    is_anonymous = flight["tailnum"] == _MISSING
    return Action(
        key="cancelled" if flight["dep_time"] == _MISSING else "departure",
        user_key=_anonymous_key(flight) if is_anonymous else flight["tailnum"],
        is_anonymous_user=is_anonymous,
        timestamp=_scheduled(flight),
        metadata={
            "row": number,
            "carrier": flight["carrier"],
            "flight": int(flight["flight"]),
            "origin": flight["origin"],
            "dest": flight["dest"],
            "distance": int(flight["distance"]),
            "dep_time": _integer(flight["dep_time"]),
            "dep_delay": _integer(flight["dep_delay"]),
            "sched_arr_time": int(flight["sched_arr_time"]),
            "arr_time": _integer(flight["arr_time"]),
            "arr_delay": _integer(flight["arr_delay"]),
            "air_time": _integer(flight["air_time"]),
        },
    )


def _anonymous_key(flight: dict[str, str]) -> str:
    return f"anonymous-{flight['carrier']}-{flight['flight']}"


def _scheduled(flight: dict[str, str]) -> datetime:
    year, month, day, hour, minute = (int(flight[column]) for column in _SCHEDULE)
    return datetime(year, month, day, hour, minute, tzinfo=_zone(hour, flight["time_hour"]))


def _integer(text: str) -> int | None:
    return None if text == _MISSING else int(text)


def _zone(hour: int, time_hour: str) -> timezone:
    """Return the zone of a flight, from its local hour and the same hour in UTC.

    No database of time zones is needed, which a small container may not have.
    """
    utc_hour = int(time_hour[len("2013-01-01T") :][:2])
    return _ZONES[(utc_hour - hour) % 24]
