"""Values in messages, as the user of a file knows them: as text, not as Python code."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from dataart_mp.errors import short_repr

_LIMIT: Final = 80


def shown(value: Any) -> str:
    """Return a value as it appears in a message, shortened.

    Text is quoted; objects and lists are JSON; times are ISO 8601; bytes are hexadecimal.
    """
    if value is None or isinstance(value, bool | dict | list):
        return _short(_as_json(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta | Decimal):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _short(f"0x{bytes(value[: _LIMIT // 2 + 1]).hex()}")
    return short_repr(value)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, default=shown)
    except (TypeError, ValueError, RecursionError):
        return short_repr(value)


def _short(text: str) -> str:
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"
