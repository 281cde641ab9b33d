"""The rows of a Parquet file, read with pyarrow."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.row import Position, Row

MAGIC: Final = b"PAR1"

_BATCH_ROWS: Final = 1000
# The end of the file holds the position of each column, and its smallest and largest values.
_END_BYTES: Final = 64 * 1024


class ParquetRows:
    """Reads the rows of one file, batch by batch.

    Args:
        file: The file's name.

    Attributes:
        columns: The column names.
        crc: CRC-32 of the file's end, which identifies the file: Parquet is written only once.
        total: Number of rows in the file.

    Raises:
        InputError: The file is not Parquet, or pyarrow is not installed.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._parquet = self._open()
        self.columns: list[str] = self._parquet.schema_arrow.names
        self.total: int = self._parquet.metadata.num_rows
        self.crc = _crc_of_end(Path(file))

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
                for fields in self._as_dicts(batch):
                    number += 1
                    if number > start:
                        yield Row(self._file, number, Position(number, self.crc), fields)
            else:
                number += batch.num_rows

    def _open(self) -> Any:
        try:
            from pyarrow import parquet
        except ModuleNotFoundError:
            remedy = "pip install 'dataart-mp[parquet]'"
            raise InputError(f"{self._file}: Parquet needs pyarrow: {remedy}") from None
        try:
            return parquet.ParquetFile(self._file)
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

    def _as_dicts(self, batch: Any) -> list[dict[str, Any]]:
        from pyarrow import ArrowException

        if not batch.columns:  # no column is needed: only the number of rows matters
            return [{} for _ in range(batch.num_rows)]
        try:
            rows: list[dict[str, Any]] = _to_microseconds(batch).to_pylist()
        except (ValueError, OverflowError, ArrowException) as error:
            raise self._damaged(error) from None
        return rows

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self._file}: is damaged, or not Parquet: {error}")


def _to_microseconds(batch: Any) -> Any:
    """Truncate nanoseconds: a datetime has none, and pandas may not be installed."""
    import pyarrow

    arrays = [
        array.cast(pyarrow.timestamp("us", array.type.tz), safe=False)
        if pyarrow.types.is_timestamp(array.type) and array.type.unit == "ns"
        else array
        for array in batch.columns
    ]
    return pyarrow.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _crc_of_end(path: Path) -> int:
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _END_BYTES))
        return zlib.crc32(stream.read(), size & 0xFFFFFFFF)
