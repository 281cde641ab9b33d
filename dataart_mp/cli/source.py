"""The files to ship, one after the other, whatever their format.

    a file ─► decompressed ─► lines ─► rows of JSON Lines
                                  └──► rows of CSV
    a file ─────────────────► pyarrow ─► rows of Parquet

What is compressed, and what is Parquet, is told by its first bytes, so also of standard input and
of a file with another name.
"""

import os
import stat
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Final, cast

from dataart_mp.cli.column_map import ColumnMap
from dataart_mp.cli.compression import SUFFIXES, damage, decompressed
from dataart_mp.cli.csv_rows import CsvDialect, CsvRows
from dataart_mp.cli.input_error import InputError
from dataart_mp.cli.line import Lines, rows_of_lines
from dataart_mp.cli.parquet_rows import MAGIC, ParquetRows
from dataart_mp.cli.row import Position, Row

STDIN: Final = "-"

_START: Final = Position()


class Format(StrEnum):
    """How a file is written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Source:
    """Reads files as if they were one.

    Args:
        names: The files' names; `-` is standard input.
        format: Theirs; None: by their names, and first bytes.
        dialect: How CSV files are written.
        columns: What the columns of a table are.
    """

    def __init__(
        self,
        names: Sequence[str],
        format: Format | None = None,  # noqa: A002 - the option's name
        dialect: CsvDialect | None = None,
        columns: ColumnMap | None = None,
    ) -> None:
        self._names = names
        self._format = format
        self._dialect = dialect or CsvDialect()
        self._columns = columns or ColumnMap()
        self._sizes = [_size(name) for name in names]
        self._read = 0
        self._reading: int | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files together; None when one of them is no regular file."""
        known = [size for size in self._sizes if size is not None]
        return sum(known) if len(known) == len(self._sizes) else None

    @property
    def bytes(self) -> int:
        """So many of them were read, for another thread to look at."""
        return self._read + (_offset(self._reading) if self._reading is not None else 0)

    def rows(self, start: Mapping[str, Position] | None = None) -> Iterator[Row]:
        """Read all rows.

        Args:
            start: How far files have been read before, by name.

        Raises:
            InputError: A file cannot be read, is damaged, or is no longer what it was.
        """
        for name, size in zip(self._names, self._sizes, strict=True):
            shown = "<stdin>" if name == STDIN else name
            try:
                yield from self._rows_of(name, shown, (start or {}).get(name, _START))
            except damage() as error:
                raise InputError(f"{shown}: is cut off or damaged: {error}") from None
            except OSError as error:
                raise InputError(f"{shown}: {error.strerror or error}") from None
            finally:
                self._reading = None
            self._read += size or 0

    def _rows_of(self, name: str, shown: str, start: Position) -> Iterator[Row]:
        with ExitStack() as stack:
            raw = _stdin() if name == STDIN else stack.enter_context(Path(name).open("rb"))
            first = raw.peek(len(MAGIC))
            format_ = self._format or _format_of(name, first)
            if format_ is Format.PARQUET:
                yield from self._parquet(name, shown, start)
                return
            if _size(name) is not None:
                self._reading = raw.fileno()
            lines = Lines(decompressed(raw, first, shown, stack))
            if format_ is Format.CSV:
                yield from self._csv(shown, lines, start)
            else:
                lines.skip_to(start.lines)
                _check_same(shown, lines.position, start)
                yield from rows_of_lines(shown, lines)

    def _csv(self, file: str, lines: Lines, start: Position) -> Iterator[Row]:
        rows = CsvRows(file, lines, self._dialect, "\t" if ".tsv" in file.lower() else ",")
        if not rows.columns:
            return  # an empty file
        self._columns.check(file, rows.columns)
        if start.lines:
            lines.skip_to(start.lines)
            _check_same(file, lines.position, start)
        yield from rows

    def _parquet(self, name: str, file: str, start: Position) -> Iterator[Row]:
        if _size(name) is None:
            raise InputError(f"{file}: Parquet is read from its end; give it as a file, by name")
        parquet = ParquetRows(file)
        self._columns.check(file, parquet.columns)
        if start.lines:
            _check_same(file, Position(start.lines, parquet.crc), start)
        read, size = self._read, _size(name) or 0
        for row in parquet.rows(start.lines, self._columns.wanted(parquet.columns)):
            self._read = read + row.number * size // parquet.total
            yield row
        self._read = read


def _stdin() -> BufferedReader:
    return cast("BufferedReader", sys.stdin.buffer)


def _size(name: str) -> int | None:
    if name == STDIN and sys.stdin is None:
        raise InputError("<stdin>: is closed; give it something to read, or name a file")
    found = os.fstat(sys.stdin.fileno()) if name == STDIN else Path(name).stat()
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _offset(descriptor: int) -> int:
    try:
        return os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:  # it was closed a moment ago
        return 0


def _format_of(name: str, first: bytes) -> Format:
    if first.startswith(MAGIC):
        return Format.PARQUET
    suffixes = [suffix for suffix in PurePath(name.lower()).suffixes if suffix not in SUFFIXES]
    match suffixes[-1:]:
        case [".csv" | ".tsv"]:
            return Format.CSV
        case [".parquet" | ".pq"]:
            return Format.PARQUET
        case _:
            return Format.JSONL


def _check_same(file: str, found: Position, start: Position) -> None:
    # Its last line may have had no end then.
    ends = [zlib.crc32(end, start.crc) for end in (b"", b"\n", b"\r\n")]
    if found.lines != start.lines or found.crc not in ends:
        raise InputError(
            f"{file}: is not what it was when its first {start.lines:,} lines were shipped; if it "
            "is another file, begin anew: --restart"
        )
