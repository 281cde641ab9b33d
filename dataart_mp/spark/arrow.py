"""Rows of Spark as record batches of Arrow."""

import inspect
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from dataart_mp.errors import MissingExtraError, TableError

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

_BATCH_ROWS: Final = 10_000


def arrow_schema(schema: "StructType") -> Any:
    """Return the columns as tasks get them from Spark.

    Args:
        schema: The columns of a DataFrame.

    Raises:
        MissingExtraError: The package pyarrow is not installed.
        TableError: Arrow has no type for a column.
    """
    try:
        import pyarrow  # noqa: F401 - Spark's own message names no extra
    except ModuleNotFoundError:
        remedy = "pip install 'dataart-mp[spark]', on the driver and on the executors"
        raise MissingExtraError(f"the format dataart needs pyarrow: {remedy}") from None
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import to_arrow_schema

    # Old releases have no such argument: there the zone is always UTC.
    has_zone = "timezone" in inspect.signature(to_arrow_schema).parameters
    zone: dict[str, Any] = {"timezone": "UTC"} if has_zone else {}
    try:
        return to_arrow_schema(schema, **zone)
    except PySparkException as error:
        raise TableError(f"a column cannot be sent: {error}; convert it or drop it") from error


def batches_of(rows: Iterator[Any], schema: Any) -> Iterator[Any]:
    """Convert rows to record batches; the stream writer of PySpark 4.0 gets rows.

    Args:
        rows: Objects of `pyspark.sql.Row`, whose timestamps are local time without a zone.
        schema: The `pyarrow.Schema` of the columns.
    """
    import pyarrow

    instants = [
        number
        for number, field in enumerate(schema)
        if pyarrow.types.is_timestamp(field.type) and field.type.tz is not None
    ]
    while some := [*islice(rows, _BATCH_ROWS)]:
        columns = [[*column] for column in zip(*some, strict=True)]
        for number in instants:
            columns[number] = [_in_utc(moment) for moment in columns[number]]
        arrays = [
            pyarrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)
        ]
        yield pyarrow.RecordBatch.from_arrays(arrays, schema=schema)


def _in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)
