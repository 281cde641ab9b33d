"""How a column writes moments."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.timestamp import to_timestamp

RFC_3339: Final = "rfc3339"
UNIX: Final = {"unix": 1, "unix-ms": 10**3, "unix-us": 10**6, "unix-ns": 10**9}
"""Names of counts since 1970, with their ticks per second."""

_PATTERN: Final = "%d.%m.%Y %H:%M"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TimeFormat:
    """Reads moments.

    Attributes:
        format: `rfc3339`, a name in UNIX, or a pattern of `strptime` (`%d.%m.%Y %H:%M`).
        zone: That of a time without an offset; None: such a time is refused.
    """

    format: str = RFC_3339
    zone: tzinfo | None = None

    def __post_init__(self) -> None:
        if self.format == RFC_3339 or self.format in UNIX:
            return
        if "%" not in self.format:
            names = ", ".join([RFC_3339, *UNIX])
            raise ValueError(f"must be {names}, or a pattern such as {_PATTERN!r}")
        _try_out(self.format)

    def read(self, value: Any) -> datetime | str:
        """Make a moment of a cell.

        Raises:
            EventError: It is none.
        """
        if isinstance(value, datetime):
            return self._with_zone(value, value)
        if self.format in UNIX:
            return _since_1970(value, UNIX[self.format])
        if not isinstance(value, str):
            names = ", ".join(UNIX)
            raise _refusal(value, f"of what unit is it? --timestamp-format: {names}")
        return self._read_rfc_3339(value) if self.format == RFC_3339 else self._read_pattern(value)

    def _read_rfc_3339(self, text: str) -> datetime | str:
        try:
            return to_timestamp(text)  # to the letter, and so to the nanosecond
        except EventError:
            pass
        try:
            return self._with_zone(datetime.fromisoformat(text), text)
        except ValueError as error:
            if isinstance(error, EventError):
                raise
            raise _refusal(text, "is no RFC 3339; say what it is by --timestamp-format") from None

    def _read_pattern(self, text: str) -> datetime:
        try:
            moment = datetime.strptime(text, self.format)  # noqa: DTZ007 - its zone comes below
        except ValueError:
            raise _refusal(text, f"does not fit --timestamp-format {self.format!r}") from None
        return self._with_zone(moment, text)

    def _with_zone(self, moment: datetime, shown: object) -> datetime:
        if moment.tzinfo is not None:
            return moment
        if self.zone is None:
            remedy = "has no offset; say where it is so late: --timezone UTC, or Europe/Vienna"
            raise _refusal(shown, remedy)
        return moment.replace(tzinfo=self.zone)


def _try_out(pattern: str) -> None:
    """Read by a pattern what was written by it: else each row would be refused, for its fault.

    Raises:
        ValueError: It cannot be read by.
    """
    try:
        datetime.strptime(_EPOCH.strftime(pattern), pattern)  # noqa: DTZ007 - it is thrown away
    except (ValueError, re.error) as error:  # the latter when a directive is there twice
        problem = f"{pattern!r} is no pattern that times can be read by: {error}"
        raise ValueError(f"{problem}; one would be {_PATTERN!r}") from None


def zone_of(name: str) -> tzinfo:
    """The zone of a name, such as `Europe/Vienna`.

    Raises:
        ValueError: There is none of that name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # a name may be a path that cannot be read
        raise ValueError(f"{name!r} is no time zone, such as Europe/Vienna") from None


def _since_1970(value: Any, ticks: int) -> datetime:
    try:
        count = Decimal(str(value))  # by its text: True is no count, and 0.1 is a tenth
        return _EPOCH + timedelta(microseconds=int(count * 1_000_000 / ticks))
    except (ArithmeticError, ValueError):
        raise _refusal(value, "is no count since 1970 in that unit") from None


def _refusal(value: object, remedy: str) -> EventError:
    return EventError(f"timestamp: {short_repr(value)} {remedy}", "timestamp")
