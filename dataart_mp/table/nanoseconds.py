"""Times with nanoseconds, which columns of Arrow have and Python's datetime has not."""

from datetime import UTC, datetime, tzinfo
from typing import Any, Self

_NANOSECONDS = 10**9


class PreciseTime(datetime):
    """A datetime whose `isoformat` has nine digits of the second, as that of a pandas Timestamp.

    The encoder writes a subclass of datetime as its `isoformat` does.

    Attributes:
        nanosecond: The nanoseconds of the second, which include the microseconds.
    """

    nanosecond: int

    @classmethod
    def of(cls, moment: datetime, nanosecond: int) -> Self:
        """Make a precise time of a datetime and the nanoseconds of its second."""
        day = (moment.year, moment.month, moment.day)
        clock = (moment.hour, moment.minute, moment.second, moment.microsecond)
        made = cls(*day, *clock, tzinfo=moment.tzinfo, fold=moment.fold)
        made.nanosecond = nanosecond
        return made

    def replace(self, *arguments: Any, **fields: Any) -> Self:
        """Return the time with other fields; the nanoseconds stay."""
        made = super().replace(*arguments, **fields)
        made.nanosecond = self.nanosecond
        return made

    def isoformat(self, sep: str = "T", _timespec: str = "nanoseconds") -> str:
        """Return the time with nanoseconds, and its UTC offset if it has a zone."""
        seconds = datetime.isoformat(self, sep, "seconds")
        wall = len(datetime.isoformat(datetime.replace(self, tzinfo=None), sep, "seconds"))
        return f"{seconds[:wall]}.{self.nanosecond:09}{seconds[wall:]}"


def from_nanoseconds(count: int, zone: tzinfo | None) -> datetime:
    """Return the time that is some nanoseconds after 1970.

    Args:
        count: Nanoseconds, in UTC if there is a zone.
        zone: The zone of the result; None: it has none.

    Returns:
        A plain datetime if the nanoseconds are whole microseconds, else a PreciseTime.
    """
    seconds, nanosecond = divmod(count, _NANOSECONDS)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanosecond // 1000)
    moment = moment.replace(tzinfo=None) if zone is None else moment.astimezone(zone)
    return PreciseTime.of(moment, nanosecond) if nanosecond % 1000 else moment
