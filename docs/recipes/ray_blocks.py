"""Ships the blocks of a Ray dataset, each from a task on the machine that has it.

    export DATAART_API_KEY=any DATAART_BASE_URL=http://127.0.0.1:8765
    python ray_blocks.py orders/

The files have the columns `user_key`, `timestamp`, and any others, which become metadata. Ray runs
a task again if its machine fails. It then makes the same requests as before, with the same keys.
"""

import sys

import ray
import ray.data

from dataart_mp import ClientConfig, lit
from dataart_mp.ship import Report, ShipSettings, ship_iter


def main(folder: str) -> Report:
    """Ship all rows of the Parquet files in a folder, and return what became of them."""
    settings = ShipSettings(config=ClientConfig.from_env(), source="orders", key=lit("order"))
    blocks = ray.data.read_parquet(folder).to_arrow_refs()
    ship = ray.remote(ship_iter)
    return sum(
        ray.get([ship.remote(block, settings, str(n)) for n, block in enumerate(blocks)]), Report()
    )


if __name__ == "__main__":
    print(main(sys.argv[1]))
