"""Timestamps of the protocol: RFC 3339 with a UTC offset and up to nine fractional digits."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from dataart_mp.devsink.http.rejection import shown
from dataart_mp.devsink.protocol.field import Field

# Stricter than RFC 3339 in what no client of the platform sends and Go cannot parse: lower-case
# t and z, a space instead of the T, leap seconds, more than nine fractional digits.
_RFC_3339 = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_EXAMPLE: Final = "2021-05-04T10:11:12.123456789+02:00"

# The same for JSON Schema, which has only the pattern to exclude days that do not exist.
_YEAR: Final = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR: Final = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][48]|[2468]0|[13579][26])00)"
_DAY: Final = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP_YEAR}-02-29)"
)
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
_OFFSET: Final = "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"


def timestamp_problem(value: object) -> str | None:
    """Return why a value is not a timestamp; None if it is one."""
    if type(value) is not str:
        return f"must be a string like {_EXAMPLE}, not {shown(value)}"
    if _RFC_3339(value) is None:
        return f"{shown(value)} is not RFC 3339 with an offset, like {_EXAMPLE}"
    try:
        date.fromisoformat(value[:10])
    except ValueError as error:
        return f"{shown(value)} is not a date: {error}"
    return None


TIMESTAMP: Final = Field(
    {
        "type": "string",
        "pattern": f"^{_DAY}T{_TIME}{_OFFSET}$",
        "description": "RFC 3339 with a UTC offset and up to nine fractional digits.",
    },
    timestamp_problem,
)
