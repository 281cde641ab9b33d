"""A new owner: a client on the spool of an application that has ended sends what was parked."""

import sys
import time
from pathlib import Path
from typing import Final

from dataart_mp import Client, ClientConfig, HTTPOptions
from dataart_mp.spool.parking_lot import ParkingLot

_LOOK_SECONDS: Final = 0.1


def main() -> None:
    """Run until the spool is empty: `python -m tests.chaos.new_owner URL SPOOL SECONDS`."""
    url, spool, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    deadline = time.monotonic() + seconds
    config = ClientConfig(
        "chaos",
        base_url=url,
        http=HTTPOptions(trust_env=False),
        spool_dir=spool,
        flush_buffer_size=64,
        max_request_bytes=16 * 1024,
    )
    with Client(config) as client:
        lot = ParkingLot(spool, max_bytes=0)
        # An application that was killed while it ended may have left no batch, only its mark. The
        # workers that look for batches remove it.
        own = client._queue.arena.id
        while (left := lot.batches() or {*lot.marked()} - {own}) or client.stats().pending:
            if time.monotonic() > deadline:
                sys.exit(f"{client.stats()}; parked: {[*left][:3]}")
            time.sleep(_LOOK_SECONDS)
        lot.close()


if __name__ == "__main__":
    main()
