"""The tasks of a job that have ended, also if the job fails later.

Spark returns the results of a job only if all of its tasks have ended. It adds what a task has put
into an accumulator when that task ends, once.
"""

from typing import TYPE_CHECKING

from pyspark.accumulators import AccumulatorParam

from dataart_mp.ship import Report
from dataart_mp.spark.session import context_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class EndedTasks:
    """Collects the reports of the tasks that have ended. It travels to the tasks.

    Args:
        spark: The session. One of Spark Connect has no accumulators; with it, nothing is collected.
    """

    def __init__(self, spark: "SparkSession") -> None:
        context = context_of(spark)
        self._reports = None if context is None else context.accumulator([], _Lists())

    def add(self, report: Report) -> None:
        """Add the report of a task, in this task."""
        if self._reports is not None:
            self._reports.add([report])

    def total(self) -> Report:
        """Return the sum of the reports, in the driver."""
        return sum([] if self._reports is None else self._reports.value, Report())


class _Lists(AccumulatorParam[list[Report]]):
    """How Spark adds lists."""

    def zero(self, value: list[Report]) -> list[Report]:  # noqa: ARG002 - the base class names it
        return []

    def addInPlace(  # noqa: N802 - the name is Spark's
        self, value1: list[Report], value2: list[Report]
    ) -> list[Report]:
        return [*value1, *value2]
