"""A million rows from executors of Spark: columns, JSON that Spark makes, and a naive loop.

The rows are flights in a Parquet file, as a job reads them from a data lake. Executors are
processes of `local-cluster`, with one core each. What is measured is their CPU time, apart for the
JVM and for Python, and the wall time of the job; the driver is not measured.

The same rows are shipped several times. The first job includes the time in which Java compiles what
is hot, which is paid once for each executor; the last job shows what each further million costs.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.nginx import SpeedSink
from bench.settings import Scale, wire
from bench.table import flights
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample

if TYPE_CHECKING:
    import psutil
    from pyspark.sql import DataFrame, Row, SparkSession

    Ship = Callable[[DataFrame, dict[str, Any], int], int]

COLUMNS: Final = (
    Column("events/s", "events_per_second"),
    Column("CPU s/million", "cpu_per_million", 2),
    Column("of which Python", "python_per_million", 2),
    Column("of which JVM", "jvm_per_million", 2),
    Column("first job", "first_cpu_per_million", 2),
)
NAIVE: Final = "foreachPartition with requests"
TABLE: Final = "columns"
JSON: Final = "metadata_json_column"
TWO: Final = "{}, 2 executors"
DISTANT: Final = "{} ms away, {} in flight"
LATENCY_MS: Final = 20

_ROWS: Final = 1_000_000
_EARLIER_JOBS: Final = 3
_BATCH: Final = 400
_FIELDS: Final = ("what", "tail", "unknown", "scheduled")
_OPTIONS: Final[dict[str, Any]] = {
    "key_column": "what",
    "user_key_column": "tail",
    "anonymous_column": "unknown",
    "timestamp_column": "scheduled",
    "batch_size": _BATCH,
}
_EXECUTOR: Final = "CoarseGrainedExecutorBackend"


def write_rows(path: Path, rows: int) -> Path:
    """Write so many flights to a Parquet file."""
    table = flights(rows)
    table.to_parquet(path, coerce_timestamps="us", row_group_size=max(1, rows // 8), index=False)
    return path


def cases(
    sink: SpeedSink, distant: str, scale: Scale, file: Path
) -> dict[str, Callable[[], Sample]]:
    """Return a case for each way, number of executors, and number of requests in flight.

    Args:
        sink: A sink that responds at once.
        distant: The URL of a sink that responds after LATENCY_MS.
        scale: How much to measure.
        file: The Parquet file to read, with as many rows as `rows_of` returns.
    """

    def case(way: str, url: str = sink.url, executors: int = 1, in_flight: int = 4) -> Any:
        return lambda: fresh(
            ship_flights,
            config=wire(url),
            near=wire(sink.url),
            file=str(file),
            rows=rows_of(scale),
            way=way,
            executors=executors,
            in_flight=in_flight,
        )

    near = {way: case(way) for way in _WAYS}
    two = {TWO.format(way): case(way, executors=2) for way in _WAYS}
    far = {
        DISTANT.format(LATENCY_MS, count): case(TABLE, distant, in_flight=count)
        for count in (1, 2, 4, 8)
    }
    return {**near, **two, **far}


def rows_of(scale: Scale) -> int:
    """Return the number of rows to ship."""
    return scale(_ROWS)


def ship_flights(
    config: dict[str, Any],
    near: dict[str, Any],
    file: str,
    rows: int,
    way: str,
    executors: int,
    in_flight: int,
) -> Sample:
    """Ship flights in one way, and measure; call it in a new process (see `fresh`).

    Args:
        config: The result of `ClientConfig.to_wire`, for the job that is measured.
        near: The same with the URL of a sink that responds at once, for the jobs before.
        file: The Parquet file.
        rows: Number of its rows.
        way: A name in the cases.
        executors: Number of executors.
        in_flight: Requests of a task in flight at once.
    """
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    spark = _session(executors)
    table = spark.read.parquet(file)
    table.where("row = 1").foreachPartition(_do_nothing)  # starts the Python of each executor
    jobs = [*[near] * _EARLIER_JOBS, config]
    first, *_, last = [_measured(_WAYS[way], table, job, in_flight, rows) for job in jobs]
    spark.stop()
    return {
        "events": rows,
        "delivered": rows,
        "seconds": last.seconds,
        "events_per_second": rows / last.seconds,
        "cpu_per_million": (last.python + last.jvm) / rows * 1e6,
        "python_per_million": last.python / rows * 1e6,
        "jvm_per_million": last.jvm / rows * 1e6,
        "first_cpu_per_million": (first.python + first.jvm) / rows * 1e6,
    }


class _Cost(NamedTuple):
    """What a job took, in seconds: the wall time, and the CPU time of its executors."""

    seconds: float
    python: float
    jvm: float


def _measured(
    ship: "Ship", table: "DataFrame", config: dict[str, Any], in_flight: int, rows: int
) -> _Cost:
    """Ship a table, and measure."""
    python, jvm = _cpu_seconds()
    start = time.perf_counter()
    delivered = ship(table, config, in_flight)
    seconds = time.perf_counter() - start
    if delivered != rows:
        raise RuntimeError(f"only {delivered:,} of {rows:,} rows were delivered")
    python_after, jvm_after = _cpu_seconds()
    return _Cost(seconds, python_after - python, jvm_after - jvm)


def _do_nothing(_: object) -> None:
    pass


def _session(executors: int) -> "SparkSession":
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local-cluster[{executors},1,1024]")
    return (
        builder.config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.files.maxPartitionBytes", "3000000")
        .config("spark.sql.files.openCostInBytes", "1")
        .config("spark.executor.extraJavaOptions", "-XX:+UseSerialGC")
        .getOrCreate()
    )


def _ship_columns(table: "DataFrame", config: dict[str, Any], in_flight: int) -> int:
    from dataart_mp import ClientConfig
    from dataart_mp.spark import ship

    ours = ClientConfig.from_wire(config)
    return ship(table, config=ours, in_flight=in_flight, **_OPTIONS).delivered


def _ship_json(table: "DataFrame", config: dict[str, Any], in_flight: int) -> int:
    from pyspark.sql import functions

    from dataart_mp import ClientConfig
    from dataart_mp.spark import ship

    metadata = functions.struct(*(name for name in table.columns if name not in _FIELDS))
    packed = table.select(*_FIELDS, functions.to_json(metadata).alias("metadata_json"))
    ours = ClientConfig.from_wire(config)
    options = {**_OPTIONS, "metadata_json_column": "metadata_json"}
    return ship(packed, config=ours, in_flight=in_flight, **options).delivered


def _ship_naively(table: "DataFrame", config: dict[str, Any], _: int) -> int:
    """Post the rows of each partition one request after the other, as a first attempt would."""
    url = f"{config['base_url']}/events/send-actions"
    headers = {"X-API-Key": config["api_key"]}
    posted = table.sparkSession.sparkContext.accumulator(0)

    def post(rows: "Iterator[Row]") -> None:
        import itertools
        from datetime import UTC, datetime

        import requests

        with requests.Session() as session:
            while batch := [*itertools.islice(rows, _BATCH)]:
                body = {
                    "timestamp": datetime.now(UTC).isoformat(),
                    "actions": [*map(action, batch)],
                }
                session.post(url, json=body, headers=headers, timeout=30).raise_for_status()
                posted.add(len(batch))

    def action(row: "Row") -> dict[str, Any]:
        metadata = row.asDict()
        what, tail, unknown, scheduled = (metadata.pop(name) for name in _FIELDS)
        return {
            "key": what,
            "user_key": tail,
            "is_anonymous_user": unknown,
            "timestamp": scheduled.astimezone().isoformat(),
            "metadata": metadata,
        }

    table.foreachPartition(post)
    return int(posted.value)


def _cpu_seconds() -> tuple[float, float]:
    """Return the CPU seconds of the executors since their start: of Python, and of their JVMs."""
    import psutil

    processes = psutil.Process().children(recursive=True)
    executors = [process for process in processes if _is_executor(process)]
    workers = [worker for executor in executors for worker in executor.children(recursive=True)]
    return sum(map(_python_seconds, workers)), sum(map(_own_seconds, executors))


def _is_executor(process: "psutil.Process") -> bool:
    import psutil

    try:
        return _EXECUTOR in " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return False


def _own_seconds(process: "psutil.Process") -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _python_seconds(process: "psutil.Process") -> float:
    """Return the CPU seconds of a process, and of its children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


_WAYS: Final[dict[str, "Ship"]] = {
    NAIVE: _ship_naively,
    TABLE: _ship_columns,
    JSON: _ship_json,
}
