"""One attempt to ship a part of a table."""

from collections.abc import Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain
from typing import Any, Final

from dataart_mp.delivery.backoff import Backoff
from dataart_mp.delivery.batch import Batch
from dataart_mp.delivery.counts import Counts
from dataart_mp.delivery.courier import Courier
from dataart_mp.delivery.pace import Pace
from dataart_mp.errors import PartError
from dataart_mp.ship.checkpoint import Checkpoint, KeyFiles, NoCheckpoint
from dataart_mp.ship.cut import Cut, Cutter
from dataart_mp.ship.keys import Keys
from dataart_mp.ship.records import Recorder
from dataart_mp.ship.report import MOST_SAMPLES, RejectedEvent, Report
from dataart_mp.ship.schema import columns_of
from dataart_mp.ship.senders import sender_for
from dataart_mp.ship.settings import ShipSettings, check_part
from dataart_mp.ship.source import Batches, record_batches
from dataart_mp.table.arrow import column_names, portions
from dataart_mp.transport import envelope

_SHOWN_OF_A_RECORD: Final = 500


def ship_iter(batches: Batches, settings: ShipSettings, part: str, attempt: int = 0) -> Report:
    """Ship one part of a table, and wait until each of its events is settled.

        settings = ShipSettings(config=ClientConfig.from_env(), source="orders", key=lit("order"))
        report = ship_iter(lambda: table.to_batches(), settings, part="0")

    It starts no process. Requests are sent by `settings.in_flight` threads, over connections that
    the next parts in this process use again. It may be called by several threads.

    A part that is shipped again, by another attempt, makes the same requests with the same keys if
    its rows have the same order; a platform that honours keys then counts each event once. How the
    rows are divided among record batches does not matter. Rows in another order make other keys:
    none is lost, but some may be counted twice.

    Args:
        batches: The rows. A function that returns them from the start; or a table or another
            object with `__arrow_c_stream__`; or an iterable of record batches or tables. All have
            the same columns. An iterator (a generator, or a `pyarrow.RecordBatchReader`) can be
            read once: it is refused if `attempt` is above 0, because an earlier attempt may have
            read some of it, and these rows would be lost. An engine that opens its rows again for
            each attempt passes a function that returns them.
        settings: The settings of the job.
        part: The name of the part, unique in the job: 1 to 60 letters, digits or any of `._~@=+-`.
            For a stream, it begins with the number of the micro-batch: `17-3`.
        attempt: How many attempts to ship this part were begun before; 0 if this is the first.
            It decides what `Report.may_repeat` counts, and whether an iterator is accepted.

    Returns:
        The report of this attempt.

    Raises:
        ConfigError: The name of the part is refused.
        TableError: The columns do not fit the settings, or `batches` cannot be read again; nothing
            was sent. Or a record batch has other columns than the first one.
        MissingExtraError: The package pyarrow is not installed.
        RowError: A row cannot be sent (`on_bad_row="fail"`). What came before it may be sent.
        RejectedError: The platform refuses an event (`on_rejected="fail"`).
        NotDeliveredError: The platform did not accept a request in any of its attempts. Ship the
            part again. Its `report` says what became of the rows that were read.
        Exception: `batches` raised it, or the file system of the checkpoint.
    """
    check_part(part)
    return _Attempt(settings, part, attempt).ship(record_batches(batches, attempt))


class _Attempt:
    """One attempt to ship a part."""

    def __init__(self, settings: ShipSettings, part: str, attempt: int) -> None:
        config = settings.config
        self._settings = settings
        self._part = part
        self._counts = Counts(MOST_SAMPLES)
        self._courier = Courier(
            sender_for(config),
            Backoff.of(config),
            None if settings.sent_at is None else settings.sent_at.isoformat().encode(),
            Pace(settings.rate_limit),
            self._counts,
            is_again=attempt > 0,
            keeps_rejected=settings.on_rejected == "skip",
        )
        self._keys = Keys(settings.source, part)
        self._checkpoint = _checkpoint(settings, part)
        self._recorder: Recorder | None = None
        self._acknowledged = 0
        self._pending: dict[Future[None], str] = {}

    def ship(self, batches: Iterator[Any]) -> Report:
        """Ship the rows of record batches."""
        try:
            self._ship(batches)
        except PartError as error:
            error.report = self._report(parts=0)
            raise
        except BaseException as error:
            error.add_note(f"Up to then: {self._report(parts=0)}")
            raise
        return self._report(parts=1)

    def _ship(self, batches: Iterator[Any]) -> None:
        pool = ThreadPoolExecutor(self._settings.in_flight, thread_name_prefix="dataart_mp.ship")
        try:
            for cut in self._cuts(batches):
                self._begin(cut, pool)
            self._collect(ALL_COMPLETED)
        except BaseException:
            self._courier.stop()
            raise
        finally:
            pool.shutdown()
            self._acknowledge(self._pending)
            self._checkpoint.flush()

    def _begin(self, cut: Cut, pool: ThreadPoolExecutor) -> None:
        key = self._keys.key_of(cut.content)
        batch = Batch(key, False, 0, cut.content, known_count=cut.number)
        if batch.key in self._checkpoint:
            self._acknowledged += batch.count
            return
        self._pending[pool.submit(self._courier.deliver, batch)] = batch.key
        if len(self._pending) >= 2 * self._settings.in_flight:
            self._collect(FIRST_COMPLETED)

    def _collect(self, when: str) -> None:
        """Wait for some requests, or all, and raise the error of one that failed."""
        done, _ = wait(self._pending, return_when=when)
        for future in done:
            future.result()
        self._acknowledge(done)

    def _acknowledge(self, futures: Any) -> None:
        """Note the keys of what is settled in the checkpoint."""
        for future in list(futures):
            key = self._pending.pop(future)
            if future.exception() is None:
                self._checkpoint.add(key)

    def _cuts(self, batches: Iterator[Any]) -> Iterator[Cut]:
        """Yield the contents of the requests."""
        first = next(batches, None)
        if first is None:
            return
        columns = columns_of(first.schema, self._settings)
        names = column_names(first.schema)
        recorder = self._recorder = Recorder(columns, names, self._settings, self._part)
        most_bytes = self._settings.config.max_request_bytes - envelope.MAX_BYTES
        cutter = Cutter(
            self._settings.batch_size,
            most_bytes,
            lambda row, size: recorder.refuse_large(row, size, most_bytes),
        )
        for portion in portions(chain([first], batches), recorder.names):
            for records in recorder.encode(portion):
                yield from cutter.add(records)
        yield from cutter.rest()

    def _report(self, parts: int) -> Report:
        counts, recorder = self._counts, self._recorder
        rows = 0 if recorder is None else recorder.rows
        bad_rows = 0 if recorder is None else recorder.bad_rows
        settled = counts.delivered + counts.rejected + self._acknowledged + bad_rows
        return Report(
            rows=rows,
            delivered=counts.delivered,
            acknowledged=self._acknowledged,
            bad_rows=bad_rows,
            rejected=counts.rejected,
            failed=rows - settled,
            requests=counts.requests,
            retries=counts.retries,
            may_repeat=counts.may_repeat,
            parts=parts,
            bad_samples=() if recorder is None else tuple(recorder.bad_samples),
            rejected_samples=tuple(self._rejected_events())[:MOST_SAMPLES],
        )

    def _rejected_events(self) -> Iterator[RejectedEvent]:
        for batch, response in self._counts.rejections:
            for record in batch.content.splitlines():  # of bytes: text may contain U+2028
                shown = record.decode()[:_SHOWN_OF_A_RECORD]
                yield RejectedEvent(self._part, response.status, response.text, shown)


def _checkpoint(settings: ShipSettings, part: str) -> Checkpoint:
    if settings.checkpoint is None:
        return NoCheckpoint()
    return KeyFiles(settings.checkpoint, settings.source, part)
