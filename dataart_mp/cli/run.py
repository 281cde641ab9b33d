"""One run of `ship`: from the first row to the result, through whatever comes between."""

import dataclasses
import time
from collections.abc import Iterator

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bad_rows import BadRows
from dataart_mp.cli.checkpoint import CheckpointError
from dataart_mp.cli.checkpointer import Checkpointer
from dataart_mp.cli.column_map import ColumnMap
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.failures import Failures
from dataart_mp.cli.input_error import InputError
from dataart_mp.cli.message import warn
from dataart_mp.cli.progress import Snapshot, progress
from dataart_mp.cli.result import Result
from dataart_mp.cli.resumption import Resumption
from dataart_mp.cli.row import Position, Row
from dataart_mp.cli.shipment import Shipment
from dataart_mp.cli.source import Source
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.errors import DataArtError, EventError
from dataart_mp.failure import Failure


class _BadRowError(Exception):
    """Ends the reading; it was told already."""


class _GivenUpError(Exception):
    """Ends the reading: the platform did not take events that would have to be sent again."""


class Run:
    """Ships what a source holds.

    Args:
        source: What to ship.
        columns: What the columns of its tables are.
        config: How to ship.
        resumption: Where to begin, and where to leave a checkpoint.
        bad_rows: Where to note bad rows.
        skip: Whether to go on after a bad row.

    Raises:
        CheckpointError: The checkpoint cannot be written where the user wants it.
    """

    def __init__(
        self,
        source: Source,
        columns: ColumnMap,
        config: ClientConfig,
        resumption: Resumption,
        bad_rows: BadRows,
        *,
        skip: bool,
    ) -> None:
        self._source = source
        self._resumption = resumption
        self._bad_rows = bad_rows
        self._skip = skip
        self._failures = Failures()
        self._has_given_up = False
        self._client = Client(dataclasses.replace(config, on_failure=self._note_failure))
        self._shipment = Shipment(self._client, self._note_bad_row, columns, resumption.start)
        self._keeps_failed = config.spool_dir is not None
        self._checkpointer = self._start_checkpoints(config.base_url)
        self._start = time.monotonic()

    def run(self, timeout: float | None) -> Result:
        """Ship everything; come to an orderly end when told to stop.

        Args:
            timeout: Seconds to wait for delivery after the last row; None: as long as it takes.
        """
        with StopSignals() as signals:
            try:
                with progress("Shipping", self._look):
                    stop = self._take_all()
                    self._client.close(timeout)
            except KeyboardInterrupt:
                self._close_in_order(timeout)
                stop = signals.exit_code
                if not self._keeps_failed:  # a spool's client accepts what others parked, too
                    self._shipment.interrupted(self._client.stats().accepted)
        return self._end_checkpoints(self._result(stop))

    def _take_all(self) -> ExitCode | None:
        try:
            self._shipment.take(self._rows())
        except _BadRowError:
            warn("stopped at the bad row; --on-error skip goes on with the next")
        except InputError as error:
            warn(str(error))
        except _GivenUpError:
            warn("stopped: the platform does not take the events")
            return ExitCode.NOT_DELIVERED
        except DataArtError as error:
            warn(str(error))
            return ExitCode.NOT_DELIVERED
        else:
            return None
        return ExitCode.BAD_INPUT

    def _rows(self) -> Iterator[Row]:
        for row in self._source.rows(self._resumption.start):
            if self._has_given_up:
                raise _GivenUpError
            yield row

    def _close_in_order(self, timeout: float | None) -> None:
        warn("stopping: what was read is being delivered; Ctrl-C again leaves at once")
        try:
            self._client.close(timeout)
        except KeyboardInterrupt:
            self._client.close(0)

    def _note_bad_row(self, row: Row, error: EventError) -> None:
        self._bad_rows.add(row, error)
        if not self._skip:
            raise _BadRowError

    def _note_failure(self, failure: Failure) -> None:
        self._failures.add(failure)
        self._bad_rows.add_failure(failure)
        if failure.reason != "rejected" and self._checkpointer and not self._keeps_failed:
            # All that comes after it would be sent again with it: better not to send it now.
            self._has_given_up = True

    # The checkpoint

    def _start_checkpoints(self, base_url: str) -> Checkpointer | None:
        path = self._resumption.path
        if path is None:
            return None
        checkpointer = Checkpointer(
            path, base_url, self._client, self._positions, keeps_failed=self._keeps_failed
        )
        try:
            checkpointer.start()
        except OSError as error:
            problem = f"the checkpoint {path} cannot be written: {error.strerror}"
            if self._resumption.stays:
                self._client.close(0)
                raise CheckpointError(f"{problem}; choose another by --checkpoint") from None
            warn(f"{problem}; an interrupted run will have to begin anew")
            return None
        return checkpointer

    def _end_checkpoints(self, result: Result) -> Result:
        """Write the last checkpoint, or remove it, and tell of it."""
        path = self._resumption.path
        if self._checkpointer is None or path is None:
            return result
        complete = result.stop is None
        settled = self._checkpointer.finish(
            settled=not result.stats.pending,
            complete=complete and self._resumption.others_are_complete,
        )
        unfinished = bool(self._shipment.positions()) and not (settled and complete)
        if not unfinished and not self._resumption.stays:
            path.unlink(missing_ok=True)
            return result
        return dataclasses.replace(result, checkpoint=path, is_unfinished=unfinished)

    def _positions(self) -> dict[str, Position]:
        return self._resumption.keyed(self._shipment.positions())

    # What is told

    def _result(self, stop: ExitCode | None) -> Result:
        return Result(
            stats=self._client.stats(),
            lines=self._shipment.rows,
            bad_lines=self._shipment.bad_rows,
            seconds=time.monotonic() - self._start,
            failures=self._failures,
            stop=stop,
            lines_before=sum(position.lines for position in self._resumption.start.values()),
        )

    def _look(self) -> Snapshot:
        stats = self._client.stats()
        rate = stats.delivered / (time.monotonic() - self._start)
        text = f"{stats.delivered:,} delivered, {rate:,.0f}/s, {stats.retries:,} retries"
        return Snapshot(done=self._source.bytes, total=self._source.size, text=text)
