"""A shipment without a client: it finds out what would be refused, and sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dataart_mp.cli.bad_rows import BadRows
from dataart_mp.cli.column_map import ColumnMap
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.input_error import InputError
from dataart_mp.cli.message import warn
from dataart_mp.cli.progress import Snapshot, progress
from dataart_mp.cli.shipment import Shipment
from dataart_mp.cli.source import Source
from dataart_mp.config import ClientConfig
from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.transport import envelope


@dataclass(frozen=True, kw_only=True)
class RehearsalResult:
    """What would be shipped, and what would not.

    Attributes:
        actions: How many there are.
        identities: How many there are.
        lines: Lines read, of a Parquet file rows.
        bad_lines: Rows that are no event.
        complete: Whether all was read.
    """

    actions: int
    identities: int
    lines: int
    bad_lines: int
    complete: bool

    @property
    def exit_code(self) -> ExitCode:
        """The worst that can be said of it."""
        return ExitCode.BAD_INPUT if self.bad_lines or not self.complete else ExitCode.OK

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {"exit_code": int(self.exit_code), "dry_run": True, **vars(self)}

    def __str__(self) -> str:
        """All of it, for people."""
        return (
            f"{self.actions:,} actions and {self.identities:,} identities would be shipped; "
            f"{self.bad_lines:,} of {self.lines:,} lines are bad."
        )


def rehearse(
    source: Source, columns: ColumnMap, config: ClientConfig, bad_rows: BadRows
) -> RehearsalResult:
    """Check all that would be shipped, whatever is bad on the way."""
    rehearsal = Rehearsal(config)
    shipment = Shipment(rehearsal, bad_rows.add, columns)

    def look() -> Snapshot:
        return Snapshot(done=source.bytes, total=source.size, text=f"{shipment.rows:,} lines")

    complete = True
    try:
        with progress("Checking", look):
            shipment.take(source.rows())
    except InputError as error:
        warn(str(error))
        complete = False
    return RehearsalResult(
        actions=rehearsal.actions,
        identities=rehearsal.identities,
        lines=shipment.rows,
        bad_lines=shipment.bad_rows,
        complete=complete,
    )


class Rehearsal:
    """Takes events as a client does, counts them, and forgets them.

    Args:
        config: What the client would be told.

    Attributes:
        actions: How many were valid.
        identities: How many were valid.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._capacity = config.max_request_bytes - envelope.MAX_BYTES
        self.actions = 0
        self.identities = 0

    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        """Check what a user did."""
        self._check(encode_action(key, user_key, is_anonymous_user, timestamp, metadata))
        self.actions += 1
        return True

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Check who a user is."""
        self._check(encode_identity(user_key, metadata))
        self.identities += 1
        return True

    def _check(self, record: bytes) -> None:
        if len(record) > self._capacity:
            raise EventError(
                f"the event takes {len(record):,} bytes as JSON, a request holds "
                f"{self._capacity:,}: make its metadata smaller, or max_request_bytes larger"
            )
