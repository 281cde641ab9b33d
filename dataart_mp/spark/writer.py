"""The writer that Spark calls: in each task, and in the driver at the end of a job.

driver   DataArtSource.writer() ─► Writer, pickled
tasks    Writer.write(rows) ─► Shipped(report)
driver   Writer.commit([Shipped, …]), or abort
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyspark.sql.datasource import DataSourceArrowWriter, WriterCommitMessage

from dataart_mp.ship import Report
from dataart_mp.spark.job import Job
from dataart_mp.spark.report_file import Outcome, write_report
from dataart_mp.spark.task import ship_partition

if TYPE_CHECKING:
    import pyarrow

_log: Final = logging.getLogger(__name__)

Messages = Sequence[WriterCommitMessage | None]
"""What each task returned; None for a task that did not end."""


@dataclass(frozen=True)
class Shipped(WriterCommitMessage):
    """What a task returns to the driver.

    Attributes:
        report: What became of the rows of its partition.
    """

    report: Report


class Writer(DataSourceArrowWriter):
    """Writes the rows of a DataFrame.

    Args:
        job: The job.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def write(self, iterator: Iterator["pyarrow.RecordBatch"]) -> Shipped:
        """Ship the rows of a partition, in a task."""
        return Shipped(ship_partition(iterator, self._job.settings))

    def commit(self, messages: Messages) -> None:
        """Write the report of a job whose tasks have all ended."""
        conclude(self._job, messages, "committed")

    def abort(self, messages: Messages) -> None:
        """Write the report of a job that failed; what was sent stays sent."""
        conclude(self._job, messages, "aborted")


def conclude(
    job: Job, messages: Messages, outcome: Outcome, micro_batch: int | None = None
) -> None:
    """Log what was not delivered, and write the report if the job has one.

    Args:
        job: The job.
        messages: What the tasks returned.
        outcome: How the job ended.
        micro_batch: Number of the micro-batch of a stream; None: it is not a stream.
    """
    reports = [message.report for message in messages if isinstance(message, Shipped)]
    report = sum(reports, Report())
    if outcome == "aborted" or report.bad_rows or report.rejected:
        _log.warning("%s was %s: %s", job.settings.source, outcome, report)
    if job.report is not None:
        write_report(
            job.report,
            report,
            job.settings.source,
            outcome,
            micro_batch=micro_batch,
            unknown_tasks=len(messages) - len(reports),
        )
