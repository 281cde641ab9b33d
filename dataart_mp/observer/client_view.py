"""What an arena says of its client, at one moment."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dataart_mp import clock
from dataart_mp.health import SLOW_SECONDS, Health, assess
from dataart_mp.observer.arena_view import ArenaView
from dataart_mp.queue import arena as states
from dataart_mp.queue.accounting import balance
from dataart_mp.queue.counters import Counters
from dataart_mp.queue.status import Status
from dataart_mp.stats import Stats

_STATES: Final = {
    states.FREE: "free",
    states.FILLING: "filling",
    states.READY: "ready",
    states.SENDING: "sending",
    states.WAITING: "waiting",
    states.JOINED: "joined",
    states.SETTLED: "settled",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known of a client at one moment.

    Attributes:
        id: The id of its arena.
        path: The file of its arena; None if it is in memory.
        at: The time, in seconds of a clock that only advances.
        is_alive: Whether some process uses the arena; None if that cannot be found out.
        is_closed: Whether the application has closed the client.
        applications: The processes that have the arena mapped, without the workers.
        workers: The workers that are alive, as process ids where these have a meaning here.
        stats: Its balance, and its state.
        frames: How many frames are in each state.
        slow_seconds: How long its records may be pending before it counts as degraded.
    """

    id: str
    path: Path | None
    at: float
    is_alive: bool | None
    is_closed: bool
    applications: tuple[int, ...]
    workers: tuple[int, ...]
    stats: Stats
    frames: dict[str, int]
    slow_seconds: float

    @property
    def is_left_behind(self) -> bool:
        """Whether no process is left to deliver what it holds."""
        return self.is_alive is False and self.stats.pending > 0

    @property
    def health(self) -> Health:
        """The verdict on the client; that of one without processes depends on what is left."""
        if self.is_alive is not False:
            return assess(self.stats, slow_seconds=self.slow_seconds)
        if not self.stats.pending:
            return Health("ok")
        successor = "nothing can deliver them"
        if self.path is not None:
            successor = "the next client on the spool, or dataart-mp agent, delivers them"
        count = self.stats.pending
        records = "1 record is" if count == 1 else f"{count:,} records are"
        return Health(
            "failing", f"all its processes have ended, and {records} pending; {successor}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON data."""
        return {
            "id": self.id,
            "path": None if self.path is None else os.fsdecode(self.path),
            "alive": self.is_alive,
            "closed": self.is_closed,
            "applications": list(self.applications),
            "worker_processes": list(self.workers),
            "health": {"status": self.health.status, "reason": self.health.reason},
            **self.stats.as_json(),
            "frames": self.frames,
        }


class ClientView:
    """One client, which may end while it is looked at.

    Args:
        arena: Its arena.
        path: The file of the arena; None if it is in memory.
    """

    def __init__(self, arena: ArenaView, path: Path | None) -> None:
        self._arena = arena
        self._path = path
        self.id = arena.id

    def look(self, pids: list[int] | None) -> Look:
        """Return what is known now.

        Args:
            pids: The processes that have the arena mapped; None if that is unknown.
        """
        arena = self._arena
        stats = balance(arena, Counters(arena))
        status = Status(arena)
        live = [row for row in status.rows() if arena.is_worker_alive(row)]
        workers = [row.process.pid for row in live] if arena.names_processes else []
        if not arena.is_of_this_boot:
            stats = replace(stats, oldest_pending_seconds=None)
        return Look(
            id=arena.id,
            path=self._path,
            at=clock.now() / 1e9,
            is_alive=self._is_alive(pids, has_workers=bool(live)),
            is_closed=arena.closed,
            applications=tuple(pid for pid in pids or () if pid not in workers),
            workers=tuple(workers),
            stats=stats,
            frames=self._frames(),
            slow_seconds=SLOW_SECONDS + status.interval,
        )

    def close(self) -> None:
        """Unmap the arena."""
        self._arena.close()

    def _is_alive(self, pids: list[int] | None, *, has_workers: bool) -> bool | None:
        if pids or has_workers:
            return True
        if not self._arena.is_of_this_boot:
            return False
        # A process of another container is not seen here.
        return None if pids is None or not self._arena.names_processes else False

    def _frames(self) -> dict[str, int]:
        content = self._arena.states()
        return {name: content.count(state) for state, name in _STATES.items()}
