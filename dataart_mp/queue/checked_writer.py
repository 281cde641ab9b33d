"""A checked writer: a frame writer that keeps the checksum of what it appends."""

from dataart_mp.queue import checksum
from dataart_mp.queue.frame_writer import FrameWriter, Origin


class CheckedWriter(FrameWriter):
    """One open frame of this process, in an arena that survives a power failure.

    Moving `position` behind a record stores the checksum, so it is up to date before `append`
    returns.
    """

    __slots__ = ("_base", "_crc", "_end")

    def _begin(self, frame: int, kind: int, origin: Origin) -> None:
        account = self._arena.account(frame)
        account.synced = 0
        self._account = account
        self._crc = checksum.start(account.generation + 1, kind)
        self._base = self._end = self._arena.base(frame)
        super()._begin(frame, kind, origin)

    @property
    def position(self) -> int:
        """Where the next record goes, as an offset into the arena's memory."""
        return self._end

    @position.setter
    def position(self, end: int) -> None:
        self._crc = checksum.extended(self._crc, self._arena.memory[self._end : end])
        self._end = end
        self._account.appended = checksum.word(end - self._base, self._crc)
