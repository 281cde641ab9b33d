"""Sync rounds: twice a second, what was appended is brought to the disk.

    1. note what is in each frame   appended
    2. bring it to the disk
    3. say so                       synced = what was noted

`synced` reaches the disk no later than the next `appended`, because both are in one sector.

All processes of an arena may run rounds; the first one does what is due. Sealing and sending
continue meanwhile.
"""

from typing import Final

from dataart_mp import clock
from dataart_mp.queue.arena import FILLING, READY, SENDING, WAITING, Arena

_PERIOD_NS: Final = 500_000_000


class SyncRounds:
    """The sync rounds of one process; for one thread.

    Args:
        arena: The arena that is brought to the disk.
    """

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._was_busy = False

    def run_if_due(self) -> float:
        """Run a round unless some process has just begun one.

        Returns:
            Seconds until the next one is due.
        """
        now = clock.monotonic_ns()
        # Not a lock: a process that is stopped in the middle must not hold up the others.
        age = now - self._arena.synced_at
        if not 0 <= age < _PERIOD_NS:  # the clock of another boot may have been ahead
            self._arena.synced_at = now
            self.run()
            age = clock.monotonic_ns() - now
        return max(0, _PERIOD_NS - age) / 1e9

    def run(self) -> None:
        """Run a round, unless nothing has changed since the last one."""
        arena = self._arena
        noted = {frame: self._unsynced(frame) for frame in self._filled()}
        unsynced = {frame: each for frame, each in noted.items() if each is not None}
        # One more round after the last record: what became of it need not be sent again, either.
        if (unsynced or self._was_busy) and arena.syncer.sync():
            for frame, (generation, appended) in unsynced.items():
                # The frame may be filled again right after this look. Then the word proves nothing,
                # because generations have different checksums, and the next round corrects it.
                if arena.generation(frame) == generation:
                    arena.account(frame).synced = appended
        self._was_busy = bool(unsynced)

    def _filled(self) -> list[int]:
        states = (FILLING, READY, SENDING, WAITING)
        return [frame for state in states for frame in self._arena.each_in(state)]

    def _unsynced(self, frame: int) -> tuple[int, int] | None:
        """Return generation and checksum of what is not known to be on the disk; None: all is."""
        account = self._arena.account(frame)
        generation, appended = account.generation, account.appended
        return None if appended == account.synced or account.taken else (generation, appended)
