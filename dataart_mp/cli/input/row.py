"""A row of input, its position in its file, and the event in it."""

from typing import Any, NamedTuple, assert_never

from dataart_mp.cli.input.event_line import parse_event, parse_object
from dataart_mp.errors import EventError
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.event import Action, Identity


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


def event_of(row: Row, columns: ColumnMap) -> Action | Identity | None:
    """Convert a row to an event.

    Args:
        row: The row.
        columns: The mapping of its columns.

    Returns:
        The event, whose values the client checks; None: the row is an empty line.

    Raises:
        EventError: The row is not an event; the message says why.
    """
    match row.content:
        case bytes() as line if line.isspace() or not line:  # or a byte order mark only
            return None
        case bytes() as line:
            return parse_event(line) if columns.is_plain else columns.event_of(parse_object(line))
        case dict() as fields:
            return columns.event_of(fields)
        case EventError() as error:
            raise error
        case _:
            assert_never(row.content)
