"""Ship DataFrames and streams of Apache Spark. It needs the extra `spark`, and Java 17 or newer.

    df.write.format("dataart").mode("append").options(user_key_column="customer").save()
    report = dataart_mp.spark.ship(df, user_key_column="customer")

    driver    options ─► job ─► writer, pickled ──────────► report
    executor                      └► task ─► dataart_mp.ship ─┘

source         `format("dataart")`, as Spark looks it up
registration   `register`: the format with a configuration of the driver
session        what a session says about its cluster and its jobs
options        the options of a write, read from text
terms          their names in messages
job            options and columns, checked before any task begins
arrow          rows of Spark as record batches
speculation    refuses speculative execution
order          warns of rows that a shuffle brings in any order
task           ships a partition
writer         the writer of DataFrames
stream_writer  the writer of streams
report_file    the report as a file
shipping       `ship`: ships a DataFrame and returns the report
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from dataart_mp.errors import MissingExtraError

try:
    import pyspark.sql.datasource  # noqa: F401 - exists since PySpark 4
except ImportError as error:
    raise MissingExtraError(
        "dataart_mp.spark needs PySpark 4; run: pip install 'dataart-mp[spark]'"
    ) from error

if TYPE_CHECKING:
    from dataart_mp.ship import Report
    from dataart_mp.spark.registration import register
    from dataart_mp.spark.shipping import ship
    from dataart_mp.spark.source import DataArtSource

__all__ = ["DataArtSource", "Report", "register", "ship"]

# Imported on first use: PySpark imports this package in each application.
_HOMES: Final = {
    "DataArtSource": "dataart_mp.spark.source",
    "Report": "dataart_mp.ship",
    "register": "dataart_mp.spark.registration",
    "ship": "dataart_mp.spark.shipping",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value
