"""The record queue: shared memory between producers and workers, owned frame by frame.

    FREE ──claim──► FILLING ──seal──► READY ──claim──► SENDING ──settle──► SETTLED ──free──► FREE
           producer process             ▲                 │ worker process
                                        └──── WAITING ◄───┘ (backoff: owned by nobody)

Read in this order:

    locks, arena, account     who owns a frame, where its bytes lie, what its words mean
    clock                     the time by which frames age and wait
    frame_writer, writer_pool a producer's open frames
    frame, joining, release   a worker's claimed frame
    wakeup, janitor           how others learn of work, and what becomes of the frames of the dead
    checksum, checked_writer, durable_pool, syncer, sync_rounds
                              what survives a power failure, see `durability`
    counters, reading, accounting
                              the counters that belong to no frame, what frames hold and held, and
                              the balance of all records
    producer_end, worker_end  what clients and workers call
    lifetime, companion       fork, waiting and close; who provides workers
    reader                    single records, for `get`
    record_queue              all of it, with the interface of a `multiprocessing.JoinableQueue`
"""

from dataart_mp.queue.companion import AbandonedError
from dataart_mp.queue.frame import Frame
from dataart_mp.queue.record_queue import RecordQueue

__all__ = ["AbandonedError", "Frame", "RecordQueue"]
