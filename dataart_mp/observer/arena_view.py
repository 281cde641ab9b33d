"""An arena that is only read: it has no lock, and no store to it is possible."""

import mmap
import os
from array import array
from typing import TYPE_CHECKING

from dataart_mp import clock
from dataart_mp.queue import process
from dataart_mp.queue.account import WORD_BYTES
from dataart_mp.queue.arena import FLOW_WORD, FLOW_WORDS, Arena
from dataart_mp.queue.header import Header
from dataart_mp.spool.arena_file import ArenaError, check_sizes

if TYPE_CHECKING:
    from dataart_mp.queue.status import WorkerRow


class ArenaView(Arena):
    """The mapping of another client's arena; see `Arena`. Storing to it raises TypeError.

    It stays readable when the client has ended, and when the file is removed.

    Args:
        fd: Descriptor of the memory, which needs no permission to write. The caller closes it.

    Raises:
        ArenaError: The memory does not hold an arena that this release can read.
        OSError: It cannot be mapped.
    """

    def __init__(self, fd: int) -> None:
        header = Header.read(fd)
        check_sizes(header)
        size = Arena.size_of(header)
        if os.fstat(fd).st_size < size:  # reading what is missing would kill this process
            raise ArenaError("truncated", f"it has {os.fstat(fd).st_size} of {size} bytes")
        self.path = None
        self.frames, self.capacity, self.stride = header.frames, header.capacity, header.stride
        self.id = header.identity.hex()
        self._place(header)
        self.memory = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        self.words = memoryview(self.memory)[: self._frames].cast("Q")
        flow = slice(FLOW_WORD * WORD_BYTES, (FLOW_WORD + FLOW_WORDS) * WORD_BYTES)
        self.flow = memoryview(self.memory)[flow].cast("d")
        self._accounts = {}
        self.process = process.NOBODY
        self.process_words = memoryview(array("Q", self.process))

    @property
    def is_of_this_boot(self) -> bool:
        """Whether its times are of the clock of this boot."""
        boot = process.world().boot
        # Where no boot has an id, nothing says that there was a restart.
        return not boot or self.world.boot == boot

    @property
    def names_processes(self) -> bool:
        """Whether its process ids have a meaning here: not those of a container, for example."""
        here = process.world()
        return here.is_known and here == self.world

    def is_worker_alive(self, row: "WorkerRow") -> bool:
        """Return whether a worker is alive: by its process, or else by its last sign of life.

        Args:
            row: What the worker in that place has said of itself last.
        """
        if self.names_processes:
            return process.is_alive(row.process)
        return self.is_of_this_boot and row.is_recent(clock.now())

    def close(self) -> None:
        """Unmap the memory."""
        self.flow.release()
        self.words.release()
        self.memory.close()
