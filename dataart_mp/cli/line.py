"""A line of a file, and where it stands."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes; no event may be so long. A file without line ends would fill the memory otherwise."""


class Line(NamedTuple):
    """One line of a file.

    Attributes:
        file: The file's name, as the user gave it.
        number: Counted from 1.
        content: With its line end; cut off, without one, at LONGEST_LINE.
    """

    file: str
    number: int
    content: bytes

    @property
    def place(self) -> str:
        """Where it stands, as compilers and editors write it: `events.jsonl:17`."""
        return f"{self.file}:{self.number}"


def lines_of(file: str, stream: BinaryIO) -> Iterator[Line]:
    """Read a file line by line, each as soon as it is there.

    Args:
        file: The file's name.
        stream: The file.
    """
    number = 0
    while content := stream.readline(LONGEST_LINE):
        number += 1
        if number == 1:
            # Windows programs put one at the start of a text file; JSON has none.
            content = content.removeprefix(codecs.BOM_UTF8)
        if len(content) == LONGEST_LINE:
            _skip_rest(content, stream)
        yield Line(file, number, content)


def _skip_rest(content: bytes, stream: BinaryIO) -> None:
    while content and not content.endswith(b"\n"):
        content = stream.readline(LONGEST_LINE)
