"""The rows of a CSV file, as its first line names their columns."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dataart_mp.cli.input_error import InputError
from dataart_mp.cli.line import LONGEST_LINE, Lines
from dataart_mp.cli.row import Row
from dataart_mp.errors import EventError

_ASCII: Final = '",;\t\r\n'
_ESCAPES: Final = b"\\u +A-!"  # text, but where they are the start of something else
_ERRORS: Final = "surrogateescape"


@dataclass(frozen=True)
class CsvDialect:
    r"""How a CSV file is written.

    Attributes:
        delimiter: What stands between two columns; None: a comma, a tab in `*.tsv`.
        encoding: A codec of Python's in which ASCII is ASCII.
        columns: Their names, where the first line holds none.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        try:
            is_ascii = _ASCII.encode(self.codec) == _ASCII.encode("ascii")
            _ASCII.encode("ascii").decode(self.codec, _ERRORS)
        except (LookupError, UnicodeError):
            raise ValueError(f"{self.encoding!r} is no encoding that Python knows") from None
        remedy = f"convert it: iconv -f {self.encoding} -t utf-8 FILE | … -"
        if not is_ascii:
            raise ValueError(f"{self.encoding!r} has no lines of bytes; {remedy}")
        try:
            _ESCAPES.decode(self.codec, _ERRORS)
        except UnicodeError:
            raise ValueError(f"{self.encoding!r} is no encoding of lines; {remedy}") from None

    @property
    def codec(self) -> str:
        """What decodes a line: a mark at the start of the file is taken away before."""
        return "utf-8" if codecs.lookup(self.encoding).name == "utf-8-sig" else self.encoding


class CsvRows:
    """Reads the rows of one file.

    An empty cell is None. A row that does not fit is an EventError with its line, and no end.

    Args:
        file: The file's name.
        lines: Its lines, from the first one on.
        dialect: How it is written.
        delimiter: What stands between two columns, if the dialect does not tell.

    Attributes:
        columns: The columns' names.

    Raises:
        InputError: The first line holds no names.
    """

    def __init__(self, file: str, lines: Lines, dialect: CsvDialect, delimiter: str = ",") -> None:
        self._file = file
        self._lines = lines
        self._codec = dialect.codec
        # The default of 128 KiB for a field would refuse what fits into a request.
        csv.field_size_limit(LONGEST_LINE)
        texts = map(self._text, lines)  # which goes on after an exception, as a generator does not
        self._reader = csv.reader(texts, delimiter=dialect.delimiter or delimiter, strict=True)
        self.columns = list(dialect.columns or self._header())

    def __iter__(self) -> Iterator[Row]:
        while True:
            number = self._lines.number + 1
            content: dict[str, Any] | EventError | bytes
            try:
                content = self._content(next(self._reader))
            except StopIteration:
                return
            except csv.Error as error:
                content = EventError(f"not CSV: {error}")
            yield Row(self._file, number, self._lines.position, content)

    def _content(self, cells: list[str]) -> dict[str, Any] | EventError | bytes:
        if not cells:
            return b"\n"  # an empty line
        if len(cells) != len(self.columns):
            return EventError(
                f"{len(cells)} columns, where the header has {len(self.columns)}: "
                "quote what holds the delimiter"
            )
        return {name: cell or None for name, cell in zip(self.columns, cells, strict=True)}

    def _text(self, line: bytes) -> str:
        if len(line) >= LONGEST_LINE:
            raise csv.Error(f"the line is longer than {LONGEST_LINE:,} bytes")
        # What is wrongly encoded is kept, to be refused with its row, if it is used at all.
        try:
            return line.decode(self._codec, _ERRORS)
        except UnicodeError as error:  # of codecs with escapes, which may be cut off
            raise csv.Error(str(error)) from None

    def _header(self) -> list[str]:
        try:
            columns = next(self._reader, [])
        except csv.Error as error:
            raise InputError(f"{self._file}:1: not CSV: {error}") from None
        return columns
