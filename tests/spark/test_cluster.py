"""On a cluster of two executors nothing is lost or counted twice, whatever fails."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from dataart_mp import ClientConfig
from dataart_mp.cli.nycflights.table import TOTAL
from dataart_mp.devsink.process import SinkProcess
from tests.spark.faults import executors, failing_once, kill_a_sending_executor
from tests.spark.test_guarantees import assert_each_counted_once
from tests.spark.test_writer import write

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.timeout(300)  # JVMs start slowly on a machine that is busy

KEY = "key-that-was-registered-1147"


@contextlib.contextmanager
def an_executor_dies_when(sink: SinkProcess, actions: int) -> Iterator[None]:
    """Kill an executor when so many actions have arrived."""

    def kill() -> None:
        sink.wait_for(lambda stats: stats["actions"] >= actions, timeout=250)
        kill_a_sending_executor(urlsplit(sink.url).port or 0)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


def test_all_flights_are_counted_once_although_a_task_fails_and_an_executor_is_killed(
    cluster: "SparkSession", sink: SinkProcess, all_flights: Path, tmp_path: Path
) -> None:
    from dataart_mp.spark import register

    register(cluster, ClientConfig(KEY, base_url=sink.url))
    sink.set_faults({"kind": "ack_lost", "times": 5})
    flag, file = tmp_path / "failed", tmp_path / "report.json"
    flights = cluster.read.parquet(str(all_flights))
    rows = failing_once(flights, flag, f"{sink.url}/_sink/requests")
    with an_executor_dies_when(sink, TOTAL // 3):
        write(rows, report=file.as_uri(), backoff=0.05)
    assert flag.exists()
    stats = assert_each_counted_once(sink, TOTAL)
    report = json.loads(file.read_text())
    assert report["delivered"] == report["rows"] == TOTAL == stats["distinct_actions"]
    assert stats["repeated_requests"] > 0
    assert shown_to_others() == []


def shown_to_others() -> list[str]:
    """Return the command lines and environments of the cluster's processes that show the key."""
    found = []
    for executor in executors():
        for process in (executor, *executor.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended
                texts = [*process.cmdline(), *process.environ().values()]
                found += [text for text in texts if KEY in text]
    assert len(executors()) > 0
    return found


def of_a_shuffle(cluster: "SparkSession", flights: Path) -> "DataFrame":
    rows = cluster.read.parquet(str(flights)).where("row <= 80000")
    return rows.repartition(6, "carrier", "flight")


@pytest.mark.filterwarnings("ignore:the rows come from a shuffle")
@pytest.mark.parametrize("is_sorted", [True, False])
def test_rows_of_a_shuffle_that_is_computed_again_are_counted_once_if_they_are_sorted(
    cluster: "SparkSession", sink: SinkProcess, all_flights: Path, is_sorted: bool
) -> None:
    from dataart_mp.spark import ship

    rows = of_a_shuffle(cluster, all_flights)
    if is_sorted:
        rows = rows.sortWithinPartitions("row")
    sink.set_faults({"kind": "latency", "seconds": 0.05})
    config: Any = ClientConfig(KEY, base_url=sink.url)
    with an_executor_dies_when(sink, 30_000):
        report = ship(rows, config=config, in_flight=2)
    assert report.delivered == report.rows == 80_000
    assert sorted(sink.ids()) == [*range(1, 80_001)]  # nothing is lost
    if is_sorted:
        stats = assert_each_counted_once(sink, 80_000)
        assert 0 < stats["repeated_requests"] <= report.may_repeat
