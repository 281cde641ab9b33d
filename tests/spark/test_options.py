"""Options are text; what is wrong with one is said with its name, its value and the fix."""

import dataclasses
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import ClientConfig, ConfigError, TableError

pytest.importorskip("pyspark.sql.datasource", reason="PySpark 4 is not installed")

from pyspark.sql.types import (
    BinaryType,
    DataType,
    DoubleType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from dataart_mp.spark.arrow import batches_of
from dataart_mp.spark.job import Job, Registration, job_of
from dataart_mp.spark.options import Options, read_options
from dataart_mp.table.column_map import MetadataColumn


def columns(**types: DataType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in types.items()])


SCHEMA = columns(
    key=StringType(),
    user_key=StringType(),
    timestamp=TimestampType(),
    local=TimestampNTZType(),
    price=DoubleType(),
    raw=BinaryType(),
)
CONFIG = ClientConfig("secret-key", base_url="http://127.0.0.1:9")


def job(running: int | None = None, **options: object) -> Job:
    given = {"metadata": "price", **options}
    return job_of(given, SCHEMA, Registration(CONFIG, running))


def test_names_ignore_case_and_values_do_not() -> None:
    options = read_options({"Key_Column": "What", "BATCH_SIZE": "7", "in_flight": 2})
    assert options == Options(key_column="What", batch_size=7, in_flight=2)


def test_options_that_are_none_or_belong_to_spark_are_not_set() -> None:
    assert read_options({"source": None, "checkpointlocation": "/c", "queryname": "q"}) == Options()


def test_metadata_names_columns_types_and_entries() -> None:
    options = read_options({"metadata": 'price:float, shop=store, "a,b"'})
    assert options.metadata == (
        MetadataColumn("price", "price", "float"),
        MetadataColumn("shop", "store"),
        MetadataColumn("a,b", "a,b"),
    )


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "secret": (
        {"api_key": "sk-4711"},
        "api_key=***: is not an option, because options appear in the plan of a query and in "
        "Spark's UI; set DATAART_API_KEY for the driver, or call",
    ),
    "typo": ({"batch_sise": 5}, "batch_sise: is not an option; did you mean batch_size?"),
    "unlike any": ({"xyz": 5}, "xyz: is not an option; there are base_url, source, key,"),
    "path": ({"path": "/out"}, "path='/out': the platform has no paths; call save() or start()"),
    "empty": ({"user_key_column": " "}, "user_key_column=' ': must not be empty; leave it out"),
    "no number": ({"batch_size": "ten"}, "batch_size='ten': must be a whole number, such as 16"),
    "too small": ({"in_flight": 0}, "in_flight=0: must be 1 or more"),
    "no seconds": ({"read_timeout": "1s"}, "read_timeout='1s': must be a number of seconds, such"),
    "infinite": ({"rate_limit": "inf"}, "rate_limit='inf': must be more than zero, in requests"),
    "backoff": (
        {"backoff": "cubic"},
        "backoff='cubic': must be linear, exponential, or a number of sec",
    ),
    "choice": ({"on_bad_row": "drop"}, "on_bad_row='drop': must be fail or skip"),
    "compression": ({"compression": "br"}, "compression='br': must be gzip or zstd"),
    "zone": ({"timezone": "Vienna"}, "timezone='Vienna': is not a time zone; an example is Europe"),
    "time": ({"sent_at": "2026-11-28"}, "sent_at='2026-11-28': must be a time such as 2026-11-28T"),
    "relative": ({"report": "a.json"}, "report='a.json': must be a URI or an absolute path, such"),
    "two keys": ({"key": "a", "key_column": "b"}, "key='a': and key_column are mutually exclusive"),
    "source": ({"source": "a b"}, "source='a b': must have 1 to 100 letters, digits, or any of"),
    "url": ({"base_url": "host"}, "base_url='host': must begin with http:// or https://"),
    "tasks alone": ({"tasks": 4}, "tasks=4: has no effect without rate_limit; set rate_limit too"),
    "unknown tasks": (
        {"rate_limit": 10},
        "rate_limit=10.0: is divided by the number of tasks that run at the same time, which is "
        "not known here; set the option tasks, or call dataart_mp.spark.register(spark)",
    ),
}


@pytest.mark.parametrize(("options", "problem"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_refused_with_its_name_value_and_fix(
    options: dict[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        job(None, **options)
    assert str(caught.value).startswith(problem)
    assert "4711" not in str(caught.value)


COLUMNS: dict[str, tuple[dict[str, object], str]] = {
    "missing": (
        {"user_key_column": "user"},
        "user_key_column: no column 'user' in key, user_key, timestamp, local, price, raw; did you "
        "mean 'user_key'?",
    ),
    "no zone": (
        {"timestamp_column": "local"},
        "timestamp_column: column 'local' has the type timestamp[us], without a zone; set the "
        'option timezone, for example "UTC"',
    ),
    "no timestamp": (
        {"timestamp_column": "price"},
        "timestamp_column: column 'price' has the type double, but needs timestamps or",
    ),
    "bytes": (
        {"metadata": "raw"},
        "metadata: column 'raw' has the type binary, which JSON has not",
    ),
    "metadata": ({"metadata": "prize"}, "metadata: no column 'prize' in key, user_key, timestamp"),
}


@pytest.mark.parametrize(("options", "problem"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_that_does_not_fit_is_refused_with_the_option_that_names_it(
    options: dict[str, object], problem: str
) -> None:
    with pytest.raises(TableError) as caught:
        job(None, **options)
    assert str(caught.value).startswith(problem)


def test_a_time_is_required() -> None:
    timeless = columns(key=StringType(), user_key=StringType(), at=TimestampType())
    with pytest.raises(
        TableError, match="timestamp_column: no column 'timestamp' in key, user_key"
    ):
        job_of({}, timeless, Registration(CONFIG))


def test_a_stream_needs_the_name_of_its_source() -> None:
    with pytest.raises(ConfigError, match="source: is required for a stream, because a micro-b"):
        job_of({}, SCHEMA, Registration(CONFIG), is_stream=True)


def test_each_job_without_a_name_has_its_own_source() -> None:
    first, second = job(), job()
    assert first.settings.source != second.settings.source


def test_delivery_options_change_the_configuration() -> None:
    config = job(
        base_url="http://127.0.0.1:10",
        retries=7,
        backoff="0.5",
        read_timeout=2,
        compression="gzip",
    ).settings.config
    assert (config.api_key, config.base_url) == ("secret-key", "http://127.0.0.1:10")
    assert (config.flush_num_retries, config.flush_backoff_ratio) == (7, 0.5)
    assert (config.http.read_timeout, config.http.compression) == (2, "gzip")
    assert job(backoff="exponential").settings.config.backoff == "exponential"


def test_tasks_share_the_rate_limit() -> None:
    assert job(rate_limit=100, tasks=8).settings.rate_limit == 12.5
    assert job(running=4, rate_limit=100).settings.rate_limit == 25
    assert job(running=4, rate_limit=100, tasks=8).settings.rate_limit == 12.5


def test_a_job_that_may_be_run_again_has_no_fixed_time() -> None:
    assert job().settings.sent_at is not None
    assert job(source="orders").settings.sent_at is None
    moment = job(source="orders", sent_at="2026-11-28T10:00:00Z").settings.sent_at
    assert moment == datetime(2026, 11, 28, 10, tzinfo=UTC)


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/spark.md").read_text()
    table = page.partition("## Options")[2].partition("\n## ")[0]
    names = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    documented = {name for cell in names for name in re.findall(r"`(\w+)`", cell)}
    assert documented == {*(field.name for field in dataclasses.fields(Options)), "api_key"}


def test_a_job_shows_no_secret() -> None:
    assert "secret-key" not in repr(job())


def test_rows_of_an_old_release_become_batches() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    schema = pyarrow.schema(
        [
            ("at", pyarrow.timestamp("us", "UTC")),
            ("local", pyarrow.timestamp("us")),
            ("price", pyarrow.float64()),
        ]
    )
    noon = datetime(2026, 11, 28, 12)  # noqa: DTZ001 - local time, as Spark passes it
    rows: list[tuple[Any, ...]] = [(noon, noon, 1.5), (None, None, None)] * 6000  # as Row is
    batches = [*batches_of(iter(rows), schema)]
    assert [batch.num_rows for batch in batches] == [10_000, 2_000]
    assert batches[0].schema == schema
    assert batches[0].slice(0, 2).to_pylist() == [
        {"at": noon.astimezone(UTC), "local": noon, "price": 1.5},
        {"at": None, "local": None, "price": None},
    ]


def test_without_pyspark_the_extra_is_named() -> None:
    program = "import sys; sys.modules['pyspark'] = None; import dataart_mp.spark"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith("needs PySpark 4; run: pip install 'dataart-mp[spark]'")
