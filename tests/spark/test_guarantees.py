"""Each row of the table of guarantees in docs/spark.md, on one machine; see also test_cluster."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.spark.faults import failing_once, kill_a_sender, kill_with_descendants, slow
from tests.spark.test_writer import NAMES, purchases, write
from tests.support import wait_until

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(300)  # JVMs start slowly on a machine that is busy


def assert_each_counted_once(sink: SinkProcess, count: int) -> dict[str, Any]:
    """Check what a platform that honours keys has counted; return the sink's numbers."""
    stats = sink.stats()
    assert sorted(sink.ids()) == [*range(1, count + 1)]
    assert (stats["distinct_actions"], stats["unexplained_duplicates"]) == (count, 0)
    assert stats["reused_keys"] == 0
    return {**stats}


def test_a_task_that_fails_and_is_retried_repeats_its_requests(
    local: "SparkSession", sink: SinkProcess, tmp_path: Path
) -> None:
    from dataart_mp.spark import ship

    arrivals = f"{sink.url}/_sink/requests"
    rows = failing_once(purchases(local, 100_000), tmp_path / "failed", arrivals)
    report = ship(rows, base_url=sink.url, **NAMES)
    stats = assert_each_counted_once(sink, 100_000)
    assert (tmp_path / "failed").exists()
    assert report.delivered == report.rows == 100_000
    # The dead attempt has sent something; the report has an upper bound of it.
    assert 0 < stats["repeated_requests"] <= report.may_repeat


def test_the_python_worker_may_be_killed(local: "SparkSession") -> None:
    from dataart_mp.spark import ship

    # No worker has a connection to this sink from an earlier job.
    with SinkProcess("--id-field", "row") as sink:
        sink.set_faults({"kind": "latency", "seconds": 0.1})
        port = urlsplit(sink.url).port or 0
        thread = threading.Thread(target=kill_a_sender, args=(port,))
        thread.start()
        report = ship(purchases(local, 40_000), base_url=sink.url, **NAMES)
        thread.join()
        assert_each_counted_once(sink, 40_000)
    assert report.delivered == 40_000
    assert report.may_repeat > 0


DRIVER = """
import sys
from pyspark.sql import SparkSession
from tests.spark.conftest import SETTINGS
from tests.spark.test_writer import NAMES, purchases, write

builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
spark = builder.config(map=SETTINGS).getOrCreate()
options = {"base_url": sys.argv[1], "source": "killed", "checkpoint": sys.argv[2]}
write(purchases(spark, 20_000), batch_size=50, **options, **NAMES)
"""


def test_a_job_whose_driver_was_killed_continues_under_the_same_source(
    local: "SparkSession", sink: SinkProcess, tmp_path: Path
) -> None:
    from dataart_mp.spark import ship

    folder = tmp_path / "checkpoint"
    checkpoint = folder.as_uri()
    sink.set_faults({"kind": "latency", "seconds": 0.1})
    output = tmp_path / "driver.output"
    with output.open("wb") as file:
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, sink.url, checkpoint], stdout=file, stderr=file
        )
    try:
        wait_until(lambda: driver.poll() is not None or any(folder.rglob("*.keys")), seconds=200)
        assert driver.returncode is None, output.read_text()
    finally:
        kill_with_descendants(driver)
    wait_until(lambda: sink.stats()["in_flight"] == 0)
    sink.clear_faults()
    sent = sink.stats()["actions"]
    assert sent < 20_000

    options: dict[str, Any] = {"base_url": sink.url, "source": "killed", "batch_size": 50, **NAMES}
    report = ship(purchases(local, 20_000), checkpoint=checkpoint, **options)
    stats = assert_each_counted_once(sink, 20_000)
    assert 0 < report.acknowledged <= sent
    assert report.acknowledged + report.delivered == report.rows == 20_000
    # What was sent, but not noted before the death, is sent again with its key.
    assert stats["explained_duplicates"] == sent - report.acknowledged

    report = ship(purchases(local, 20_000), **options)  # without the checkpoint
    stats = assert_each_counted_once(sink, 20_000)
    assert report.delivered == 20_000
    assert stats["explained_duplicates"] >= 20_000


@pytest.mark.parametrize("way", ["write", "ship"])
def test_an_aborted_job_reports_what_was_sent(
    local: "SparkSession", sink: SinkProcess, tmp_path: Path, way: str
) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions

    from dataart_mp.spark import ship

    run: Any = {"write": write, "ship": ship}[way]
    rows = purchases(local, 4_000)
    late = functions.when(functions.col("row") > 3_000, functions.lit("")).otherwise(rows.customer)
    file = tmp_path / "report.json"
    with pytest.raises(PySparkException) as raised:
        run(
            slow(rows.withColumn("customer", late), 0.2),
            base_url=sink.url,
            report=file.as_uri(),
            **NAMES,
        )
    report = json.loads(file.read_text())
    assert report["outcome"] == "aborted"
    if way == "write":
        assert report["unknown_tasks"] > 0
    else:
        assert report["unknown_tasks"] is None
        assert (
            "Of the tasks that had ended: 2,000 of 2,000 rows delivered"
            in raised.value.__notes__[-1]
        )
    # What tasks sent that did not end is at the sink, and in no report.
    assert report["delivered"] == 2_000
    assert 2_000 <= sink.stats()["distinct_ids"] <= 3_000
    assert sink.stats()["unexplained_duplicates"] == 0


def test_speculation_is_refused(local: "SparkSession", sink: SinkProcess) -> None:
    from pyspark.errors import PySparkException

    from dataart_mp import ConfigError
    from dataart_mp.spark import register, ship

    # As a session has it whose application was started with this setting.
    session: Any = local.newSession()
    session._jsparkSession.sessionState().conf().setConfString("spark.speculation", "true")
    problem = "spark.speculation='true': is refused, because two tasks would send the same"
    with pytest.raises(ConfigError, match=problem):
        ship(purchases(session), base_url=sink.url, **NAMES)
    with pytest.raises(ConfigError, match=problem):
        register(session)
    with pytest.raises(PySparkException, match=problem):
        write(purchases(session), base_url=sink.url, **NAMES)
    assert sink.stats()["requests"] == 0


def test_a_shuffle_without_order_is_warned_of(local: "SparkSession", sink: SinkProcess) -> None:
    from dataart_mp.spark import ship

    shuffled = purchases(local, 100).repartition(2, "customer")
    with pytest.warns(UserWarning, match="sortWithinPartitions"):
        ship(shuffled, base_url=sink.url, **NAMES)
    ship(shuffled.sortWithinPartitions("row"), base_url=sink.url, **NAMES)
    assert sink.stats()["actions"] == 200


def test_a_micro_batch_that_is_replayed_repeats_its_requests(
    local: "SparkSession", sink: SinkProcess, tmp_path: Path
) -> None:
    rows, files, state = purchases(local), tmp_path / "rows", tmp_path / "state"
    rows.write.parquet(str(files))

    def run() -> None:
        stream = local.readStream.schema(rows.schema).parquet(str(files))
        writer = stream.writeStream.format("dataart").trigger(availableNow=True)
        report = (tmp_path / "report.json").as_uri()
        options = {"base_url": sink.url, "source": "replayed", "report": report, **NAMES}
        query = writer.options(checkpointLocation=str(state), **options).start()
        query.awaitTermination()

    run()
    assert_each_counted_once(sink, len(sink.ids()))
    assert json.loads((tmp_path / "report-0.json").read_text())["delivered"] == 3_000
    (state / "commits/0").unlink()  # as if the driver had died before it noted the end
    (state / "commits/.0.crc").unlink()
    run()
    stats = assert_each_counted_once(sink, 3_000)
    assert stats["explained_duplicates"] == 3_000
