"""Idle memory: the pages of free frames, which are given back to the system after a while.

A burst, or an outage, fills frames that are not used otherwise. Their memory would stay with the
client for as long as it lives: with the largest frames, more than 100 MB.
"""

import mmap
from typing import Final

from dataart_mp.queue.arena import FREE, Arena

IDLE_SECONDS: Final = 1.0
"""A good time from one call of `IdleMemory.give_back` to the next."""

# The lowest free frames are filled first. So few events find the first page of their frame, and
# many, which fill more frames, pay for a new page once.
_KEPT: Final = 16


class IdleMemory:
    """Gives back the memory of frames that no producer fills any more; for one thread.

    Args:
        arena: The arena. One in a file keeps its memory: its room on the disk is reserved.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._seen = [0] * arena.frames  # the generations at the last call
        self._given_back = [0] * arena.frames  # the generations whose memory was given back

    def give_back(self) -> int:
        """Give back the memory of the free frames that were not filled since the last call.

        Returns:
            The number of these frames.
        """
        if not self._arena.can_discard:
            return 0
        before, self._seen = self._seen, self._arena.generations()
        if self._seen == self._given_back:  # as always in an idle client
            return 0
        count = 0
        for frame, generation in enumerate(self._seen):
            if generation == before[frame] != self._given_back[frame]:
                count += self._give_back(frame, generation)
        return count

    def _give_back(self, frame: int, generation: int) -> bool:
        arena = self._arena
        if arena.state(frame) != FREE or not arena.locks.acquire(frame, self):
            return False
        try:
            # A producer may have filled it in between.
            is_idle = arena.state(frame) == FREE and arena.generation(frame) == generation
            if is_idle:
                arena.discard(frame, 0 if frame >= _KEPT else mmap.PAGESIZE, arena.stride)
                self._given_back[frame] = generation
        finally:
            arena.locks.release(frame)
        return is_idle
