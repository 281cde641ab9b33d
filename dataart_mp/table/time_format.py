"""The format of the timestamps in a column."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from dataart_mp.errors import EventError
from dataart_mp.producer.timestamp import to_timestamp
from dataart_mp.table.shown import shown
from dataart_mp.table.terms import Terms

RFC_3339: Final = "rfc3339"
UNIX: Final = {"unix": 1, "unix-ms": 10**3, "unix-us": 10**6, "unix-ns": 10**9}
"""Names of Unix time in various units, with the number of units per second."""

_PATTERN: Final = "%d.%m.%Y %H:%M"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TimeFormat:
    """Reads timestamps.

    Attributes:
        format: `rfc3339`, a name in UNIX, or a `strptime` pattern such as `%d.%m.%Y %H:%M`.
        zone: The zone of a time without a UTC offset; None: such a time is refused.
        is_local: Whether a datetime without a UTC offset is local time, if there is no zone.
        terms: How messages name the options.

    Raises:
        ValueError: The format is none of these.
    """

    format: str = RFC_3339
    zone: tzinfo | None = None
    is_local: bool = False
    terms: Terms = field(default_factory=Terms, compare=False)

    def __post_init__(self) -> None:
        if self.format == RFC_3339 or self.format in UNIX:
            return
        if "%" not in self.format:
            names = ", ".join([RFC_3339, *UNIX])
            raise ValueError(f"must be {names}, or a pattern such as {_PATTERN!r}")
        _check_pattern(self.format)

    def read(self, value: Any) -> datetime | str:
        """Convert a cell to a timestamp.

        Args:
            value: The cell; it is not empty.

        Raises:
            EventError: The cell is not a timestamp of this format, or has no UTC offset.
        """
        if isinstance(value, datetime):
            return self._with_zone(value, value)
        if isinstance(value, date):
            return self._with_zone(datetime.combine(value, time()), value)
        if self.format in UNIX:
            return self._from_unix(value, UNIX[self.format])
        if not isinstance(value, str):
            units = ", ".join(UNIX)
            raise _refusal(value, f"is not text; {self.terms.convert_time} to its unit: {units}")
        return self._read_rfc_3339(value) if self.format == RFC_3339 else self._read_pattern(value)

    def _read_rfc_3339(self, text: str) -> datetime | str:
        try:
            return to_timestamp(text)  # keeps the text, and so its nanoseconds
        except EventError:
            pass
        try:
            return self._with_zone(datetime.fromisoformat(text), text)
        except ValueError as error:
            if isinstance(error, EventError):
                raise
            raise _refusal(text, f"is not RFC 3339; {self.terms.convert_time}") from None

    def _read_pattern(self, text: str) -> datetime:
        try:
            moment = datetime.strptime(text, self.format)  # noqa: DTZ007 - its zone comes below
        except ValueError:
            problem = f"does not match {self.terms.timestamp_format} {self.format!r}"
            raise _refusal(text, problem) from None
        return self._with_zone(moment, text)

    def _with_zone(self, moment: datetime, original: object) -> datetime:
        if moment.tzinfo is not None:
            return moment
        if self.zone is not None:
            return moment.replace(tzinfo=self.zone)
        if self.is_local and isinstance(original, datetime):
            return moment
        remedy = f"set {self.terms.timezone}, for example UTC"
        raise _refusal(original, f"has no UTC offset; {remedy}")

    def _from_unix(self, value: Any, units_per_second: int) -> datetime:
        try:
            count = Decimal(str(value))  # via text: refuses True, and reads 0.1 as exactly a tenth
            return _EPOCH + timedelta(microseconds=int(count * 1_000_000 / units_per_second))
        except (ArithmeticError, ValueError):
            problem = f"is not Unix time in the unit of {self.terms.timestamp_format}"
            raise _refusal(value, problem) from None


def _check_pattern(pattern: str) -> None:
    """Check that the pattern reads what it writes: otherwise it would refuse every row.

    Raises:
        ValueError: It does not.
    """
    try:
        datetime.strptime(_EPOCH.strftime(pattern), pattern)  # noqa: DTZ007 - it is discarded
    except (ValueError, re.error) as error:  # re.error: a directive is repeated
        problem = f"{pattern!r} is not a pattern that can read times: {error}"
        raise ValueError(f"{problem}; an example is {_PATTERN!r}") from None


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a name, such as `Europe/Vienna`.

    Raises:
        ValueError: There is no zone of that name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # OSError: the name is a path
        raise ValueError(f"{name!r} is not a time zone; an example is Europe/Vienna") from None


def _refusal(value: object, problem: str) -> EventError:
    return EventError(f"timestamp: {shown(value)} {problem}", "timestamp")
