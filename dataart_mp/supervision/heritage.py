"""The heritage: what dead clients left in the spool, delivered by workers that we start.

An arena that was left behind gets workers with our configuration, and nobody who could emit: they
deliver what is in it, remove its file, and go, whether we live so long or not.
"""

import logging
import os
from pathlib import Path
from typing import Final

from dataart_mp.config import ClientConfig
from dataart_mp.parking.parcel import Custody
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.bell import Bell
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.spool import Spool, remove
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.wiring import Wiring

_log = logging.getLogger("dataart_mp")

# How often to look for what others, who died since, have left behind.
_LOOK_SECONDS: Final = 2.0
# How often to ask whether others, who went since, have parked something.
_ASK_SECONDS: Final = 5.0


class Heritage:
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
        self._estates: list[_Estate] = []
        self._look_at = 0.0
        self._ask_at = 0.0
        self._traces: object = None

    @property
    def supervisors(self) -> list[Supervisor]:
        """Those of the arenas taken over."""
        return [estate.supervisor for estate in self._estates]

    def look(self, now: float) -> None:
        """Part with what is delivered; and take over, now and then, what was left behind.

        Args:
            now: monotonic time, in seconds.
        """
        for estate in [estate for estate in self._estates if estate.is_settled()]:
            self._estates.remove(estate)
            estate.part()
        if self._spool is not None and now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            for arena in self._spool.left_behind():
                self._estates.append(_Estate(arena, self._config, self._report))

    def is_anything_parked(self, custody: Custody, now: float) -> bool:
        """Whether a client that is gone has parked something; asked when it may be so since.

        In an application that forks, a thread had better not be in SQLite more than it must.

        Args:
            custody: this client's.
            now: monotonic time, in seconds.
        """
        if self._spool is None or now < self._ask_at:
            return False
        self._ask_at = now + _ASK_SECONDS
        before, self._traces = self._traces, self._spool.traces_of_parking(custody)
        return before != self._traces and self._spool.is_anything_parked(custody)

    def leave(self) -> None:
        """Leave the rest to the workers, or to the next heir."""
        for estate in self._estates:
            estate.part()
        self._estates.clear()

    def forked(self) -> None:
        """In a forked child: the parent is the heir."""
        for estate in self._estates:
            estate.supervisor.forked()
            estate.part()
        self._estates.clear()


class _Estate:
    """One arena taken over."""

    def __init__(self, arena: Arena, config: ClientConfig, report: int) -> None:
        self._queue = RecordQueue.attach(
            arena,
            Bell.make(),
            Bell.make(),
            config.flush_actions_batch_size,
            config.flush_interval,
        )
        arena.close_for_good()
        arena.tells_records = config.on_failure is not None
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
            remove(self._queue.arena)
        self.supervisor.dismiss()
        self._queue.close()
        os.close(self._life_end)


def spool_of(config: ClientConfig) -> Spool | None:
    """The spool that the configuration names.

    Raises:
        ConfigError: its directory cannot be used.
    """
    return None if config.spool_dir is None else Spool(Path(config.spool_dir))
