"""Emit the rows of a table: one call of `emit_table`.

    batch ──encoder──► lines of all rows ──take──► open frames
               └─ doubtful rows, one by one: column_map ─► encode_action ─► a line, or an error

Rows are emitted in their order.
"""

import queue
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from dataart_mp.errors import (
    BufferFullError,
    EventError,
    RowError,
    RowsError,
    TableError,
    short_repr,
)
from dataart_mp.producer.encoder import encode_action
from dataart_mp.protocol import Emitted
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.table.arguments import column_map
from dataart_mp.table.arrow import column_names, open_table, portions
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.encoder import Encoder
from dataart_mp.table.event import Action
from dataart_mp.table.rows import Fields, UnreadableError, rows_of

_MAX_ERRORS: Final = 100
_SHOWN: Final = 3

Take = Callable[[memoryview, int], Taken]
"""Takes at least the first of some records; raises queue.Full or EventError if it cannot."""

Drop = Callable[[queue.Full, int], None]
"""Drops that many records; raises BufferFullError if records must not be dropped."""

EmitAction = Callable[..., bool]
"""Emits an action, whose arguments are those of `emit_action`; False if it is dropped."""

Progress = Callable[[int], object]
"""Called with the number of rows that are processed."""


class Emission:
    """One call of `emit_table`.

    Args:
        batches: Record batches that have the same columns.
        columns: The mapping of the columns; its rows are actions.
        names: The columns to read.
        portion: Number of records in a full frame.
        take: Appends records to the queue.
        drop: Called with the number of records for which there is no room.
        progress: Called after each few thousand rows; None: never.
        emit: Emits an action, if each must pass hooks; None: rows are encoded column by column.
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
        emit: EmitAction | None = None,
    ) -> None:
        self._batches = batches
        self._columns = columns
        self._names = columns.columns_to_read(names)
        self._encoder = Encoder(columns, self._names)
        self._full_portion = self._portion = portion
        self._take = take
        self._drop = drop
        self._progress = progress
        self._emit_action = emit
        self._row = 0  # number of rows that were taken, dropped or refused
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
        try:
            for batch in portions(self._batches, self._names):
                self._emit(batch)
                if self._progress is not None:
                    self._progress(self._row)
        except BaseException as error:
            if isinstance(error, BufferFullError):
                error.accepted, error.row = self._accepted, self._row
            if self._errors:
                error.add_note(f"Also refused: {self._refusal()}")
            raise
        if self._errors:
            raise self._refusal()
        return Emitted(self._accepted, self._dropped)

    def _emit(self, batch: Any) -> None:
        if self._emit_action is not None:
            for fields in rows_of(batch, self._columns.terms):
                self._emit_with_hooks(fields, self._emit_action)
            return
        lines = self._encoder.encode(batch)
        first = self._row
        start = 0
        for number in (*lines.doubtful, batch.num_rows):
            while self._row - first < number:
                start = self._row - first
                stop = min(number, start + self._portion)
                self._append(lines.between(start, stop), stop - start)
            if number < batch.num_rows:
                self._emit_one(batch.slice(number, 1))

    def _emit_with_hooks(self, fields: Fields | EventError, emit: EmitAction) -> None:
        try:
            is_kept = emit(*self._action_of(fields))
        except EventError as error:
            self._refuse(error)
        else:
            self._accepted += 1
            self._dropped += not is_kept
            self._row += 1

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

    def _append(self, lines: memoryview, count: int) -> None:
        """Append the first of some records, or all of them."""
        try:
            taken = self._take(lines, count)
        except queue.Full as full:
            self._drop(full, count)
            self._dropped += count
            self._accepted += count
            self._row += count
        except EventError as error:  # the first record is larger than a frame
            self._refuse(error)
        else:
            self._accepted += taken.records
            self._row += taken.records
            self._portion = taken.room or self._full_portion

    def _refuse(self, error: EventError) -> None:
        column = error.column if isinstance(error, UnreadableError) else self._column_of(error.path)
        if len(self._errors) < _MAX_ERRORS:
            place = f"row {self._row}" + (f", column {column!r}" if column is not None else "")
            refused = RowError(f"{place}: {error}", error.path, self._row, column)
            refused.__cause__ = error.__cause__
            self._errors.append(refused)
        self._refused[column] += 1
        self._row += 1

    def _column_of(self, path: str | None) -> str | None:
        return None if path is None else self._columns.column_of(path, self._names)

    def _refusal(self) -> RowsError:
        refused = self._refused.total()
        shown = "; ".join(map(str, self._errors[:_SHOWN]))
        more = f"; and {refused - _SHOWN:,} more" if refused > _SHOWN else ""
        dropped = f", {self._dropped:,} of them dropped" if self._dropped else ""
        return RowsError(
            f"{refused:,} of {self._row:,} rows cannot be sent: {shown}{more} "
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
    emit: EmitAction | None,
    **arguments: Any,
) -> Emission:
    """Check the arguments of an `emit_table` call.

    Args:
        table: The table.
        portion: Number of records in a full frame.
        take: Appends records to the queue.
        drop: Called with the number of records for which there is no room.
        progress: Called after each few thousand rows; None: never.
        emit: Emits an action, if each must pass hooks.
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
    names = column_names(reader.schema)
    return Emission(reader, columns, names, portion, take, drop, progress, emit)
