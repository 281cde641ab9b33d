"""What a session of Spark says about its cluster and its jobs.

A session of Spark Connect does not say it.
"""

from typing import TYPE_CHECKING

from pyspark.errors import PySparkAttributeError, PySparkNotImplementedError

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession


def context_of(spark: "SparkSession") -> "SparkContext | None":
    """Return the context of a session; None if it is one of Spark Connect."""
    try:
        return spark.sparkContext
    except (PySparkAttributeError, PySparkNotImplementedError):
        return None


def running_tasks(spark: "SparkSession") -> int | None:
    """Return how many tasks the cluster runs at the same time; None if that is not known."""
    context = context_of(spark)
    return None if context is None else context.defaultParallelism


def is_first_attempt(spark: "SparkSession", stage: int) -> bool:
    """Return whether a stage was computed once, as far as that is known.

    It is computed again if results of an earlier stage are lost. Its tasks then count their
    attempts from zero.

    Args:
        spark: The session.
        stage: The number of the stage.
    """
    context = context_of(spark)
    info = None if context is None else context.statusTracker().getStageInfo(stage)
    return info is None or info.currentAttemptId == 0
