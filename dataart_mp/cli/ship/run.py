"""One run of `ship`, from the first row to the result."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.input.error import InputError
from dataart_mp.cli.input.row import Position, Row
from dataart_mp.cli.input.row_batch import RowBatch
from dataart_mp.cli.input.source import Source
from dataart_mp.cli.message import warn
from dataart_mp.cli.progress import Snapshot, progress
from dataart_mp.cli.ship.bad_rows import BadRows
from dataart_mp.cli.ship.checkpoint import CheckpointError
from dataart_mp.cli.ship.checkpointer import Checkpointer
from dataart_mp.cli.ship.failures import Failures
from dataart_mp.cli.ship.pace import Pace
from dataart_mp.cli.ship.result import Result
from dataart_mp.cli.ship.resumption import Resumption
from dataart_mp.cli.ship.shipment import Shipment
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.errors import DataArtError, EventError
from dataart_mp.failure import Failure
from dataart_mp.table.column_map import ColumnMap


class _BadRowError(Exception):
    """Ends the reading at a bad row, which has been reported."""


class _UndeliveredError(Exception):
    """Ends the reading: events failed that another run has to send again."""


class Run:
    """Ships the rows of a source.

    Args:
        source: The rows to ship.
        columns: The mapping of their columns.
        config: The configuration of the client.
        resumption: Where to start, and where to write the checkpoint.
        bad_rows: Reports the bad rows.
        skip: Whether to continue after a bad row.
        pace: At which rate rows are emitted; None: as fast as they are delivered.
        quiet: Whether no progress is shown.

    Raises:
        DataArtError: No client can be created, or the file of the bad rows cannot be written.
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
        pace: Pace | None = None,
        quiet: bool = False,
    ) -> None:
        self._source = source
        self._resumption = resumption
        self._bad_rows = bad_rows
        self._skip = skip
        self._quiet = quiet
        self._failures = Failures()
        self._is_failing = False
        self._has_started = False
        self._client = Client(dataclasses.replace(config, on_failure=self._on_failure))
        self._shipment = Shipment(
            self._client,
            self._on_bad_row,
            columns,
            resumption.start,
            take=None if self._client._has_hooks else self._client._append_lines,
            pace=pace,
        )
        self._keeps_failed = config.spool_dir is not None
        self._base_url = config.base_url
        self._checkpointer: Checkpointer | None = None
        self._start = time.monotonic()
        try:
            bad_rows.open()
        except DataArtError:
            self._client.close(0)
            raise

    def run(self, timeout: float | None) -> Result:
        """Ship all rows; after Ctrl-C or SIGTERM, deliver the rows that have been read.

        Args:
            timeout: Seconds to wait for delivery after the last row; None: no limit.

        Raises:
            CheckpointError: The checkpoint that the user asked for cannot be written.
        """
        with StopSignals() as signals:
            try:
                with self._progress():
                    stop = self._ship_rows()
                    self._all_emitted()
                    self._client.close(timeout)
            except KeyboardInterrupt:
                self._close_after_stop(timeout)
                stop = signals.exit_code
                # With a spool, `accepted` includes the parked events of earlier clients.
                if not self._keeps_failed:
                    self._shipment.interrupted(self._client.stats().accepted)
        return self._finish_checkpoint(self._result(stop))

    def _ship_rows(self) -> ExitCode | None:
        try:
            self._shipment.take(self._rows())
        except _BadRowError:
            warn("stopped at the bad row; use --on-error skip to continue after bad rows")
        except InputError as error:
            warn(str(error))
        except CheckpointError:  # before the first event
            self._client.close(0)
            raise
        except _UndeliveredError:
            warn("stopped: the platform does not accept the events")
            return ExitCode.NOT_DELIVERED
        except DataArtError as error:
            warn(str(error))
            return ExitCode.NOT_DELIVERED
        else:
            return None
        return ExitCode.BAD_INPUT

    def _rows(self) -> Iterator[Row | RowBatch]:
        for row in self._source.read(self._resumption.start):
            if not self._has_started:
                self._start_checkpointer()
            if self._is_failing:
                raise _UndeliveredError
            yield row

    def _close_after_stop(self, timeout: float | None) -> None:
        warn("stopping: delivering the events that were read; press Ctrl-C again to quit now")
        try:
            self._all_emitted()
            self._client.close(timeout)
        except KeyboardInterrupt:
            self._client.close(0)

    def _on_bad_row(self, row: Row, error: EventError) -> None:
        self._bad_rows.add(row, error)
        if not self._skip:
            raise _BadRowError

    def _on_failure(self, failure: Failure) -> None:
        self._failures.add(failure)
        self._bad_rows.add_failure(failure)
        if failure.reason != "rejected" and self._checkpointer and not self._keeps_failed:
            # The next run sends this event and all after it, so sending more only duplicates them.
            self._is_failing = True

    # The checkpoint

    def _start_checkpointer(self) -> None:
        """Write the first checkpoint, when the first row shows that the input can be read."""
        self._has_started = True
        path = self._resumption.path
        if path is None:
            return
        checkpointer = Checkpointer(
            path, self._base_url, self._client, self._positions, keeps_failed=self._keeps_failed
        )
        try:
            checkpointer.start()
        except OSError as error:
            problem = f"the checkpoint {path} cannot be written: {error.strerror}"
            if self._resumption.stays:
                raise CheckpointError(f"{problem}; set another with --checkpoint") from None
            warn(f"{problem}; this run cannot be resumed if it is interrupted")
            return
        self._checkpointer = checkpointer

    def _all_emitted(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.all_emitted()

    def _finish_checkpoint(self, result: Result) -> Result:
        """Write or remove the checkpoint, and add it to the result."""
        path = self._resumption.path
        complete = result.stop is None
        if complete and not self._has_started:  # there was no row
            self._start_checkpointer()
        if self._checkpointer is None or path is None:
            return self._with_earlier_checkpoint(result)
        settled = self._checkpointer.finish(
            complete=complete and self._resumption.others_are_complete
        )
        unfinished = bool(self._shipment.positions()) and not (settled and complete)
        if not unfinished and not self._resumption.stays:
            path.unlink(missing_ok=True)
            return result
        return dataclasses.replace(result, checkpoint=path, is_unfinished=unfinished)

    def _with_earlier_checkpoint(self, result: Result) -> Result:
        """Add the checkpoint of an earlier run, which this run has not changed."""
        if self._has_started or not self._resumption.start:
            return result
        return dataclasses.replace(result, checkpoint=self._resumption.path, is_unfinished=True)

    def _positions(self) -> dict[str, Position]:
        return self._resumption.by_path(self._shipment.positions())

    # The result

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

    def _progress(self) -> AbstractContextManager[object]:
        return progress("Shipping", self._snapshot, lines=True, ends=False, quiet=self._quiet)

    def _snapshot(self) -> Snapshot:
        stats = self._client.stats()
        rate = stats.delivered / (time.monotonic() - self._start)
        text = f"{stats.delivered:,} delivered, {rate:,.0f}/s, {stats.retries:,} retries"
        if not self._source.size:
            return Snapshot(done=stats.delivered, total=None, text=text)
        # The number of all events is unknown until the end: count the part of the bytes whose
        # events were delivered.
        done = stats.delivered + stats.total_dropped  # what sample_rate leaves out is done, too
        share = done / stats.accepted if stats.accepted else 1.0
        return Snapshot(done=int(self._source.bytes * share), total=self._source.size, text=text)
