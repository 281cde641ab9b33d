"""The rows of a Parquet file, read with pyarrow."""

import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.row import Position, Row
from dataart_mp.errors import EventError

MAGIC: Final = b"PAR1"

_BATCH_ROWS: Final = 1000
# The end of the file holds the position of each column, and its smallest and largest values.
_END_BYTES: Final = 64 * 1024


class ParquetRows:
    """Reads the rows of one file, batch by batch.

    A row with a value that Python cannot represent, such as a date after the year 9999, has an
    EventError as its content; reading continues after it.

    Args:
        file: The file's name.
        stream: The file; it can be read at any position.

    Attributes:
        columns: The column names.
        crc: CRC-32 of the file's end, which identifies the file: Parquet is written only once.
        total: Number of rows in the file.

    Raises:
        InputError: The file is not Parquet, or pyarrow is not installed.
    """

    def __init__(self, file: str, stream: BinaryIO) -> None:
        self._file = file
        self.crc = _crc_of_end(stream)
        self._parquet = self._open(stream)
        self.columns: list[str] = self._parquet.schema_arrow.names
        self.total: int = self._parquet.metadata.num_rows

    def rows(self, start: int, columns: list[str]) -> Iterator[Row]:
        """Read the rows from a position on.

        Args:
            start: Number of rows to skip.
            columns: The columns to read.

        Raises:
            InputError: The file is damaged.
        """
        number = 0
        for batch in self._batches(columns):
            if number + batch.num_rows > start:
                for fields in _contents(batch):
                    number += 1
                    if number > start:
                        yield Row(self._file, number, Position(number, self.crc), fields)
            else:
                number += batch.num_rows

    def _open(self, stream: BinaryIO) -> Any:
        try:
            from pyarrow import parquet
        except ModuleNotFoundError:
            remedy = "pip install 'dataart-mp[parquet]'"
            raise InputError(f"{self._file}: Parquet needs pyarrow: {remedy}") from None
        try:
            # In nanoseconds, old timestamps (INT96) outside the years 1678 to 2261 become others.
            return parquet.ParquetFile(stream, coerce_int96_timestamp_unit="us")
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            raise self._damaged(error) from None

    def _batches(self, columns: list[str]) -> Iterator[Any]:
        batches = self._parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, ValueError) as error:
                raise self._damaged(error) from None
            if batch is None:
                return
            yield batch

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._file}: is damaged, or not Parquet: {error}")


def _contents(batch: Any) -> list[dict[str, Any] | EventError]:
    if not batch.columns:  # no column is needed: only the number of rows matters
        return [{} for _ in range(batch.num_rows)]
    batch = _to_microseconds(batch)
    try:
        rows: list[dict[str, Any] | EventError] = batch.to_pylist()
    except Exception:  # noqa: BLE001 - pyarrow raises many kinds of errors
        return [_content(batch, number) for number in range(batch.num_rows)]
    return rows


def _content(batch: Any, number: int) -> dict[str, Any] | EventError:
    """Convert one row of a batch, some rows of which cannot be converted."""
    fields: dict[str, Any] = {}
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        try:
            fields[name] = array[number].as_py()
        except Exception as error:  # noqa: BLE001 - pyarrow raises many kinds of errors
            problem = f"the {array.type} of this row cannot be read: {error}"
            remedy = "convert the column, or leave it out with --metadata"
            return EventError(f"column {name!r}: {problem}; {remedy}")
    return fields


def _to_microseconds(batch: Any) -> Any:
    """Truncate nanoseconds: a datetime has none, and pandas may not be installed."""
    import pyarrow

    arrays = [_truncated(array) for array in batch.columns]
    return pyarrow.RecordBatch.from_arrays(arrays, names=batch.schema.names)


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


def _crc_of_end(stream: BinaryIO) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END_BYTES))
    return zlib.crc32(stream.read(), size & 0xFFFFFFFF)
