"""Whatever Spark shows of a job, the API key is not in it."""

import io
import json
import urllib.request
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dataart_mp import ClientConfig
from dataart_mp.devsink.process import SinkProcess
from tests.spark.conftest import API_KEY
from tests.spark.test_writer import NAMES, purchases, write
from tests.support import wait_until

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.timeout(300)  # JVMs start slowly on a machine that is busy

REGISTERED = "key-that-was-registered-5711"
PASSED = "key-that-was-passed-3923"
SOURCE = "a-source-that-is-shown"
PAGES = (
    "sql?details=true&planDescription=true&length=1000",
    *("jobs", "stages?details=true", "environment", "executors", "allexecutors", "storage/rdd"),
)


def test_the_key_is_in_no_plan_page_or_log(
    local: "SparkSession", sink: SinkProcess, events: Path
) -> None:
    from dataart_mp.spark import register, ship
    from dataart_mp.spark.ended_tasks import EndedTasks
    from dataart_mp.spark.job import Registration, job_of
    from dataart_mp.spark.shipping import reports_of

    rows = purchases(local, 100)
    write(rows, base_url=sink.url, source=SOURCE, **NAMES)
    register(local, ClientConfig(REGISTERED, base_url=sink.url))
    write(rows, **NAMES)
    register(local)
    ship(rows, config=ClientConfig(PASSED, base_url=sink.url), **NAMES)
    assert sink.stats()["actions"] == 300

    plans = io.StringIO()
    job = job_of(NAMES, rows.schema, Registration(ClientConfig(PASSED)))
    with redirect_stdout(plans):
        for mode in ("extended", "formatted", "codegen", "cost"):
            reports_of(rows, job, EndedTasks(local)).explain(mode=mode)
    shown = "\n".join([plans.getvalue(), *pages(local), *log(events)])
    assert SOURCE in shown  # what options contain is shown: so the search would find a key
    for key in (API_KEY, REGISTERED, PASSED):
        assert key not in shown
        assert key.encode().hex() not in shown


def pages(spark: "SparkSession") -> Iterator[str]:
    """Return what the REST interface of the UI responds."""
    address = f"{spark.sparkContext.uiWebUrl}/api/v1/applications"
    application = spark.sparkContext.applicationId

    def page(name: str) -> str:
        with urllib.request.urlopen(f"{address}/{application}/{name}", timeout=30) as response:
            text: str = response.read().decode()
            return text

    wait_until(lambda: len(json.loads(page(PAGES[0]))) >= 3)
    return map(page, PAGES)


def log(folder: Path) -> Iterator[str]:
    """Return the event logs."""
    files = [*folder.iterdir()]
    assert files
    return (file.read_text() for file in files)
