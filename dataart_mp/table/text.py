"""Columns of text: join them row by row, and write them as JSON."""

from collections.abc import Iterable
from typing import Any, Final

import orjson

_ESCAPED: Final = bytes(range(0x20)) + b'"\\'


def join(parts: Iterable[Any], null: str | None = None) -> Any:
    """Join columns of text row by row.

    Args:
        parts: Arrays of `large_string`, and texts that are the same in all rows.
        null: What stands for null; None: a row with a null is null.

    Returns:
        An array of `large_string`.
    """
    import pyarrow
    import pyarrow.compute as pc

    kind = pyarrow.large_string()
    given = [pyarrow.scalar(part, kind) if isinstance(part, str) else part for part in parts]
    handling = {"null_handling": "emit_null" if null is None else "replace"}
    options = pc.JoinOptions(**handling, null_replacement=null or "")
    empty = pyarrow.scalar("", kind)
    return pc.call_function("binary_join_element_wise", [*given, empty], options)


def escaped(array: Any) -> Any:
    """Return texts as they are between the quotes of a JSON string.

    Args:
        array: An array of `large_string`.

    Returns:
        An array of `large_string`; null where the text is null.

    Raises:
        pyarrow.ArrowInvalid: A text is not UTF-8.
    """
    import pyarrow

    array.validate(full=True)
    if not _has_escaped(array):
        return array
    texts = [
        None if text is None else orjson.dumps(text)[1:-1].decode() for text in array.to_pylist()
    ]
    return pyarrow.array(texts, pyarrow.large_string())


def _has_escaped(array: Any) -> bool:
    """Whether JSON escapes a character of one of the texts; a look at all bytes at once."""
    _, ends, data = array.buffers()
    if data is None or not len(array):
        return False
    offsets = memoryview(ends).cast("q")
    first, last = offsets[array.offset], offsets[array.offset + len(array)]
    content = bytes(memoryview(data)[first:last])
    return len(content.translate(None, _ESCAPED)) != len(content)
