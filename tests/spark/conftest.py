"""Sessions of Spark, a sink that counts rows, and DataFrames of flights.

Starting a JVM and a session takes seconds, so all tests share one session for each master.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.spark.flights import write_flights

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
API_KEY = "key-of-the-environment-4711"
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""Options of Java for programs that run for seconds."""

SETTINGS: dict[str, str | bool | int | float | None] = {
    "spark.driver.extraJavaOptions": QUICK,
    "spark.executor.extraJavaOptions": QUICK,
    "spark.log.level": "OFF",
    "spark.shuffle.io.maxRetries": "1",  # a dead executor is noticed after 0.1 s, not 15
    "spark.shuffle.io.retryWait": "100ms",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.files.maxPartitionBytes": "1000000",
    "spark.sql.files.openCostInBytes": "1",
    "spark.ui.showConsoleProgress": "false",
}

SessionOf = Callable[..., "SparkSession"]
"""Returns the session of a master, with further settings."""


@pytest.fixture(scope="session")
def _java() -> None:
    """Skip tests that need Java where there is none."""
    pytest.importorskip("pyspark.sql.datasource", reason="PySpark 4 is not installed")
    if shutil.which("java", path=_java_path()) is None:
        pytest.skip("there is no Java: install openjdk-17-jre-headless")


def _java_path() -> str:
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin" if home else os.environ.get("PATH", "")


@pytest.fixture(scope="session")
def session_of(_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionOf]:
    """Starts the session of a master, and stops the one before."""
    from pyspark.sql import SparkSession

    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {
        "DATAART_API_KEY": API_KEY,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": path,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(tmp_path_factory.mktemp("spark")),
    }
    current: dict[str, SparkSession] = {}

    def start(master: str, **settings: str | bool | int | float | None) -> SparkSession:
        if master not in current:
            for name in [*current]:
                current.pop(name).stop()
            builder = SparkSession.builder.master(master).config(map=SETTINGS)
            current[master] = builder.config(map=settings).getOrCreate()
        return current[master]

    with pytest.MonkeyPatch.context() as patch:
        for name, text in environment.items():
            patch.setenv(name, text)
        yield start
        for session in current.values():
            session.stop()


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the event log."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture
def local(session_of: SessionOf, events: Path) -> "SparkSession":
    """A session that runs two tasks at once, each up to twice, with a UI and an event log."""
    log = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.sql.ui.explainMode": "extended",
        "spark.ui.enabled": "true",
        "spark.ui.port": "0",
    }
    return session_of("local[2,2]", **log)


@pytest.fixture
def cluster(session_of: SessionOf) -> "SparkSession":
    """A session with two executors, which are processes."""
    return session_of("local-cluster[2,1,1024]", **{"spark.ui.enabled": "false"})


@pytest.fixture(scope="session")
def _rows_sink() -> Iterator[SinkProcess]:
    with SinkProcess("--id-field", "row") as sink:
        yield sink


@pytest.fixture
def sink(_rows_sink: SinkProcess) -> SinkProcess:
    """A sink that has received nothing, and counts the rows that arrive."""
    _rows_sink.reset()
    return _rows_sink


@pytest.fixture(scope="session")
def all_flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of all flights."""
    return write_flights(tmp_path_factory.mktemp("flights") / "flights.parquet")
