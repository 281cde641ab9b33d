"""The record queue: shared memory between producers and workers, owned frame by frame.

    FREE ──claim──► FILLING ──seal──► READY ──claim──► SENDING ──settle──► SETTLED ──wipe──► FREE
           producer process             ▲                 │ worker process
                                        └──── WAITING ◄───┘ (backoff: owned by nobody)

Read in this order: `locks` (who owns a frame), `arena` (where its bytes lie: in a `nameless` file,
or in one of the `spool`), `bell` (how the other side hears of it), `writer` (a producer's open
frame), `frame` (a worker's claimed frame), `restock` (a frame filled from what was parked, as far
as `ownership` allows), `counters` (the counters), `record_queue` (all of it, behind the face of a
`multiprocessing.Queue`).
"""

from dataart_mp.queue.frame import Frame
from dataart_mp.queue.record_queue import AbandonedError, RecordQueue

__all__ = ["AbandonedError", "Frame", "RecordQueue"]
