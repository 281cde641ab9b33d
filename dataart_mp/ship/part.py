"""One attempt to ship a part of a table."""

from dataart_mp.ship.report import Report
from dataart_mp.ship.settings import ShipSettings
from dataart_mp.ship.source import Batches


def ship_iter(batches: Batches, settings: ShipSettings, part: str, attempt: int = 0) -> Report:
    """Ship one part of a table, and wait until each of its events is settled.

        settings = ShipSettings(config=ClientConfig.from_env(), source="orders-2026-11", key=lit("order"))
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
            read some of it, and the rows would be lost. An engine that opens its rows again for
            each attempt passes a function that returns them.
        settings: The settings of the job.
        part: The name of the part, unique in the job: 1 to 60 letters, digits or any of
            `._~:@=+-`. For a stream, it begins with the number of the micro-batch: `17-3`.
        attempt: How many attempts to ship this part were begun before; 0 if this is the first.
            It only decides what `Report.may_repeat` counts, and whether an iterator is accepted.

    Returns:
        The report of this attempt.

    Raises:
        TableError: The columns do not fit the settings, or `batches` cannot be read again; nothing
            was sent.
        MissingExtraError: The package pyarrow is not installed.
        RowError: A row cannot be sent (`on_bad_row="fail"`).
        RejectedError: The platform refuses an event (`on_rejected="fail"`).
        NotDeliveredError: The platform did not accept a request in any of its attempts. Ship the
            part again. Its `report` says what became of the rows that were read.
        Exception: `batches` raised it.
    """
    raise NotImplementedError
