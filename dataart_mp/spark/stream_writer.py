"""The writer of streams that Spark calls: in each task, and at the end of each micro-batch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyspark.sql import datasource

from dataart_mp.spark.arrow import batches_of
from dataart_mp.spark.job import Job
from dataart_mp.spark.task import ship_partition
from dataart_mp.spark.writer import Messages, Shipped, conclude

GETS_BATCHES = hasattr(datasource, "DataSourceStreamArrowWriter")
"""Whether Spark passes record batches to a stream writer; PySpark 4.0 passes rows."""

if TYPE_CHECKING or GETS_BATCHES:
    Base = datasource.DataSourceStreamArrowWriter
else:
    Base = datasource.DataSourceStreamWriter


class StreamWriter(Base):
    """Writes the micro-batches of a stream.

    Args:
        job: The job.
        schema: The `pyarrow.Schema` of the rows.
    """

    def __init__(self, job: Job, schema: Any) -> None:
        self._job = job
        self._schema = schema

    def write(self, iterator: Iterator[Any]) -> Shipped:
        """Ship the rows of a partition of a micro-batch, in a task."""
        batches = iterator if GETS_BATCHES else batches_of(iterator, self._schema)
        return Shipped(ship_partition(batches, self._job.settings))

    def commit(self, messages: Messages, batchId: int) -> None:  # noqa: N803 - Spark's name
        """Write the report of a micro-batch whose tasks have all ended."""
        conclude(self._job, messages, "committed", batchId)

    def abort(self, messages: Messages, batchId: int) -> None:  # noqa: N803 - Spark's name
        """Write the report of a micro-batch that failed; what was sent stays sent."""
        conclude(self._job, messages, "aborted", batchId)
