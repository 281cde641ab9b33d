"""The rows of a record batch, as Python values."""

from typing import Any

from dataart_mp.errors import EventError
from dataart_mp.table.nanoseconds import from_nanoseconds
from dataart_mp.table.terms import Terms

Fields = dict[str, Any]
"""The values of a row, by column."""


class UnreadableError(EventError):
    """Python cannot represent a value of a row, such as a date after the year 9999.

    Attributes:
        column: The column of the value.
        problem: The message without the name of the column.
    """

    def __init__(self, problem: str, column: str) -> None:
        super().__init__(f"column {column!r}: {problem}")
        self.column = column
        self.problem = problem

    def __reduce__(self) -> tuple[type["UnreadableError"], tuple[str, str]]:
        return type(self), (self.problem, self.column)


def rows_of(batch: Any, terms: Terms) -> list[Fields | EventError]:
    """Convert a record batch to rows.

    Args:
        batch: A `pyarrow.RecordBatch`. Nanoseconds inside of lists and objects are truncated.
        terms: How messages name the options.

    Returns:
        The values of each row, or the reason why it cannot be read.
    """
    if not batch.columns:  # no column is needed: only the number of rows matters
        return [{} for _ in range(batch.num_rows)]
    columns = [_readable(array) for array in batch.columns]
    names = batch.schema.names
    try:
        values = [_values(array) for array in columns]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    except Exception:  # noqa: BLE001 - pyarrow raises many kinds of errors
        return [_row(names, columns, number, terms) for number in range(batch.num_rows)]


def to_microseconds(batch: Any) -> Any:
    """Truncate all nanoseconds in a record batch."""
    import pyarrow

    if not batch.columns:  # it would lose its number of rows
        return batch
    arrays = [_truncated(array) for array in batch.columns]
    return pyarrow.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _row(names: list[str], columns: list[Any], number: int, terms: Terms) -> Fields | EventError:
    """Convert one row of a batch, some rows of which cannot be converted."""
    fields: Fields = {}
    for name, array in zip(names, columns, strict=True):
        try:
            (fields[name],) = _values(array.slice(number, 1))
        except Exception as error:  # noqa: BLE001 - pyarrow raises many kinds of errors
            problem = f"the {array.type} of this row cannot be read: {error}"
            remedy = f"convert the column, or leave it out with {terms.metadata}"
            return UnreadableError(f"{problem}; {remedy}", name)
    return fields


def _values(array: Any) -> list[Any]:
    import pyarrow

    if not _has_nanoseconds(array.type):
        values: list[Any] = array.to_pylist()
        return values
    zone = None if array.type.tz is None else pyarrow.lib.string_to_tzinfo(array.type.tz)
    counts = array.cast(pyarrow.int64()).to_pylist()
    return [None if count is None else from_nanoseconds(count, zone) for count in counts]


def _has_nanoseconds(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_timestamp(kind) and kind.unit == "ns")


def _readable(array: Any) -> Any:
    """Return an array that Python can read without pandas, which nanoseconds would need."""
    return array if _has_nanoseconds(array.type) else _truncated(array)


def _truncated(array: Any) -> Any:
    import pyarrow

    target = _in_microseconds(array.type)
    if target.equals(array.type):
        return array
    try:
        return array.cast(target, safe=False)
    except pyarrow.ArrowException:  # only some of its rows may be unreadable
        return array


def _in_microseconds(kind: Any) -> Any:
    """Return the type with microseconds for nanoseconds, in lists and objects too."""
    import pyarrow
    from pyarrow import types

    if types.is_timestamp(kind) and kind.unit == "ns":
        return pyarrow.timestamp("us", kind.tz)
    if types.is_duration(kind) and kind.unit == "ns":
        return pyarrow.duration("us")
    if types.is_time64(kind) and kind.unit == "ns":
        return pyarrow.time64("us")
    if types.is_list(kind):
        return pyarrow.list_(kind.value_field.with_type(_in_microseconds(kind.value_type)))
    if types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return pyarrow.struct([one.with_type(_in_microseconds(one.type)) for one in fields])
    return kind
