"""The events of rows on their way into a client, and how far they have come.

Rows of Parquet files are encoded column by column, many at once; all others one by one.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from dataart_mp.cli.input.emitter import Emitter, emit
from dataart_mp.cli.input.row import Position, Row, event_of
from dataart_mp.cli.input.row_batch import RowBatch
from dataart_mp.cli.ship.pace import Pace
from dataart_mp.errors import EventError
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.encoder import Encoder, Lines

_PORTION: Final = 500
OnBadRow = Callable[[Row, EventError], object]


Take = Callable[[memoryview, int], Taken]
"""Appends at least the first of some records; raises EventError if it is too large."""


class _Progress(NamedTuple):
    """The last row that was processed, and the number of events up to it."""

    events: int
    file: str
    position: Position


class _Part(NamedTuple):
    """Rows of a batch that are emitted by one call; each of them is an event."""

    batch: RowBatch
    first: int


class Shipment:
    """Emits the events of rows, and counts the rows.

    Args:
        client: The client that takes the events.
        on_bad_row: Called with each row that is not an event, and the reason; an exception that it
            raises ends the shipment.
        columns: The mapping of columns; None: the default mapping.
        start: The positions up to which files were shipped before, by name.
        take: Takes the records of many rows for the client; None: rows are emitted one by one.
        pace: At which rate events are emitted; None: as fast as the client takes them.

    Attributes:
        rows: Number of rows read, including empty lines.
        bad_rows: Number of rows that were not events.
    """

    def __init__(
        self,
        client: Emitter,
        on_bad_row: OnBadRow,
        columns: ColumnMap | None = None,
        start: Mapping[str, Position] | None = None,
        *,
        take: Take | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._client = client
        self._on_bad_row = on_bad_row
        self._columns = columns or ColumnMap()
        self._earlier: Mapping[str, Position] = dict(start or {})
        self._take_lines = None if self._columns.identities else take
        self._pace = pace
        self._progress: _Progress | None = None
        self._current: Row | _Part | None = None
        self._events = 0
        self.rows = 0
        self.bad_rows = 0

    def take(self, items: Iterable[Row | RowBatch]) -> None:
        """Emit the events of all rows."""
        for item in items:
            if isinstance(item, Row):
                self._take_row(item)
            elif self._take_lines is None:
                for row in item.rows():
                    self._take_row(row)
            else:
                self._take_batch(item, self._take_lines)

    def interrupted(self, accepted: int) -> None:
        """Determine, after Ctrl-C, how many of the current rows were still emitted.

        Args:
            accepted: Number of events that the client has accepted.
        """
        current, counted = self._current, self._progress.events if self._progress else 0
        if current is None or accepted <= counted:
            return
        if isinstance(current, Row):
            self._advance(_Progress(accepted, current.file, current.after))
        else:
            position = current.batch.position(current.first + accepted - counted)
            self._advance(_Progress(accepted, current.batch.file, position))

    def _take_row(self, row: Row) -> None:
        self.rows += 1
        self._current = row
        try:
            event = event_of(row, self._columns)
            if event is not None:
                if self._pace is not None:
                    self._pace.wait()
                emit(event, self._client)
                self._events += 1
        except EventError as error:
            self.bad_rows += 1
            self._on_bad_row(row, error)
        self._advance(_Progress(self._events, row.file, row.after))

    def _take_batch(self, batch: RowBatch, take: Take) -> None:
        lines = Encoder(self._columns, batch.content.schema.names).encode(batch.content)
        first = 0
        for number in (*lines.doubtful, batch.content.num_rows):
            while first < number:
                first += self._take_part(_Part(batch, first), lines, number, take)
            if number < batch.content.num_rows:
                self._take_row(*batch.rows(number, number + 1))
                first = number + 1

    def _take_part(self, part: _Part, lines: Lines, end: int, take: Take) -> int:
        """Emit some of the rows up to `end`, at least one; return their number."""
        count = min(_PORTION, end - part.first)
        if self._pace is not None:
            count = min(count, self._pace.burst)
            self._pace.wait(count)
        self._current = part
        try:
            taken = take(lines.between(part.first, part.first + count), count).records
        except EventError:  # the first record is too large; the row says why
            self._take_row(*part.batch.rows(part.first, part.first + 1))
            return 1
        self.rows += taken
        self._events += taken
        after = part.batch.position(part.first + taken)
        self._advance(_Progress(self._events, part.batch.file, after))
        return taken

    def positions(self) -> dict[str, Position]:
        """Return how far files have been emitted, by name; any thread may call this."""
        # Read first: the result may then be behind, but never ahead.
        progress = self._progress
        current = {} if progress is None else {progress.file: progress.position}
        return {**self._earlier, **current}

    def _advance(self, progress: _Progress) -> None:
        if self._progress is not None and self._progress.file != progress.file:
            self._earlier = {**self._earlier, self._progress.file: self._progress.position}
        self._progress = progress
