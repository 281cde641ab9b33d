"""JSON text, read without rounding its integers."""

import json
from typing import Any, Final

import orjson

from dataart_mp.errors import EventError

# With all digits replaced by zeros, finding a long number is a search for a constant.
_TO_SHAPE: Final = bytes.maketrans(b"123456789", b"000000000")
_MAY_BE_WIDE: Final = b"0" * 19  # the digits of 2⁶³
_WIDE: Final = (b"0" * 20, b"-" + _MAY_BE_WIDE)


def read_json(text: bytes | str) -> Any:
    """Convert JSON text to a value.

    An integer that is wider than 64 bits stays exact: orjson alone would return the nearest float.
    The client then refuses it, if it is still an integer.

    Raises:
        EventError: The text is not JSON.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise EventError(f"not JSON: {error.msg} (column {error.colno})") from None
    content = text if isinstance(text, bytes) else text.encode()
    shape = content.translate(_TO_SHAPE)
    if _MAY_BE_WIDE in shape and any(wide in shape for wide in _WIDE):
        try:
            return json.loads(content)
        except RecursionError:  # orjson reads more levels
            raise EventError("not JSON: is nested too deeply") from None
    return value
