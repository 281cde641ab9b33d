"""A table of all flights, as a job of Spark reads it from a data lake."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
from pyarrow import json

from dataart_mp.cli.nycflights.table import TOTAL

_SAMPLE = Path(__file__).parents[1] / "data/flights.jsonl"
_ROWS_IN_A_GROUP = 30_000
"""Spark reads groups of rows in parallel."""


def write_flights(path: Path, count: int = TOTAL) -> Path:
    """Write as many flights as there are in all, each with its number, to a Parquet file.

    They are the sample of the tests, repeated: the whole table may not have been downloaded.
    """
    sample = json.read_json(_SAMPLE).flatten()
    names = [name.removeprefix("metadata.") for name in sample.column_names]
    sample = sample.rename_columns(names)
    copies = [sample] * -(-count // len(sample))
    flights = pyarrow.concat_tables(copies).slice(0, count).combine_chunks()
    rows = pyarrow.array(range(1, count + 1), pyarrow.int64())
    flights = flights.set_column(names.index("row"), "row", rows)
    moments = flights["timestamp"].cast(pyarrow.timestamp("us", "UTC"))
    flights = flights.set_column(names.index("timestamp"), "timestamp", moments)
    pyarrow.parquet.write_table(flights, path, row_group_size=_ROWS_IN_A_GROUP)
    return path
