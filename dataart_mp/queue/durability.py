"""The levels of durability: what of an arena a power failure may cost.

    NONE      what the kernel has not written to the disk yet
    INTERVAL  what is not older than a second: `SyncRounds` brings the rest to the disk
    BATCH     what is not sealed yet, and not older than a second: a frame is brought to the disk
              before a worker hears of it

With INTERVAL and BATCH, each frame has a checksum, so that nothing is sent that the power failure
has torn.
"""

from typing import Final

NONE: Final = 0
INTERVAL: Final = 1
BATCH: Final = 2

LEVELS: Final = {"none": NONE, "interval": INTERVAL, "batch": BATCH}
"""The levels by the values of the setting `spool_sync`."""
