"""Reads files as `ship` does, and shows what each row becomes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dataart_mp.cli.input.emitter import emit
from dataart_mp.cli.input.options import input_options, open_input
from dataart_mp.cli.input.row import Position, Row, event_of
from dataart_mp.cli.input.source import Source
from dataart_mp.errors import EventError
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.event import Action, Identity
from dataart_mp.testing import RecordingClient

Outcome = Action | Identity | str | None
"""What a row becomes: an event, the reason why it is bad, or nothing for an empty line."""

Write = Callable[..., Path]
"""Writes a file with this content and, optionally, this name."""

SHOP = ("--key", "what", "--user-key", "user", "--timestamp", "when")
TABLE = """\
user,what,when,price
17,bought,2021-05-04T10:11:12.123456789+02:00,2.50
ann,"looked,
long",2021-05-04T10:11:12Z,
"""


def open_file(file: Path, *options: str) -> tuple[Source, ColumnMap]:
    """Open a file with options of `ship`."""
    given: dict[str, Any] = {}
    command = input_options(click.Command("read", callback=given.update))
    command.main(options, standalone_mode=False)
    return open_input((str(file),), **given)


def rows(file: Path, *options: str, start: Position | None = None) -> list[tuple[Row, Outcome]]:
    """Read the rows of a file, each with what it becomes."""
    source, columns = open_file(file, *options)
    positions = {} if start is None else {str(file): start}
    return [(row, _outcome(row, columns)) for row in source.rows(positions)]


def events(file: Path, *options: str) -> list[Outcome]:
    """Read a file, and return what its rows become."""
    return [outcome for _, outcome in rows(file, *options)]


def _outcome(row: Row, columns: ColumnMap) -> Outcome:
    try:
        event = event_of(row, columns)
        if event is not None:
            emit(event, RecordingClient())
    except EventError as error:
        return str(error)
    return event
