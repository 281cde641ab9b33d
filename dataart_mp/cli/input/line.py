"""The lines of a file, counted and checksummed while they are read."""

import codecs
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Self

from dataart_mp.cli.input.row import Position, Row
from dataart_mp.errors import EventError

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longer lines are refused: without a limit, a file without line ends would fill the memory."""


class Lines(Iterator[bytes]):
    """Reads a file line by line, each line as soon as it is available, with its line end.

    A line of MAX_LINE_BYTES or more is truncated to that length.

    Args:
        stream: The file.

    Attributes:
        number: Number of lines read so far.
        crc: CRC-32 of the lines read so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0
        self.crc = 0

    @property
    def position(self) -> Position:
        """The position after the last line that was read."""
        return Position(self.number, self.crc)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        content = self._stream.readline(MAX_LINE_BYTES)
        if not content:
            raise StopIteration
        self.number += 1
        self.crc = zlib.crc32(content, self.crc)
        if self.number == 1:
            # Windows programs write a byte order mark at the start of a file; JSON allows none.
            content = content.removeprefix(codecs.BOM_UTF8)
        if len(content) == MAX_LINE_BYTES:
            self._skip_rest(content)
        return content

    def skip_to(self, number: int) -> None:
        """Skip lines until this number of lines has been read, or the file ends."""
        while self.number < number and next(self, None) is not None:
            pass

    def _skip_rest(self, content: bytes) -> None:
        while content and not content.endswith(b"\n"):
            content = self._stream.readline(MAX_LINE_BYTES)


def rows_of_lines(file: str, lines: Lines) -> Iterator[Row]:
    """Make a row of each line of JSON Lines.

    Args:
        file: The file's name.
        lines: The lines that have not been read yet.
    """
    for content in lines:
        position = lines.position
        if len(content) >= MAX_LINE_BYTES:
            problem = EventError(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
            yield Row(file, position.lines, position, problem)
        else:
            yield Row(file, position.lines, position, content)
