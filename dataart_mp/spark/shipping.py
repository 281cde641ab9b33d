"""`ship`: ships a DataFrame and returns the report."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from dataart_mp.config import ClientConfig
from dataart_mp.ship import Report
from dataart_mp.spark.ended_tasks import EndedTasks
from dataart_mp.spark.job import Job, job_of
from dataart_mp.spark.order import warn_of_shuffle
from dataart_mp.spark.registration import registration_of
from dataart_mp.spark.report_file import write_report
from dataart_mp.spark.session import is_first_attempt
from dataart_mp.spark.task import ship_partition, stage_of_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow
    from pyspark.sql import DataFrame

    Batches = Iterator[pyarrow.RecordBatch]


def ship(df: "DataFrame", *, config: ClientConfig | None = None, **options: object) -> Report:
    """Ship the rows of a DataFrame as actions, and wait until each of them is settled.

        report = ship(df, key="order", user_key_column="customer", timestamp_column="ordered")

    Options and columns are checked before any work begins, also before what `df` is computed from.

    Args:
        df: The rows.
        config: The configuration; None: that of the driver's environment (DATAART_API_KEY, …).
        **options: The options of `format("dataart")`; see docs/spark.md.

    Returns:
        What became of the rows.

    Raises:
        ConfigError: An option is unknown, missing or invalid, or speculative execution is on.
        TableError: A column is missing, or has a type that does not fit.
        PySparkException: The job failed. What was sent stays sent; a note of the exception, and the
            file of the option `report`, say what became of the rows of the tasks that had ended.
    """
    spark = df.sparkSession
    job = job_of(options, df.schema, registration_of(spark, config))
    warn_of_shuffle(df)
    ended = EndedTasks(spark)
    try:
        rows = reports_of(df, job, ended).collect()
    except BaseException as error:
        total = ended.total()
        error.add_note(f"Of the tasks that had ended: {total}")
        if job.report is not None:
            write_report(job.report, total, job.settings.source, "aborted", unknown_tasks=None)
        raise
    report = sum((Report.from_dict(json.loads(row.report)) for row in rows), Report())
    if not all(is_first_attempt(spark, stage) for stage in {row.stage for row in rows}):
        report = replace(report, may_repeat=report.requests)
    if job.report is not None:
        write_report(job.report, report, job.settings.source, "committed")
    return report


def reports_of(df: "DataFrame", job: Job, ended: EndedTasks) -> "DataFrame":
    """Return a DataFrame whose computation ships another one, with a row for each partition.

    Args:
        df: The rows.
        job: The job.
        ended: Where tasks put their reports, too.
    """
    settings = job.settings

    def ship_rows(batches: "Batches") -> "Batches":
        import pyarrow

        report = ship_partition(batches, settings)
        ended.add(report)
        yield pyarrow.record_batch({"report": [report.to_json()], "stage": [stage_of_task()]})

    return df.mapInArrow(ship_rows, "report string, stage long")
