"""Rows on their way into a client."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, assert_never

from dataart_mp.cli.column_map import ColumnMap
from dataart_mp.cli.event import Action, Emitter, Identity, object_of, parse_event
from dataart_mp.cli.row import Position, Row
from dataart_mp.errors import EventError

OnBadRow = Callable[[Row, EventError], object]

_NO_COLUMNS = ColumnMap()


def event_of(row: Row, columns: ColumnMap = _NO_COLUMNS) -> Action | Identity | None:
    """Make an event of a row; None: it is an empty line.

    Raises:
        EventError: It is none; the message says why.
    """
    content = row.content
    match content:
        case bytes():
            if content.isspace():
                return None
            return parse_event(content) if columns.is_plain else columns.event(object_of(content))
        case dict():
            return columns.event(content)
        case EventError():
            raise content
        case _:
            assert_never(content)


class _Reached(NamedTuple):
    """How far it has come: the last row that is done with, and the events up to there."""

    events: int
    file: str
    position: Position


class Shipment:
    """Hands the events of rows to a client, and counts.

    Args:
        client: Where the events go.
        on_bad_row: Called with each row that is no event, and the reason; what it raises ends
            the reading.
        columns: What the columns of a table are.
        start: How far files were shipped before, by name.

    Attributes:
        rows: How many were read, empty lines included.
        bad_rows: How many were no event.
    """

    def __init__(
        self,
        client: Emitter,
        on_bad_row: OnBadRow,
        columns: ColumnMap = _NO_COLUMNS,
        start: Mapping[str, Position] | None = None,
    ) -> None:
        self._client = client
        self._on_bad_row = on_bad_row
        self._columns = columns
        self._left: Mapping[str, Position] = dict(start or {})
        self._reached: _Reached | None = None
        self._at_hand: Row | None = None
        self.rows = 0
        self.bad_rows = 0

    def take(self, rows: Iterable[Row]) -> None:
        """Hand over the events of all rows."""
        events = 0
        for row in rows:
            self.rows += 1
            self._at_hand = row
            try:
                event = event_of(row, self._columns)
                if event is not None:
                    event.hand_to(self._client)
                    events += 1
            except EventError as error:
                self.bad_rows += 1
                self._on_bad_row(row, error)
            self._advance(_Reached(events, row.file, row.after))

    def interrupted(self, accepted: int) -> None:
        """Find out, after Ctrl-C, whether the row at hand has still been handed over.

        Args:
            accepted: The events that the client has accepted.
        """
        row, counted = self._at_hand, self._reached.events if self._reached else 0
        if row is not None and accepted > counted:
            self._advance(_Reached(accepted, row.file, row.after))

    def positions(self) -> dict[str, Position]:
        """How far files have been shipped, by name; another thread may ask."""
        reached = self._reached  # before the others: so it tells rather too little than too much
        here = {} if reached is None else {reached.file: reached.position}
        return {**self._left, **here}

    def _advance(self, to: _Reached) -> None:
        if self._reached is not None and self._reached.file != to.file:
            self._left = {**self._left, self._reached.file: self._reached.position}
        self._reached = to
