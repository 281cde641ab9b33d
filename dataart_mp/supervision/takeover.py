"""The takeover: delivering what clients that died have left in the spool.

An orphaned arena gets workers with the configuration of the new owner, and no producers. The
workers deliver its records, remove its file and end, even if the new owner ends before.
"""

import contextlib
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dataart_mp.config import ClientConfig
from dataart_mp.errors import ClosedError
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.durability import LEVELS
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.spool.ownership import Ownership
from dataart_mp.stats import Stats
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.wiring import Wiring

if TYPE_CHECKING:
    from dataart_mp.spool.arenas import Spool

_log = logging.getLogger("dataart_mp")

# How often to look for arenas that were orphaned since.
_ARENA_CHECK_SECONDS: Final = 2.0
# How often to look for batches that clients have parked before they ended.
_PARKED_CHECK_SECONDS: Final = 5.0


class Takeover:
    """The orphaned arenas that this process has taken over.

    Args:
        spool: Where to look for orphaned arenas; None: there are none.
        config: The settings of the workers.
        report_write_fd: The pipe for the workers' reports.
    """

    def __init__(self, spool: "Spool | None", config: ClientConfig, report_write_fd: int) -> None:
        self._spool = spool
        self._config = config
        self._report_write_fd = report_write_fd
        self._orphans: list[_OrphanedArena] = []
        self._settled = Stats()  # of those that are closed
        self._next_arena_check = 0.0
        self._next_parked_check = 0.0

    @property
    def supervisors(self) -> list[Supervisor]:
        """The supervisors of the arenas that were taken over."""
        return [orphan.supervisor for orphan in self._orphans]

    def check(self, now: float) -> None:
        """Close arenas that are delivered; now and then, take over new ones.

        Args:
            now: Monotonic time, in seconds.
        """
        for orphan in [orphan for orphan in self._orphans if orphan.is_settled()]:
            # What it has parked belongs to no arena any more.
            ended = replace(orphan.stats(), parked=0, failing_since=None)
            self._settled = _sum([self._settled, ended])
            self._orphans.remove(orphan)
            orphan.log_end()
            orphan.close()
        if self._spool is not None and now >= self._next_arena_check:
            self._next_arena_check = now + _ARENA_CHECK_SECONDS
            for arena in self._spool.take_over_orphans():
                self._orphans.append(_OrphanedArena(arena, self._config, self._report_write_fd))

    def stats(self) -> Stats:
        """Return what is pending and parked in what was taken over, and was delivered since."""
        return _sum([self._settled, *(orphan.stats() for orphan in self._orphans.copy())])

    def is_anything_parked(self, ownership: Ownership, now: float) -> bool:
        """Whether a client that has ended has left a parked batch.

        Args:
            ownership: This client's ownership.
            now: Monotonic time, in seconds.
        """
        if self._spool is None or now < self._next_parked_check:
            return False
        self._next_parked_check = now + _PARKED_CHECK_SECONDS
        return self._spool.is_anything_parked(ownership)

    def close(self) -> None:
        """Close all arenas; their workers, or the next owner, deliver what is left."""
        for orphan in self._orphans:
            orphan.close()
        self._orphans.clear()

    def forked(self) -> None:
        """Close all arenas in a forked child: the parent is the new owner."""
        for orphan in self._orphans:
            orphan.supervisor.forked()
        self.close()


class _OrphanedArena:
    """One orphaned arena that was taken over."""

    def __init__(self, arena: Arena, config: ClientConfig, report_write_fd: int) -> None:
        with contextlib.ExitStack() as undo:  # else the arena would stay locked by this process
            undo.callback(arena.close)
            work = WakeupPipe.make()
            undo.callback(work.close)
            room = WakeupPipe.make()
            undo.callback(room.close)
            life_read_fd, life_write_fd = os.pipe()
            os.close(life_write_fd)  # the arena has no producers any more
            undo.callback(os.close, life_read_fd)
            records, interval = config.flush_actions_batch_size, config.flush_interval
            self._queue = RecordQueue.attach(arena, work, room, records, interval)
            undo.pop_all()
        arena.close_permanently()
        arena.reports_records = config.on_failure is not None
        self._life_read_fd = life_read_fd
        wiring = Wiring(life_read_fd, -1, -1, report_write_fd)
        self.supervisor = Supervisor(self._queue, wiring, config)
        self._before = self._queue.stats()
        pending = self._before.pending
        _log.warning("spool: taking over %d records of a client that died", pending)

    def stats(self) -> Stats:
        """Return what is left, and what became of the rest since the takeover."""
        try:
            stats = self._queue.stats()
        except ClosedError:
            return Stats()
        return replace(
            stats,
            delivered=stats.delivered - self._before.delivered,
            rejected=stats.rejected - self._before.rejected,
            failed=stats.failed - self._before.failed,
        )

    def log_end(self) -> None:
        """Log what became of the records."""
        stats = self.stats()
        _log.warning(
            "spool: the records of a client that died are settled: %d delivered, %d parked, "
            "%d rejected, %d failed",
            stats.delivered,
            stats.parked - self._before.parked,
            stats.rejected,
            stats.failed,
        )

    def is_settled(self) -> bool:
        return self._queue.arena.all_free()

    def close(self) -> None:
        if self.is_settled():
            arena_file.remove(self._queue.arena)
        self.supervisor.close()
        self._queue.close()
        os.close(self._life_read_fd)


def _sum(parts: list[Stats]) -> Stats:
    """Return the sums of what `Takeover.stats` returns, and the greatest age."""
    ages = [each.oldest_pending_seconds for each in parts]
    failing = [each.failing_since for each in parts if each.failing_since is not None]
    return Stats(
        pending=sum(each.pending for each in parts),
        parked=sum(each.parked for each in parts),
        delivered=sum(each.delivered for each in parts),
        rejected=sum(each.rejected for each in parts),
        failed=sum(each.failed for each in parts),
        oldest_pending_seconds=max((age for age in ages if age is not None), default=None),
        failing_since=min(failing, default=None),
    )


def spool_of(config: ClientConfig) -> "Spool | None":
    """Return the spool that the configuration names; None if it names none.

    Raises:
        ConfigError: Its directory cannot be used.
    """
    if config.spool_dir is None:
        return None
    from dataart_mp.spool.arenas import Spool  # a fifth of a megabyte, which others do not need

    return Spool(Path(config.spool_dir), LEVELS[config.spool_sync])
