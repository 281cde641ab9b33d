"""A checked writer: a frame writer that keeps the checksum of what it appends."""

from zlib import crc32

from dataart_mp.queue import checksum
from dataart_mp.queue.account import Account
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.frame_writer import FrameWriter, Origin


class CheckedWriter(FrameWriter):
    """One open frame of this process, in an arena that survives a power failure.

    Moving `position` behind a record stores the checksum, so it is up to date before `append`
    returns.
    """

    __slots__ = ("_again", "_base", "_crc", "_end", "_word")

    def _begin(self, frame: int, kind: int, origin: Origin) -> None:
        account = self._arena.account(frame)
        # What is left of the checksums of another generation proves nothing in this one.
        account.generation_again = generation = account.generation + 1
        self._word = account.first + Account.appended.offset
        self._again = account.first + Account.appended_again.offset
        self._crc = checksum.start(generation, kind)
        self._base = self._end = self._arena.base(frame)
        super()._begin(frame, kind, origin)

    @property
    def position(self) -> int:
        """Where the next record goes, as an offset into the arena's memory."""
        return self._end

    @position.setter
    def position(self, end: int) -> None:
        # Called for each event: as `checksum.word`, in half the time.
        arena = self._arena
        self._crc = crc = crc32(arena.memory[self._end : end], self._crc)
        self._end = end
        words = arena.words
        words[self._word] = words[self._again] = (end - self._base) << checksum.LENGTH_SHIFT | crc


def writer_type_of(arena: Arena) -> type[FrameWriter]:
    """Return what opens frames of an arena."""
    return CheckedWriter if arena.durability else FrameWriter
