"""The takeover: what dead clients left in the spool, delivered by workers that we start.

An arena that was left behind gets workers with our configuration, and nobody who could emit: they
deliver what is in it, remove its file, and go, whether we live so long or not.
"""

import logging
import os
from pathlib import Path
from typing import Final

from dataart_mp.config import ClientConfig
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.ownership import Ownership
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.wiring import Wiring

_log = logging.getLogger("dataart_mp")

# How often to look for what others, who died since, have left behind.
_LOOK_SECONDS: Final = 2.0
# How often to ask whether others, who went since, have parked something.
_ASK_SECONDS: Final = 5.0


class Takeover:
    """All that this process has taken over.

    Args:
        spool: where to look; None: nowhere.
        config: how to deliver.
        report: where the workers write their reports.
    """

    def __init__(self, spool: Spool | None, config: ClientConfig, report: int) -> None:
        self._spool = spool
        self._config = config
        self._report = report
        self._orphans: list[_OrphanedArena] = []
        self._look_at = 0.0
        self._ask_at = 0.0
        self._traces: object = None

    @property
    def supervisors(self) -> list[Supervisor]:
        """Those of the arenas taken over."""
        return [orphan.supervisor for orphan in self._orphans]

    def look(self, now: float) -> None:
        """Part with what is delivered; and take over, now and then, what was left behind.

        Args:
            now: monotonic time, in seconds.
        """
        for orphan in [orphan for orphan in self._orphans if orphan.is_settled()]:
            self._orphans.remove(orphan)
            orphan.part()
        if self._spool is not None and now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            for arena in self._spool.take_over_orphans():
                self._orphans.append(_OrphanedArena(arena, self._config, self._report))

    def is_anything_parked(self, ownership: Ownership, now: float) -> bool:
        """Whether a client that is gone has parked something; asked when it may be so since.

        In an application that forks, a thread had better not be in SQLite more than it must.

        Args:
            ownership: this client's.
            now: monotonic time, in seconds.
        """
        if self._spool is None or now < self._ask_at:
            return False
        self._ask_at = now + _ASK_SECONDS
        before, self._traces = self._traces, self._spool.parking_fingerprint(ownership)
        return before != self._traces and self._spool.is_anything_parked(ownership)

    def leave(self) -> None:
        """Leave the rest to the workers, or to the next heir."""
        for orphan in self._orphans:
            orphan.part()
        self._orphans.clear()

    def forked(self) -> None:
        """In a forked child: the parent is the heir."""
        for orphan in self._orphans:
            orphan.supervisor.forked()
            orphan.part()
        self._orphans.clear()


class _OrphanedArena:
    """One arena taken over."""

    def __init__(self, arena: Arena, config: ClientConfig, report: int) -> None:
        self._queue = RecordQueue.attach(
            arena,
            WakeupPipe.make(),
            WakeupPipe.make(),
            config.flush_actions_batch_size,
            config.flush_interval,
        )
        arena.close_for_good()
        arena.reports_records = config.on_failure is not None
        life_end, life = os.pipe()
        os.close(life)  # nobody emits into it any more
        self._life_end = life_end
        self.supervisor = Supervisor(self._queue, Wiring(life_end, -1, -1, report), config)
        left = self._queue.stats().pending
        _log.warning("spool: taking over %d records of a client that died", left)

    def is_settled(self) -> bool:
        return self._queue.arena.all_free()

    def part(self) -> None:
        if self.is_settled():
            arena_file.remove(self._queue.arena)
        self.supervisor.dismiss()
        self._queue.close()
        os.close(self._life_end)


def spool_of(config: ClientConfig) -> Spool | None:
    """The spool that the configuration names.

    Raises:
        ConfigError: its directory cannot be used.
    """
    return None if config.spool_dir is None else Spool(Path(config.spool_dir))
