"""The durable pool: a writer pool whose frames survive a power failure."""

from dataart_mp.queue.arena import Arena
from dataart_mp.queue.checked_writer import CheckedWriter
from dataart_mp.queue.durability import BATCH
from dataart_mp.queue.frame_writer import FrameWriter
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.queue.writer_pool import WriterPool


class DurablePool(WriterPool):
    """The frame writers of one process in an arena with durability; see `WriterPool`."""

    writer_type = CheckedWriter

    def seal(self, writer: FrameWriter) -> None:
        """Hand a writer's frame to the workers, with BATCH when it is on the disk."""
        # Before everything else: in the meantime the process may fork, or lose its descriptors. Its
        # checksum is in the account, so the state that says READY need not be on the disk.
        if self._arena.durability == BATCH:
            self._arena.syncer.sync()
        super().seal(writer)


def pool_of(arena: Arena, work: WakeupPipe) -> WriterPool:
    """Return the pool for the frame writers of this process.

    Args:
        arena: Where the frames are.
        work: The pipe that notifies workers.
    """
    return (DurablePool if arena.durability else WriterPool)(arena, work)
