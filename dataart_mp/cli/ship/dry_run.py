"""A dry run: checks all rows, and sends nothing."""

import json
from dataclasses import dataclass
from typing import Any

from dataart_mp.cli.dry_run_client import DryRunClient
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.source import Source
from dataart_mp.cli.message import warn
from dataart_mp.cli.progress import Snapshot, progress
from dataart_mp.cli.ship.bad_rows import BadRows
from dataart_mp.cli.ship.shipment import Shipment
from dataart_mp.config import ClientConfig
from dataart_mp.table.column_map import ColumnMap


@dataclass(frozen=True, kw_only=True)
class DryRunResult:
    """What a run would ship.

    Attributes:
        actions: Number of valid actions that would be shipped.
        identities: Number of valid identities.
        sampled: Number of valid actions that `sample_rate` leaves out.
        lines: Number of lines read; of Parquet files, number of rows.
        bad_lines: Number of lines or rows that are not events.
        complete: Whether everything was read.
        first_event: The first event as it would be sent; None: there was none.
    """

    actions: int
    identities: int
    sampled: int
    lines: int
    bad_lines: int
    complete: bool
    first_event: Any = None

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: BAD_INPUT if anything is wrong with the input."""
        return ExitCode.BAD_INPUT if self.bad_lines or not self.complete else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return {"exit_code": int(self.exit_code), "dry_run": True, **vars(self)}

    def __str__(self) -> str:
        """The result as text, after the first event."""
        first = "" if self.first_event is None else f"First event: {_as_text(self.first_event)}\n"
        sampled = f"sample_rate leaves out {self.sampled:,}; " if self.sampled else ""
        return (
            f"{first}{self.actions:,} actions and {self.identities:,} identities would be shipped; "
            f"{sampled}{self.bad_lines:,} of {self.lines:,} lines are bad."
        )


def dry_run(
    source: Source,
    columns: ColumnMap,
    config: ClientConfig,
    bad_rows: BadRows,
    *,
    quiet: bool = False,
) -> DryRunResult:
    """Check all rows of the source; bad rows do not end the check.

    Args:
        source: The rows to check.
        columns: The mapping of their columns.
        config: The configuration with which they would be shipped.
        bad_rows: Reports the bad rows.
        quiet: Whether no progress is shown.
    """
    bad_rows.open()
    client = DryRunClient(config)
    shipment = Shipment(client, bad_rows.add, columns)

    def take_snapshot() -> Snapshot:
        return Snapshot(done=source.bytes, total=source.size, text=f"{shipment.rows:,} lines")

    complete = True
    try:
        with progress("Checking", take_snapshot, lines=True, ends=False, quiet=quiet):
            shipment.take(source.rows())
    except InputError as error:
        warn(str(error))
        complete = False
    return DryRunResult(
        actions=client.actions,
        identities=client.identities,
        sampled=client.sampled,
        lines=shipment.rows,
        bad_lines=shipment.bad_rows,
        complete=complete,
        first_event=None if client.first is None else json.loads(client.first),
    )


def _as_text(event: Any) -> str:
    return json.dumps(event, ensure_ascii=False)
