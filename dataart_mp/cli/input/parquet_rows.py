"""The rows of a Parquet file, read with pyarrow."""

import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.row_batch import RowBatch
from dataart_mp.table.rows import to_microseconds
from dataart_mp.table.terms import Terms

MAGIC: Final = b"PAR1"

_BATCH_ROWS: Final = 4096
# The end of the file holds the position of each column, and its smallest and largest values.
_END_BYTES: Final = 64 * 1024


class ParquetRows:
    """Reads the rows of one file, batch by batch.

    A row with a value that Python cannot represent, such as a date after the year 9999, has an
    EventError as its content; reading continues after it.

    Args:
        file: The file's name.
        stream: The file; it can be read at any position.
        terms: How messages name the options.

    Attributes:
        columns: The column names.
        crc: CRC-32 of the file's end, which identifies the file: Parquet is written only once.
        total: Number of rows in the file.

    Raises:
        InputError: The file is not Parquet, or pyarrow is not installed.
    """

    def __init__(self, file: str, stream: BinaryIO, terms: Terms) -> None:
        self._file = file
        self._terms = terms
        self.crc = _crc_of_end(stream)
        self._parquet = self._open(stream)
        self.columns: list[str] = self._parquet.schema_arrow.names
        self.total: int = self._parquet.metadata.num_rows

    def batches(self, start: int, columns: list[str]) -> Iterator[RowBatch]:
        """Read the rows from a position on.

        Args:
            start: Number of rows to skip.
            columns: The columns to read.

        Raises:
            InputError: The file is damaged.
        """
        before = 0
        for batch in self._batches(columns):
            skipped = max(0, start - before)
            if skipped < batch.num_rows:
                content = to_microseconds(batch.slice(skipped))
                yield RowBatch(self._file, before + skipped, self.crc, content, self._terms)
            before += batch.num_rows

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


def _crc_of_end(stream: BinaryIO) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _END_BYTES))
    return zlib.crc32(stream.read(), size & 0xFFFFFFFF)
