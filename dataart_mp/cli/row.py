"""A row of input, where it stands, and how much of its file has been read with it."""

from typing import Any, NamedTuple

from dataart_mp.errors import EventError


class Position(NamedTuple):
    """How far a file has been read.

    Attributes:
        lines: Lines read, of a Parquet file rows.
        crc: CRC-32 of what was read, of a Parquet file that of its end: to tell later whether it
            is still the same file.
    """

    lines: int = 0
    crc: int = 0


class Row(NamedTuple):
    """One line of JSON Lines, or one row of a table.

    Attributes:
        file: The file's name, as the user gave it.
        number: Of its first line, of a Parquet file that of the row; counted from 1.
        after: How far the file has been read when this row is done with.
        content: A line of JSON, empty or not; a table's row by its columns; or why it is none.
    """

    file: str
    number: int
    after: Position
    content: bytes | dict[str, Any] | EventError

    @property
    def place(self) -> str:
        """Where it stands, as compilers and editors write it: `events.jsonl:17`."""
        return f"{self.file}:{self.number}"
