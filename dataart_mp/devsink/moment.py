"""What the protocol takes for a timestamp: RFC 3339 with an offset, up to nanoseconds."""

from __future__ import annotations

import re
from datetime import date

from dataart_mp.devsink.rejection import shown

# Stricter than RFC 3339 in what no client of the platform sends and Go cannot read:
# lower-case t and z, a space instead of the T, leap seconds, more than nine digits.
_RFC_3339 = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch

_EXAMPLE = "2021-05-04T10:11:12.123456789+02:00"


def moment_problem(value: object) -> str | None:
    """What keeps a value from being a timestamp; None if it is one."""
    if type(value) is not str:
        return f"must be a string like {_EXAMPLE}, not {shown(value)}"
    if _RFC_3339(value) is None:
        return f"{shown(value)} is not RFC 3339 with an offset, like {_EXAMPLE}"
    try:
        date.fromisoformat(value[:10])
    except ValueError as error:
        return f"{shown(value)} is no date: {error}"
    return None
