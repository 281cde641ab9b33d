"""A row of input, and its position in its file."""

from typing import Any, NamedTuple

from dataart_mp.errors import EventError


class Position(NamedTuple):
    """How far a file has been read.

    Attributes:
        lines: Number of lines read; of a Parquet file, number of rows.
        crc: CRC-32 of the lines read; of a Parquet file, CRC-32 of the file's end. It detects later
            whether the file has changed.
    """

    lines: int = 0
    crc: int = 0


class Row(NamedTuple):
    """One line of JSON Lines, or one row of a table.

    Attributes:
        file: The file's name, as the user gave it.
        number: Number of the row's first line, counted from 1; of a Parquet file, of the row.
        after: The position in the file after this row.
        content: A line of JSON, which may be empty; the values of a table's row by column; or the
            reason why the row cannot be read.
    """

    file: str
    number: int
    after: Position
    content: bytes | dict[str, Any] | EventError

    @property
    def place(self) -> str:
        """The file and line, as compilers and editors write them: `events.jsonl:17`."""
        return f"{self.file}:{self.number}"
