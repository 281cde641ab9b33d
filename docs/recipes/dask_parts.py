"""Ships the partitions of a Dask DataFrame, each from the worker that has it.

    export DATAART_API_KEY=any DATAART_BASE_URL=http://127.0.0.1:8765
    python dask_parts.py 'orders/*.parquet'

The files have the columns `user_key`, `timestamp`, and any others, which become metadata. If the
program is run again, it makes the same requests as before, with the same keys.
"""

import sys
from datetime import UTC, datetime

import dask
import dask.dataframe as dd

from dataart_mp import ClientConfig, lit
from dataart_mp.ship import Report, ShipSettings, ship_iter


def main(files: str) -> Report:
    """Ship all rows of the files, and return what became of them."""
    settings = ShipSettings(
        config=ClientConfig.from_env(),
        source="orders-2026-11",
        sent_at=datetime(2026, 11, 28, tzinfo=UTC),
        key=lit("order"),
    )
    parts = dd.read_parquet(files).to_delayed()
    ship = dask.delayed(ship_iter)
    reports = dask.compute(*(ship(part, settings, str(n)) for n, part in enumerate(parts)))
    return sum(reports, Report())


if __name__ == "__main__":
    print(main(sys.argv[1]))
