"""Emit the rows of a table: one call of `emit_table`.

    batch ──encoder──► lines of all rows ──take──► open frames
               └─ doubtful rows, one by one: column_map ─► encode_action ─► a line, or an error

Rows are emitted in their order. With hooks, all rows are encoded one by one.
"""

import contextlib
import queue
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from dataart_mp.errors import (
    BufferFullError,
    EventError,
    RowError,
    RowsError,
    TableError,
    short_repr,
)
from dataart_mp.producer.bulk import Count, Drop, Encode, Take
from dataart_mp.producer.encoder import encode_action
from dataart_mp.producer.hooks import DroppedError
from dataart_mp.producer.progress import Progress
from dataart_mp.protocol import Emitted
from dataart_mp.table.arguments import column_map
from dataart_mp.table.arrow import BATCH_ROWS, column_names, open_table, portions
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.encoder import Encoder, Lines
from dataart_mp.table.event import Action
from dataart_mp.table.rows import Fields, rows_of

_MAX_ERRORS: Final = 100
_SHOWN: Final = 3
_STEP_ROWS: Final = 512


class Batch(NamedTuple):
    """Some rows of a table.

    Attributes:
        content: A `pyarrow.RecordBatch`.
        rows: Number of rows.
        lines: Its rows, encoded, if there are no hooks.
        fields: The values of each row, if there are hooks.
    """

    content: Any
    rows: int
    lines: Lines
    fields: Sequence[Fields | EventError] = ()


_NO_LINES: Final = Lines(memoryview(b""), memoryview(b""), [])
_NO_ROWS: Final = Batch(None, 0, _NO_LINES)


class Emission:
    """One call of `emit_table`.

    `run` does all of it. A caller that must not wait calls `read`, `begin` and `step` instead.

    Args:
        batches: Record batches that have the same columns, of a few thousand rows at most.
        columns: The mapping of the columns; its rows are actions.
        names: The columns that the batches have.
        portion: Number of records in a full frame.
        take: Appends records to the queue.
        drop: Called with the number of records for which there is no room.
        progress: Called after each few thousand rows; None: never.
        hooks: Encodes each action, and counts those that it drops; None if there are no hooks, so
            that rows are encoded column by column.

    Attributes:
        row: Number of rows that were taken, dropped or refused.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        columns: ColumnMap,
        names: list[str],
        portion: int,
        take: Take,
        drop: Drop,
        progress: Progress | None = None,
        hooks: tuple[Encode, Count] | None = None,
    ) -> None:
        self._batches = iter(batches)
        self._columns = columns
        self._names = names
        self._encoder = Encoder(columns, names)
        self._full_portion = self._portion = portion
        self._take = take
        self._drop = drop
        self._progress = progress
        self._hooks = hooks
        self._batch = _NO_ROWS
        self._first = 0  # number of rows before the batch
        self._doubtful: list[int] = []  # rows of the batch still to come, the next one last
        self._waiting = b""  # the next record, if hooks have seen it and it could not be appended
        self.row = 0
        self._accepted = self._dropped = 0
        self._errors: list[RowError] = []
        self._refused: Counter[str | None] = Counter()

    def run(self) -> Emitted:
        """Emit all rows.

        Raises:
            RowsError: Some rows cannot be sent.
            BufferFullError: `drop` raised it.
            Exception: The table or `progress` raised it.
        """
        with self.noting_refusals():
            while (batch := self.read()) is not None:
                self.begin(batch)
                while self.step():
                    pass
                self.report()
        return self.finish()

    def read(self) -> "Batch | None":
        """Read and encode the next rows, on any thread; None: the table has ended."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        if self._hooks is not None:
            return Batch(batch, batch.num_rows, _NO_LINES, rows_of(batch, self._columns.terms))
        return Batch(batch, batch.num_rows, self._encoder.encode(batch))

    def begin(self, batch: "Batch") -> None:
        """Let `step` append these rows; all that were read before are appended."""
        self._batch, self._first = batch, self.row
        self._doubtful = batch.lines.doubtful[::-1]

    def step(self) -> bool:
        """Append what comes next: a few hundred rows, or one that is doubtful or passes hooks.

        If `drop` raises, `row` says what was appended, and this may be called again.

        Returns:
            Whether there was something to append.
        """
        number, batch = self.row - self._first, self._batch
        if number == batch.rows:
            return False
        if self._hooks is not None:
            self._emit_with_hooks(batch.fields[number], *self._hooks)
        elif self._doubtful and number == self._doubtful[-1]:
            self._emit_one(batch.content.slice(number, 1))
            self._doubtful.pop()
        else:
            end = self._doubtful[-1] if self._doubtful else batch.rows
            self._append_lines(batch.lines, min(end, number + _STEP_ROWS))
        return True

    def report(self) -> None:
        """Call `progress` with the number of rows so far."""
        if self._progress is not None:
            self._progress(self.row)

    @contextlib.contextmanager
    def noting_refusals(self) -> Iterator[None]:
        """Add to an exception what became of the rows before it."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, BufferFullError):
                error.accepted, error.row = self._accepted, self.row
            if self._errors:
                error.add_note(f"Also refused: {self._refusal()}")
            raise

    def finish(self) -> Emitted:
        """Return the result.

        Raises:
            RowsError: Some rows cannot be sent.
        """
        if self._errors:
            raise self._refusal()
        return Emitted(self._accepted, self._dropped)

    def _emit_with_hooks(self, fields: Fields | EventError, encode: Encode, count: Count) -> None:
        try:
            record = self._waiting or encode(*self._action_of(fields))
        except EventError as error:
            self._refuse(error)
        except DroppedError as dropped:
            count(dropped)
            self._count(1, dropped=1)
        else:
            if not record:  # it is appended already
                self._count(1)
                return
            self._waiting = record  # so that no hook sees the action twice
            self._append(memoryview(record), 1)
            self._waiting = b""

    def _action_of(self, fields: Fields | EventError) -> Action:
        if isinstance(fields, EventError):
            raise fields
        return self._columns.action_of(fields)

    def _emit_one(self, row: Any) -> None:
        """Emit a row whose values may be invalid."""
        (fields,) = rows_of(row, self._columns.terms)
        try:
            record = encode_action(*self._action_of(fields))
        except EventError as error:
            self._refuse(error)
        else:
            self._append(memoryview(record), 1)

    def _append_lines(self, lines: Lines, end: int) -> None:
        """Append the rows of the batch up to `end`, which is not included."""
        while (start := self.row - self._first) < end:
            stop = min(end, start + self._portion)
            self._append(lines.between(start, stop), stop - start)

    def _append(self, lines: memoryview, count: int) -> None:
        """Append the first of some records, or all of them."""
        try:
            taken = self._take(lines, count)
        except queue.Full as full:
            self._drop(full, count)
            self._count(count, dropped=count)
        except EventError as error:  # the first record is larger than a frame
            self._refuse(error)
        else:
            self._accepted += taken.records
            self.row += taken.records
            self._portion = taken.room or self._full_portion

    def _count(self, records: int, dropped: int = 0) -> None:
        self._accepted += records
        self._dropped += dropped
        self.row += records

    def _refuse(self, error: EventError) -> None:
        column, problem = self._columns.locate(error, self._names)
        if len(self._errors) < _MAX_ERRORS:
            place = f"row {self.row}" + (f", column {column!r}" if column is not None else "")
            refused = RowError(f"{place}: {problem}", error.path, self.row, column)
            refused.__cause__ = error.__cause__
            self._errors.append(refused)
        self._refused[column] += 1
        self.row += 1

    def _refusal(self) -> RowsError:
        refused = self._refused.total()
        shown = "; ".join(map(str, self._errors[:_SHOWN]))
        more = f"; and {refused - _SHOWN:,} more" if refused > _SHOWN else ""
        dropped = f", {self._dropped:,} of them dropped" if self._dropped else ""
        return RowsError(
            f"{refused:,} of {self.row:,} rows cannot be sent: {shown}{more} "
            f"({self._accepted:,} were accepted{dropped})",
            self._errors[0].path,
            tuple(self._errors),
            refused=refused,
            columns=self._refused,
            accepted=self._accepted,
            dropped=self._dropped,
        )


def emission_of(
    table: Any,
    portion: int,
    take: Take,
    drop: Drop,
    progress: Any,
    hooks: tuple[Encode, Count] | None,
    max_rows: int = BATCH_ROWS,
    **arguments: Any,
) -> Emission:
    """Check the arguments of an `emit_table` call.

    Args:
        table: The table.
        portion: Number of records in a full frame.
        take: Appends records to the queue.
        drop: Called with the number of records for which there is no room.
        progress: Called after each few thousand rows; None: never.
        hooks: Encodes each action, and counts those that it drops; None if there are no hooks.
        max_rows: How many rows are read and encoded at a time.
        arguments: Which columns are what; see `arguments.column_map`.

    Raises:
        TableError: The table or an argument cannot be used.
        MissingExtraError: The package pyarrow is not installed.
    """
    if progress is not None and not callable(progress):
        problem = f"{type(progress).__name__} ({short_repr(progress)}) is refused"
        remedy = "pass a function of the number of rows"
        raise TableError(f"progress: {problem}; {remedy}", "progress")
    reader = open_table(table)
    columns = column_map(reader.schema, **arguments)
    names = columns.columns_to_read(column_names(reader.schema))
    batches = portions(reader, names, max_rows)
    return Emission(batches, columns, names, portion, take, drop, progress, hooks)
