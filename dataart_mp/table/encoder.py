"""Record batches become records, column by column.

    {"key":"│departure│","user_key":"│N14228│",…,"metadata":{"carrier":"│UA│","flight":│1545│…}}
            └ column ─┘              └ column ┘                          └ column       └ column

What is between the columns is the same in each row. pyarrow joins the columns row by row, so no
Python code runs for a row. The records have the same bytes as those of `ColumnMap.event_of` and
`encode_action`, which decide about each row whose values may be invalid; only the text of a
`json_column` is written as it is.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from dataart_mp.producer.timestamp import are_rfc_3339, to_timestamp
from dataart_mp.table import column
from dataart_mp.table.cell import read_bool
from dataart_mp.table.column import Column
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.json_objects import json_objects
from dataart_mp.table.text import join
from dataart_mp.table.time_format import RFC_3339
from dataart_mp.table.times import texts_in_zone, texts_of

_NULL: Final = "null"
_NOTHING: Final = Column(("",))


class Lines(NamedTuple):
    """The records of a record batch.

    Attributes:
        memory: All records, one after the other, each with its newline.
        ends: Where each record begins, and at last where the last one ends, in bytes.
        doubtful: The numbers of the rows that must be converted one by one, in order; what `memory`
            contains of them is not a record.
    """

    memory: memoryview
    ends: memoryview
    doubtful: list[int]

    def between(self, first: int, last: int) -> memoryview:
        """Return the records from a row to another one, which is not included."""
        return self.memory[self.ends[first] : self.ends[last]]


class Encoder:
    """Encodes the rows of record batches that have the same columns.

    Args:
        columns: The mapping of the columns; its rows are actions.
        names: The names of the columns.
    """

    def __init__(self, columns: ColumnMap, names: list[str]) -> None:
        self._columns = columns
        self._entries = columns.entries(names)

    def encode(self, batch: Any) -> Lines:
        """Encode a record batch.

        Args:
            batch: A `pyarrow.RecordBatch` of one row or more.
        """
        import pyarrow

        fields = [*self._fields(batch)]
        parts = _merged(part for before, found in fields for part in (before, *found.parts))
        if len(parts) == 1:  # no column is used
            lines = pyarrow.array(parts * batch.num_rows, pyarrow.large_string())
        else:
            lines = join(parts, null=_NULL)
        _, ends, memory = lines.buffers()
        doubtful = column.numbers(found.doubtful for _, found in fields)
        return Lines(memoryview(memory), memoryview(ends).cast("q"), doubtful)

    def _fields(self, batch: Any) -> Iterator[tuple[str, Column]]:
        """Yield the text before each column, and the column."""
        yield '{"key":', self._key("key", batch)
        yield ',"user_key":', self._key("user_key", batch)
        yield ',"is_anonymous_user":', self._is_anonymous(batch)
        yield ',"timestamp":', self._timestamp(batch)
        if self._entries is None:
            yield ',"metadata":', self._object(batch)
            yield "}\n", _NOTHING
            return
        constants = self._columns.constant_metadata
        entries = {entry.name: entry for entry in self._entries}
        before = ',"metadata":{'
        for name in {**entries, **constants}:
            if name in constants:
                found = column.constant(constants[name])
            else:
                entry = entries[name]
                found = column.as_json(batch.column(entry.column), entry.kind)
            yield f"{before}{column.encoded(name)}:", found
            before = ","
        yield "}}\n" if before == "," else ',"metadata":null}\n', _NOTHING

    def _object(self, batch: Any) -> Column:
        """Return the column that holds all of the metadata."""
        if self._columns.json_column is not None:
            array = column.decoded(batch.column(self._columns.json_column))
            return json_objects(array) or column.all_doubtful(len(array))
        return column.by_value(batch.column("metadata"), self._columns.object_metadata)

    def _array(self, field: str, batch: Any) -> Any:
        """Return the column of a field; None if there is none."""
        name = self._columns.columns.get(field, field)
        return column.decoded(batch.column(name)) if name in batch.schema.names else None

    def _key(self, field: str, batch: Any) -> Column:
        if field in self._columns.constants:
            return column.constant(self._columns.constants[field])
        array = self._array(field, batch)
        return column.keys(array) or column.all_doubtful(len(array))

    def _is_anonymous(self, batch: Any) -> Column:
        constant = self._columns.constants.get("is_anonymous_user")
        if constant is not None:
            return column.constant(read_bool(constant))
        array = self._array("is_anonymous_user", batch)
        if array is None:
            return column.constant(False)
        return column.flags(array, read_bool)

    def _timestamp(self, batch: Any) -> Column:
        import pyarrow

        times = self._columns.times
        constant = self._columns.constants.get("timestamp")
        if constant is not None:
            return column.constant(to_timestamp(times.read(constant)))
        array = self._array("timestamp", batch)
        if array is None:
            return column.constant(datetime.now(UTC))
        try:
            found = self._times(array)
        except (pyarrow.ArrowException, ValueError):  # an unknown time zone, or invalid UTF-8
            found = None
        if found is None:
            return column.by_value(array, lambda value: to_timestamp(times.read(value)))
        return column.required(found, array)

    def _times(self, array: Any) -> Column | None:
        """Convert a column of timestamps; None if that must be done value by value."""
        from pyarrow import types

        times = self._columns.times
        if types.is_timestamp(array.type):
            if array.type.tz is not None:
                return column.quoted(*texts_of(array))
            if times.zone is not None or times.is_local:
                return column.quoted(*texts_in_zone(array, times.zone))
            return column.all_doubtful(len(array))
        if column.is_text(array.type) and times.format == RFC_3339:
            texts = column.as_large(array)
            known = texts.drop_null().to_pylist()
            if known and are_rfc_3339(known):
                return column.quoted([texts])
        return None


def _merged(parts: Iterable[Any]) -> list[Any]:
    """Join the texts that follow each other."""
    merged: list[Any] = []
    for part in parts:
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
