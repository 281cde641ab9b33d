"""The lines of a file, counted and summed up while they are read."""

import codecs
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Self

from dataart_mp.cli.row import Position, Row
from dataart_mp.errors import EventError

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes; no event may be so long. A file without line ends would fill the memory otherwise."""


class Lines(Iterator[bytes]):
    """Reads a file line by line, each as soon as it is there, with its line end.

    A line of LONGEST_LINE or more is cut off there, without an end.

    Args:
        stream: The file.

    Attributes:
        number: Lines read so far.
        crc: CRC-32 of them.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0
        self.crc = 0

    @property
    def position(self) -> Position:
        """How far it has come."""
        return Position(self.number, self.crc)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        content = self._stream.readline(LONGEST_LINE)
        if not content:
            raise StopIteration
        self.number += 1
        self.crc = zlib.crc32(content, self.crc)
        if self.number == 1:
            # Windows programs put one at the start of a text file; JSON has none.
            content = content.removeprefix(codecs.BOM_UTF8)
        if len(content) == LONGEST_LINE:
            self._skip_rest(content)
        return content

    def skip_to(self, number: int) -> None:
        """Pass over lines until so many have been read, or the file ends."""
        while self.number < number and next(self, None) is not None:
            pass

    def _skip_rest(self, content: bytes) -> None:
        while content and not content.endswith(b"\n"):
            content = self._stream.readline(LONGEST_LINE)


def rows_of_lines(file: str, lines: Lines) -> Iterator[Row]:
    """Make a row of each line of JSON Lines.

    Args:
        file: The file's name.
        lines: Its lines, those that come.
    """
    for content in lines:
        position = lines.position
        if len(content) >= LONGEST_LINE:
            problem = EventError(f"the line is longer than {LONGEST_LINE:,} bytes")
            yield Row(file, position.lines, position, problem)
        else:
            yield Row(file, position.lines, position, content)
