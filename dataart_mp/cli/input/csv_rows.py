"""The rows of a CSV file, by the column names in its first line that is not blank."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.line import MAX_LINE_BYTES, Lines
from dataart_mp.cli.input.row import Row
from dataart_mp.errors import EventError

_ASCII: Final = '",;\t\r\n'
_ESCAPES: Final = b"\\u +A-!"  # valid text, unless the encoding gives these bytes another meaning
_ERRORS: Final = "surrogateescape"


@dataclass(frozen=True)
class CsvDialect:
    r"""How a CSV file is written.

    Attributes:
        delimiter: The field delimiter; None: a comma, or a tab in `*.tsv`.
        encoding: The name of a Python codec that is a superset of ASCII.
        columns: The column names; None: they are in the first line that is
            not blank.

    Raises:
        ValueError: The encoding is unknown, or is not a superset of ASCII.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        try:
            is_ascii = _ASCII.encode(self.codec) == _ASCII.encode("ascii")
            _ASCII.encode("ascii").decode(self.codec, _ERRORS)
        except (LookupError, UnicodeError):
            raise ValueError(f"{self.encoding!r} is not a known encoding") from None
        remedy = f"convert the file: iconv -f {self.encoding} -t utf-8 FILE | … -"
        if not is_ascii:
            raise ValueError(f"{self.encoding!r} is not a superset of ASCII; {remedy}")
        try:
            _ESCAPES.decode(self.codec, _ERRORS)
        except UnicodeError:
            raise ValueError(f"{self.encoding!r} uses escape sequences; {remedy}") from None

    @property
    def codec(self) -> str:
        """The codec that decodes a line; `Lines` has already removed the byte order mark."""
        return "utf-8" if codecs.lookup(self.encoding).name == "utf-8-sig" else self.encoding


class CsvRows:
    """Reads the rows of one file.

    An empty cell is None. A row that does not match the header has an EventError as its content;
    reading continues after it.

    Args:
        file: The file's name.
        lines: The lines of the file, from the first one.
        dialect: How the file is written.
        delimiter: The field delimiter, if the dialect has none.

    Attributes:
        columns: The column names.

    Raises:
        InputError: The first line is not CSV.
    """

    def __init__(self, file: str, lines: Lines, dialect: CsvDialect, delimiter: str = ",") -> None:
        self._file = file
        self._lines = lines
        self._codec = dialect.codec
        # The default limit of 128 KiB would refuse fields that fit into a request.
        csv.field_size_limit(MAX_LINE_BYTES)
        # `map`, not a generator: it continues after an exception.
        texts = map(self._decode, lines)
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
        if not cells or (len(cells) == 1 < len(self.columns) and _is_blank(cells)):
            return b"\n"  # an empty line
        if len(cells) != len(self.columns):
            return EventError(
                f"the row has {len(cells)} columns, but the header has {len(self.columns)}; "
                "quote cells that contain the delimiter"
            )
        return {name: cell or None for name, cell in zip(self.columns, cells, strict=True)}

    def _decode(self, line: bytes) -> str:
        if len(line) >= MAX_LINE_BYTES:
            raise csv.Error(f"the line is longer than {MAX_LINE_BYTES:,} bytes")
        # Invalid bytes are kept as surrogates: the row is refused only if it uses them.
        try:
            return line.decode(self._codec, _ERRORS)
        except UnicodeError as error:  # codecs with escape sequences, which may be incomplete
            raise csv.Error(str(error)) from None

    def _header(self) -> list[str]:
        """Return the first line that is not blank, or nothing if there is none."""
        try:
            return next((cells for cells in self._reader if not _is_blank(cells)), [])
        except csv.Error as error:
            raise InputError(f"{self._file}:{self._lines.number}: not CSV: {error}") from None


def _is_blank(cells: list[str]) -> bool:
    return not any(cell.strip() for cell in cells)
