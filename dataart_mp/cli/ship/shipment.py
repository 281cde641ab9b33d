"""The events of rows on their way into a client, and how far they have come."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from dataart_mp.cli.input.emitter import Emitter, emit
from dataart_mp.cli.input.row import Position, Row, event_of
from dataart_mp.errors import EventError
from dataart_mp.table.column_map import ColumnMap

OnBadRow = Callable[[Row, EventError], object]


class _Progress(NamedTuple):
    """The last row that was processed, and the number of events up to it."""

    events: int
    file: str
    position: Position


class Shipment:
    """Emits the events of rows, and counts the rows.

    Args:
        client: The client that takes the events.
        on_bad_row: Called with each row that is not an event, and the reason; an exception that it
            raises ends the shipment.
        columns: The mapping of columns; None: the default mapping.
        start: The positions up to which files were shipped before, by name.

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
    ) -> None:
        self._client = client
        self._on_bad_row = on_bad_row
        self._columns = columns or ColumnMap()
        self._earlier: Mapping[str, Position] = dict(start or {})
        self._progress: _Progress | None = None
        self._current: Row | None = None
        self.rows = 0
        self.bad_rows = 0

    def take(self, rows: Iterable[Row]) -> None:
        """Emit the events of all rows."""
        events = 0
        for row in rows:
            self.rows += 1
            self._current = row
            try:
                event = event_of(row, self._columns)
                if event is not None:
                    emit(event, self._client)
                    events += 1
            except EventError as error:
                self.bad_rows += 1
                self._on_bad_row(row, error)
            self._advance(_Progress(events, row.file, row.after))

    def interrupted(self, accepted: int) -> None:
        """Determine, after Ctrl-C, whether the current row was still emitted.

        Args:
            accepted: Number of events that the client has accepted.
        """
        row, counted = self._current, self._progress.events if self._progress else 0
        if row is not None and accepted > counted:
            self._advance(_Progress(accepted, row.file, row.after))

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
