"""The files to ship as one sequence of rows, whatever their formats.

    a file ─► decompressed ─► lines ─► rows of JSON Lines
                                  └──► rows of CSV
    a file ─────────────────► pyarrow ─► rows of Parquet

Compression and Parquet are detected by a file's first bytes, so standard input and files without
the usual suffix work, too. Other formats that the first bytes show are named in the error.
"""

import itertools
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

from dataart_mp.cli.input.beginning import beginning
from dataart_mp.cli.input.compression import SUFFIXES, compression, damage, decompressed
from dataart_mp.cli.input.csv_rows import CsvDialect, CsvRows
from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.line import Lines, rows_of_lines
from dataart_mp.cli.input.numeric import SAMPLE_ROWS, numeric_columns, warned, with_numbers
from dataart_mp.cli.input.parquet_rows import MAGIC, ParquetRows
from dataart_mp.cli.input.row import Position, Row
from dataart_mp.cli.input.row_batch import RowBatch
from dataart_mp.cli.input.signature import foreign_format
from dataart_mp.errors import TableError
from dataart_mp.table.column_map import ColumnMap

STDIN: Final = "-"
"""The name of standard input among file names."""

_START: Final = Position()


class Format(StrEnum):
    """The format of a file."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Source:
    """Reads several files in turn.

    Args:
        names: The names of the files; `-` is standard input.
        format: The format of all files; None: detected for each by its name and first bytes.
        dialect: How CSV files are written.
        columns: The mapping that each table must fit.
        infer_types: Whether numeric columns of CSV files become numbers.

    Raises:
        InputError: Standard input is closed.
        OSError: A file does not exist.
    """

    def __init__(
        self,
        names: Sequence[str],
        format: Format | None = None,  # noqa: A002 - the option's name
        dialect: CsvDialect | None = None,
        columns: ColumnMap | None = None,
        *,
        infer_types: bool = False,
    ) -> None:
        self._names = names
        self._format = format
        self._dialect = dialect or CsvDialect()
        self._columns = columns or ColumnMap()
        self._infer_types = infer_types
        self._has_warned = False
        self._sizes = [_size(name) for name in names]
        self._bytes_read = 0
        self._open_descriptor: int | None = None

    @property
    def size(self) -> int | None:
        """Total bytes of all files; None: one of them is not a regular file."""
        known = [size for size in self._sizes if size is not None]
        return sum(known) if len(known) == len(self._sizes) else None

    @property
    def bytes(self) -> int:
        """Bytes read so far; any thread may read this."""
        descriptor = self._open_descriptor
        return self._bytes_read + (_offset(descriptor) if descriptor is not None else 0)

    def rows(self, start: Mapping[str, Position] | None = None) -> Iterator[Row]:
        """Read all rows.

        Args:
            start: As for `read`.

        Raises:
            InputError: As for `read`.
        """
        for item in self.read(start):
            if isinstance(item, RowBatch):
                yield from item.rows()
            else:
                yield item

    def read(self, start: Mapping[str, Position] | None = None) -> Iterator[Row | RowBatch]:
        """Read all rows; those of Parquet files many at once.

        Args:
            start: The positions from which to read, by file name; other files are read whole.

        Raises:
            InputError: A file cannot be read, is damaged, or has changed before its position.
        """
        for name, size in zip(self._names, self._sizes, strict=True):
            shown = "<stdin>" if name == STDIN else name
            try:
                yield from self._rows_of(name, shown, (start or {}).get(name, _START))
            except damage() as error:
                raise InputError(f"{shown}: is truncated or damaged: {error}") from None
            except OSError as error:
                raise InputError(f"{shown}: {error.strerror or error}") from None
            finally:
                self._open_descriptor = None
            self._bytes_read += size or 0

    def _rows_of(self, name: str, shown: str, start: Position) -> Iterator[Row | RowBatch]:
        with ExitStack() as stack:
            raw = _stdin() if name == STDIN else stack.enter_context(Path(name).open("rb"))
            first, stream = beginning(raw)
            kind = compression(first)
            format_ = self._format or _format_of(name, first)
            if format_ is Format.PARQUET and kind is None:
                yield from self._parquet(name, shown, stream, start)
                return
            if _size(name) is not None:
                self._open_descriptor = raw.fileno()
            if kind is not None:
                first, stream = beginning(decompressed(stream, kind, shown, stack))
                _refuse_compressed(shown, kind, first, format_)
            foreign = foreign_format(first)
            if foreign is not None:
                raise InputError(f"{shown}: is {foreign}")
            lines = Lines(stream)
            if format_ is Format.CSV:
                yield from self._csv(shown, lines, start)
            else:
                lines.skip_to(start.lines)
                _check_unchanged(shown, lines.position, start)
                yield from rows_of_lines(shown, lines)

    def _check_columns(self, file: str, columns: list[str]) -> None:
        try:
            self._columns.check(columns)
        except TableError as error:
            raise InputError(f"{file}: {error}") from None

    def _csv(self, file: str, lines: Lines, start: Position) -> Iterator[Row]:
        rows = CsvRows(file, lines, self._dialect, "\t" if ".tsv" in file.lower() else ",")
        if not rows.columns:
            return  # an empty file
        self._check_columns(file, rows.columns)
        names = self._columns.untyped(rows.columns)
        if self._infer_types:
            yield from self._with_numbers(file, rows, lines, start, names)
            return
        self._skip(file, lines, start)
        if self._has_warned or not names:
            yield from rows
        else:
            self._has_warned = True
            yield from warned(iter(rows), names, file)

    def _with_numbers(
        self, file: str, rows: CsvRows, lines: Lines, start: Position, names: list[str]
    ) -> Iterator[Row]:
        """Read rows with the numbers that their first ones show, wherever reading starts."""
        header, unread = lines.position, iter(rows)
        sample = list(itertools.islice(unread, SAMPLE_ROWS))
        numeric = numeric_columns(sample, names)
        if start.lines > lines.number:
            self._skip(file, lines, start)
            sample = []
        elif start.lines:
            passed = [row.after for row in sample if row.after.lines <= start.lines]
            _check_unchanged(file, passed[-1] if passed else header, start)
            sample = sample[len(passed) :]
        yield from with_numbers(itertools.chain(sample, unread), numeric)

    def _skip(self, file: str, lines: Lines, start: Position) -> None:
        if start.lines:
            lines.skip_to(start.lines)
            _check_unchanged(file, lines.position, start)

    def _parquet(
        self, name: str, file: str, stream: BufferedReader, start: Position
    ) -> Iterator[RowBatch]:
        if _size(name) is None:
            problem = "Parquet cannot be read from a pipe; name a regular file"
            raise InputError(f"{file}: {problem}")
        parquet = ParquetRows(file, stream, self._columns.terms)
        self._check_columns(file, parquet.columns)
        if start.lines:
            _check_unchanged(file, Position(start.lines, parquet.crc), start)
        read, size = self._bytes_read, _size(name) or 0
        for batch in parquet.batches(start.lines, self._columns.columns_to_read(parquet.columns)):
            done = batch.before + batch.content.num_rows
            self._bytes_read = read + done * size // parquet.total
            yield batch
        self._bytes_read = read


def _stdin() -> BufferedReader:
    return cast("BufferedReader", sys.stdin.buffer)


def _size(name: str) -> int | None:
    if name == STDIN and sys.stdin is None:
        raise InputError("<stdin>: is closed; redirect it, or name a file")
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


def _refuse_compressed(file: str, kind: str, first: bytes, format_: Format) -> None:
    """Refuse compressed content that is compressed again, or that must be read at any position."""
    remedy = f"decompress it: {kind} -dc FILE"
    inner = compression(first)
    if inner is not None:
        raise InputError(f"{file}: is {inner} in {kind}; {remedy} | dataart-mp ship … -")
    if format_ is Format.PARQUET or first.startswith(MAGIC):
        raise InputError(f"{file}: is Parquet in {kind}; {remedy} > FILE.parquet")


def _check_unchanged(file: str, found: Position, start: Position) -> None:
    # When it was shipped, its last line may have had no line end yet.
    checksums = [zlib.crc32(end, start.crc) for end in (b"", b"\n", b"\r\n")]
    if found.lines != start.lines or found.crc not in checksums:
        raise InputError(
            f"{file}: has changed since its first {start.lines:,} lines were shipped; "
            "if it is another file, ship it from the start with --restart"
        )
