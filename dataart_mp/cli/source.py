"""The files to ship, one after the other."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataart_mp.cli.line import Line, lines_of


class Source:
    """Reads files as if they were one.

    Args:
        names: The files' names; `-` is standard input.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None when one of them is no regular file."""
        sizes = [_size(name) for name in self._names]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    def lines(self) -> Iterator[Line]:
        """Read all lines.

        Raises:
            OSError: A file cannot be read.
        """
        for name in self._names:
            if name == "-":
                yield from lines_of("<stdin>", sys.stdin.buffer)
            else:
                with Path(name).open("rb") as stream:
                    yield from lines_of(name, stream)


def _size(name: str) -> int | None:
    found = os.fstat(sys.stdin.fileno()) if name == "-" else Path(name).stat()
    return found.st_size if stat.S_ISREG(found.st_mode) else None
