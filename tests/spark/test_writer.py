"""`format("dataart")` and `ship` deliver the rows of a DataFrame."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dataart_mp import ClientConfig, ConfigError, TableError
from dataart_mp.devsink.process import SinkProcess

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.timeout(300)  # JVMs start slowly on a machine that is busy

ROWS = 3000


def purchases(spark: "SparkSession", rows: int = ROWS) -> "DataFrame":
    """Purchases in two partitions."""
    from pyspark.sql import functions

    number = functions.col("id")
    return spark.range(1, rows + 1, numPartitions=2).select(
        functions.lit("purchase").alias("what"),
        functions.concat(functions.lit("user-"), number % 100).alias("customer"),
        functions.timestamp_seconds(1_600_000_000 + number).alias("bought"),
        number.alias("row"),
        (number / 4).alias("price"),
    )


NAMES: dict[str, Any] = {
    "key_column": "what",
    "user_key_column": "customer",
    "timestamp_column": "bought",
}


def write(df: "DataFrame", **options: Any) -> None:
    df.write.format("dataart").mode("append").options(**options).save()


def test_each_row_arrives_once_as_an_action(local: "SparkSession", sink: SinkProcess) -> None:
    write(purchases(local), base_url=sink.url, batch_size=250, **NAMES)
    stats = sink.stats()
    assert stats["actions"] == stats["distinct_ids"] == ROWS
    assert stats["requests"] == 12
    (event,) = sink.events(id=17)
    assert event["key"] == "purchase"
    assert event["user_key"] == "user-17"
    assert event["timestamp"] == "2020-09-13T12:26:57+00:00"
    assert event["metadata"] == {"row": 17, "price": 4.25}


def test_the_programs_of_the_documentation_run(local: "SparkSession", sink: SinkProcess) -> None:
    page = (Path(__file__).parents[2] / "docs/spark.md").read_text()
    blocks = re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    program = "\n".join(block for block in blocks if "writeStream" not in block)
    names: dict[str, Any] = {"spark": local}
    exec(program.replace("http://127.0.0.1:8765", sink.url), names)
    assert names["report"].delivered == 1000
    assert sink.stats()["actions"] == 2000


def test_the_report_is_a_file(local: "SparkSession", sink: SinkProcess, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write(purchases(local), base_url=sink.url, report=file.as_uri(), source="orders", **NAMES)
    report = json.loads(file.read_text())
    assert report["outcome"] == "committed"
    assert report["source"] == "orders"
    assert report["rows"] == report["delivered"] == sink.stats()["actions"] == ROWS
    assert report["parts"] == 2
    assert report["unknown_tasks"] == report["failed"] == report["may_repeat"] == 0


def test_ship_returns_the_report(local: "SparkSession", sink: SinkProcess) -> None:
    from dataart_mp.spark import ship

    config = ClientConfig("another-key", base_url=sink.url)
    report = ship(purchases(local), config=config, batch_size=100, **NAMES)
    assert report.rows == report.delivered == sink.stats()["distinct_ids"] == ROWS
    assert report.requests == sink.stats()["requests"] == 30
    assert report.parts == 2


def test_options_choose_the_metadata(local: "SparkSession", sink: SinkProcess) -> None:
    from dataart_mp.spark import ship

    table = purchases(local, 20).drop("what")
    options = {**NAMES, "key_column": None, "key": "bought", "base_url": sink.url}
    ship(table, metadata="row, cents=price:text", **options)
    (event,) = sink.events(id=8)
    assert (event["key"], event["metadata"]) == ("bought", {"row": 8, "cents": "2.0"})


def test_metadata_may_be_json_that_spark_made(local: "SparkSession", sink: SinkProcess) -> None:
    from pyspark.sql import functions

    from dataart_mp.spark import ship

    packed = functions.to_json(functions.struct("row", "price")).alias("packed")
    table = purchases(local, 20).select("what", "customer", "bought", packed)
    report = ship(table, base_url=sink.url, metadata_json_column="packed", **NAMES)
    assert report.delivered == 20
    (event,) = sink.events(id=8)
    assert event["metadata"] == {"row": 8, "price": 2.0}


def test_a_bad_row_fails_the_job_or_is_skipped(local: "SparkSession", sink: SinkProcess) -> None:
    from pyspark.errors import PySparkException
    from pyspark.sql import functions

    from dataart_mp.spark import ship

    is_bad = functions.col("row") == 5
    customer = functions.when(is_bad, functions.lit("")).otherwise(functions.col("customer"))
    table = purchases(local, 20).withColumn("customer", customer)
    with pytest.raises(PySparkException, match="RowError: part 0, row 4, column 'customer': user"):
        ship(table, base_url=sink.url, **NAMES)
    report = ship(table, base_url=sink.url, on_bad_row="skip", **NAMES)
    assert (report.rows, report.delivered, report.bad_rows) == (20, 19, 1)
    assert (report.bad_samples[0].part, report.bad_samples[0].row) == ("0", 4)


def test_a_rejected_event_is_counted_with_a_sample(
    local: "SparkSession", sink: SinkProcess
) -> None:
    from dataart_mp.spark import ship

    sink.set_faults({"kind": "refuse", "match": {"metadata": {"row": 5}}})
    report = ship(purchases(local, 20), base_url=sink.url, **NAMES)
    assert (report.rows, report.delivered, report.rejected) == (20, 19, 1)
    assert '"row":5' in report.rejected_samples[0].record
    assert sink.stats()["distinct_ids"] == 19


def test_mistakes_are_reported_before_any_row_is_computed(
    local: "SparkSession", sink: SinkProcess
) -> None:
    from pyspark.sql import functions

    from dataart_mp.spark import ship

    computed = purchases(local).withColumn("boom", functions.raise_error(functions.lit("computed")))
    with pytest.raises(TableError, match=r"user_key_column: no column 'custmer' in .* 'cust"):
        ship(computed, base_url=sink.url, **{**NAMES, "user_key_column": "custmer"})
    with pytest.raises(ConfigError, match="user_key: is not an option; did you mean user_key_c"):
        ship(computed, base_url=sink.url, user_key="customer")


@pytest.mark.parametrize(
    ("options", "problem"),
    {
        "a secret": ({"api_key": "sk-1"}, r"api_key=\*\*\*: is not an option, because options app"),
        "a typo": ({"batchsize": "5"}, "batchsize: is not an option; did you mean batch_size"),
        "a missing column": ({"timestamp_column": "at"}, "timestamp_column: no column 'at' in wha"),
    }.values(),
    ids=["a secret", "a typo", "a missing column"],
)
def test_mistakes_of_a_write_are_shown_by_spark(
    local: "SparkSession", sink: SinkProcess, options: dict[str, str], problem: str
) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match=problem):
        write(purchases(local), base_url=sink.url, **{**NAMES, **options})
    assert sink.stats()["requests"] == 0


def test_what_the_platform_cannot_do_is_refused(local: "SparkSession") -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match='mode="overwrite": nothing that was sent can be'):
        purchases(local).write.format("dataart").mode("overwrite").save()
    with pytest.raises(AnalysisException, match="the format dataart can only be written"):
        local.read.format("dataart").load()


def test_a_registered_configuration_is_used_until_another_is_registered(
    local: "SparkSession", sink: SinkProcess
) -> None:
    from dataart_mp.spark import register

    with SinkProcess("--id-field", "row", api_key="registered") as other:
        register(local, ClientConfig("registered", base_url=other.url))
        write(
            purchases(local, 20), rate_limit=1000, **NAMES
        )  # shared by as many tasks as there are
        assert other.stats()["actions"] == 20
    register(local)
    write(purchases(local, 20), base_url=sink.url, **NAMES)
    assert sink.stats()["actions"] == 20
