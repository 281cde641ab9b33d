"""A column of a record batch as JSON: the values of all its rows at once.

What takes long is done once for a column, or for each of its different values: look at the type,
check the range, find characters to escape. A type that is not handled here is converted value by
value, as the encoder of events does it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import orjson

from dataart_mp.errors import EventError
from dataart_mp.producer.plain import are_plain, encode_plain, to_plain
from dataart_mp.table.cell import read_cell
from dataart_mp.table.text import escaped, join
from dataart_mp.table.times import texts_of

_ENTRY: Final = "metadata"
_UNCHANGED: Final = {"text": "text", "int": "integer", "float": "float", "bool": "bool"}
"""The types of columns whose values the conversion to a type of CELL_TYPES does not change."""


class Column(NamedTuple):
    """The JSON of each row of a column.

    Attributes:
        parts: What it consists of: arrays of text, and texts that are the same in all rows. A null
            in an array that is the only part stands for null; other arrays have nulls in doubtful
            rows only.
        doubtful: Which rows must be converted one by one, because their value may be invalid; an
            array of bool, or None if there are none.
    """

    parts: tuple[Any, ...]
    doubtful: Any = None


# Columns of metadata


def as_json(array: Any, kind: str | None = None) -> Column:
    """Convert a column of metadata to JSON.

    Args:
        array: A `pyarrow.Array`.
        kind: The type that values are converted to, a name in CELL_TYPES; None: no conversion.
    """
    import pyarrow

    name = _name_of(array.type)
    convert = _CONVERSIONS.get(name)
    if convert is not None and (kind is None or _UNCHANGED.get(kind) == name):
        try:
            return _nullable(convert(array))
        except (pyarrow.ArrowException, ValueError, OverflowError):
            pass  # invalid UTF-8, an unknown time zone, or a value that Python cannot represent
    return by_value(array, lambda value: read_cell(value, kind))


def by_value(array: Any, read: Callable[[Any], Any]) -> Column:
    """Convert a column value by value.

    Args:
        array: A `pyarrow.Array`.
        read: Converts a value, or raises an exception; then its row is doubtful.
    """
    import pyarrow

    texts: list[str | None] = []
    doubtful: list[bool] = []
    for scalar in array:
        try:
            value = read(scalar.as_py())
            text = None if value is None else encoded(value)
        except Exception:  # noqa: BLE001 - pyarrow raises many kinds of errors
            texts.append(None)
            doubtful.append(True)
        else:
            texts.append(text)
            doubtful.append(False)
    return Column((pyarrow.array(texts, pyarrow.large_string()),), pyarrow.array(doubtful))


def constant(value: Any) -> Column:
    """Return a column with the same value in all rows."""
    return Column((encoded(value),))


def encoded(value: Any) -> str:
    """Return a value as JSON, as metadata contains it.

    Raises:
        EventError: The encoder of events refuses it.
        TypeError: It does not fit into JSON.
    """
    entry = {_ENTRY: value}
    plain = value if are_plain(entry) else to_plain(_ENTRY, value)
    text = encode_plain(plain)
    if b"\n" in text:  # an `orjson.Fragment`
        raise EventError(f"{_ENTRY}: contains a line break, which would end the record", _ENTRY)
    return text.decode()


# Columns of other fields


def keys(array: Any) -> Column | None:
    """Convert a column of keys, which are text or integers; None if it has another type."""
    import pyarrow
    import pyarrow.compute as pc

    name = _name_of(array.type)
    try:
        if name == "integer":
            return required(quoted([as_large(array)]), array)
        if name == "text":
            texts = as_large(array)
            is_empty = pc.equal(pc.binary_length(texts), 0)
            return quoted([escaped(texts)], pc.fill_null(is_empty, fill_value=True))
    except pyarrow.ArrowException:
        pass  # invalid UTF-8
    return None


def flags(array: Any, read: Callable[[Any], bool]) -> Column:
    """Convert a column of flags; null is false.

    Args:
        array: A `pyarrow.Array`.
        read: Converts a value that is neither a bool nor null.
    """
    import pyarrow.compute as pc

    if _name_of(array.type) == "bool":
        return _plain(pc.fill_null(array, fill_value=False))
    return by_value(array, lambda value: value is not None and read(value))


def quoted(texts: Iterable[Any], doubtful: Any = None) -> Column:
    """Return a column of texts that are written between quotes and need no escapes."""
    return Column(('"', *texts, '"'), doubtful)


def required(column: Column, array: Any) -> Column:
    """Return a column in which a row whose value is null is doubtful."""
    import pyarrow.compute as pc

    if not array.null_count:
        return column
    is_null = array.is_null()
    either = is_null if column.doubtful is None else pc.or_kleene(column.doubtful, is_null)
    return column._replace(doubtful=either)


def all_doubtful(rows: int) -> Column:
    """Return a column in which each row must be converted one by one."""
    import pyarrow

    return Column(("",), pyarrow.array([True] * rows))


def decoded(array: Any) -> Any:
    """Return a column without a dictionary, as categories have."""
    from pyarrow import types

    return array.dictionary_decode() if types.is_dictionary(array.type) else array


def is_text(kind: Any) -> bool:
    """Whether a type of Arrow is text."""
    return _name_of(kind) == "text"


def as_large(array: Any) -> Any:
    """Return values as an array of `large_string`, in which a text may begin at any position."""
    import pyarrow

    return array.cast(pyarrow.large_string())


def numbers(masks: Iterable[Any]) -> list[int]:
    """Return the numbers of the rows for which any of some masks is true."""
    import pyarrow.compute as pc

    found: set[int] = set()
    for mask in masks:
        if mask is not None and mask.true_count:
            found.update(pc.indices_nonzero(mask).to_pylist())
    return sorted(found)


# Conversions, by the name of a type


def _nullable(column: Column) -> Column:
    """Return a column whose JSON is null where an array has a null."""
    arrays = [part for part in column.parts if not isinstance(part, str)]
    if len(column.parts) == 1 or not any(array.null_count for array in arrays):
        return column
    return column._replace(parts=(join(column.parts),))


def _plain(array: Any) -> Column:
    return Column((as_large(array),))


def _texts(array: Any) -> Column:
    return quoted([escaped(as_large(array))])


def _null(array: Any) -> Column:
    import pyarrow

    return Column((pyarrow.nulls(len(array), pyarrow.large_string()),))


def _floats(array: Any) -> Column:
    """Convert floats: orjson writes all of them as one array, and NaN as null."""
    import pyarrow
    import pyarrow.compute as pc

    content = orjson.dumps(array.to_pylist())[1:-1].decode()
    return Column((pc.split_pattern(pyarrow.array([content]), ",").flatten().cast("large_string"),))


def _dates(array: Any) -> Column:
    import pyarrow

    different = array.dictionary_encode()
    names = [None if day is None else day.isoformat() for day in different.dictionary.to_pylist()]
    return quoted([pyarrow.array(names, pyarrow.large_string()).take(different.indices)])


def _timestamps(array: Any) -> Column:
    return quoted(*texts_of(array))


def _categories(array: Any) -> Column:
    import pyarrow

    names = as_json(array.dictionary)
    if names.doubtful is not None and names.doubtful.true_count:
        raise pyarrow.ArrowInvalid("a category may be invalid")
    return Column((join(names.parts).take(array.indices),))


_CONVERSIONS: Final[dict[str, Callable[[Any], Column]]] = {
    "text": _texts,
    "float": _floats,
    "integer": _plain,
    "bool": _plain,
    "timestamp": _timestamps,
    "date": _dates,
    "category": _categories,
    "null": _null,
}


def _name_of(kind: Any) -> str:
    """Return the name of a type in `_CONVERSIONS`; an empty text if it has none."""
    from pyarrow import types

    is_float = types.is_float64(kind) or types.is_float32(kind)
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    names = {
        "text": is_text,
        "float": is_float,
        "integer": types.is_integer(kind),
        "bool": types.is_boolean(kind),
        "timestamp": types.is_timestamp(kind),
        "date": types.is_date32(kind),
        "category": types.is_dictionary(kind),
        "null": types.is_null(kind),
    }
    return next((name for name, is_it in names.items() if is_it), "")
