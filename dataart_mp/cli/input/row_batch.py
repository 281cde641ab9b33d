"""Many rows of a Parquet file at once."""

from typing import Any, NamedTuple

from dataart_mp.cli.input.row import Position, Row
from dataart_mp.table.rows import rows_of
from dataart_mp.table.terms import Terms


class RowBatch(NamedTuple):
    """Rows that follow each other in a Parquet file.

    Attributes:
        file: The file's name, as the user gave it.
        before: Number of rows before the first one.
        crc: CRC-32 of the file's end.
        content: A `pyarrow.RecordBatch` without nanoseconds.
        terms: How messages name the options.
    """

    file: str
    before: int
    crc: int
    content: Any
    terms: Terms

    def position(self, rows: int) -> Position:
        """Return the position after so many rows of the batch."""
        return Position(self.before + rows, self.crc)

    def rows(self, first: int = 0, last: int | None = None) -> list[Row]:
        """Return the rows from one number to another, which is not included."""
        part = self.content.slice(first, None if last is None else last - first)
        contents = rows_of(part, self.terms)
        return [
            Row(self.file, self.before + number, self.position(number), content)
            for number, content in enumerate(contents, start=first + 1)
        ]
