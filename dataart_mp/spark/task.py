"""A task: it ships the rows of one partition, in the Python worker of an executor."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pyspark import TaskContext

from dataart_mp.ship import Report, ShipSettings, ship_iter
from dataart_mp.spark.speculation import refuse_speculation

if TYPE_CHECKING:
    import pyarrow

_MICRO_BATCH: Final = "streaming.sql.batchId"
"""Spark does not pass the number of the micro-batch to a writer, but its tasks have it."""


def ship_partition(batches: Iterator["pyarrow.RecordBatch"], settings: ShipSettings) -> Report:
    """Ship the rows of this task's partition.

    Args:
        batches: The rows, which Spark computes again for each attempt of the task.
        settings: The settings of the job.

    Raises:
        ConfigError: Speculative execution is on.
        DataArtError: Rows could not be shipped; Spark then tries the task again.
    """
    context = _context()
    refuse_speculation(context.getLocalProperty)
    micro_batch = context.getLocalProperty(_MICRO_BATCH)
    partition = str(context.partitionId())
    part = partition if micro_batch is None else f"{micro_batch}-{partition}"
    return ship_iter(lambda: batches, settings, part, context.attemptNumber())


def stage_of_task() -> int:
    """Return the number of the stage of this task."""
    return _context().stageId()


def _context() -> TaskContext:
    context = TaskContext.get()
    if context is None:
        raise RuntimeError("this is not a task of Spark")
    return context
