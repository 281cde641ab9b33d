"""Health: whether a client delivers, as a small verdict on its stats.

failing     nothing is delivered: somebody has to act, or to wait for the platform
degraded    events are delivered late, or wait for the end of an outage
ok          everything else
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from dataart_mp.stats import Stats

SLOW_SECONDS: Final = 60.0
"""Records that have been pending for longer make a client degraded."""
_NO_WORKER_SECONDS: Final = 10.0  # it takes less to start or replace one
_FULL_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict on a client.

    Attributes:
        status: `"ok"`, `"degraded"` or `"failing"`.
        reason: Why, in words; empty if it is ok. Several reasons are separated by semicolons.
    """

    status: Literal["ok", "degraded", "failing"]
    reason: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether there is nothing to report."""
        return self.status == "ok"

    def __str__(self) -> str:
        """Show the verdict on one line: `degraded: 400 records are parked`."""
        return f"{self.status}: {self.reason}" if self.reason else self.status


def assess(stats: Stats, *, slow_seconds: float = SLOW_SECONDS) -> Health:
    """Return the verdict on a snapshot.

    A client is failing if

    - its circuit is open: five requests in a row have failed, and none has succeeded since; or
    - records have been pending for 10 seconds, and no worker process is alive.

    Otherwise, it is degraded if

    - the last request failed,
    - more than 80 % of the frames are in use,
    - records are parked, or
    - a record has been pending for longer than `slow_seconds`.

    Args:
        stats: The snapshot.
        slow_seconds: How long a record may be pending.
    """
    failing = list(filter(None, (_outage(stats), _no_worker(stats))))
    if failing:
        return Health("failing", "; ".join(failing))
    degraded = list(
        filter(None, (_failures(stats), _buffer(stats), _parked(stats), _age(stats, slow_seconds)))
    )
    return Health("degraded", "; ".join(degraded)) if degraded else Health("ok")


def _outage(stats: Stats) -> str:
    if stats.circuit == "closed":
        return ""
    return f"the platform accepts nothing{_since(stats.failing_since)}{_error(stats)}"


def _no_worker(stats: Stats) -> str:
    age = stats.oldest_pending_seconds
    if not stats.pending or stats.workers or age is None or age < _NO_WORKER_SECONDS:
        return ""
    return f"no worker process is alive, and {_records(stats.pending)} pending"


def _failures(stats: Stats) -> str:
    if stats.failing_since is None:
        return ""
    return f"requests fail{_since(stats.failing_since)}{_error(stats)}"


def _buffer(stats: Stats) -> str:
    frames = stats.frames_in_use + stats.frames_free
    if stats.frames_in_use <= _FULL_SHARE * frames:
        return ""
    return f"{stats.frames_in_use:,} of {frames:,} frames are in use"


def _parked(stats: Stats) -> str:
    return f"{_records(stats.parked)} parked" if stats.parked else ""


def _age(stats: Stats, slow_seconds: float) -> str:
    age = stats.oldest_pending_seconds
    if age is None or age <= slow_seconds:
        return ""
    return f"the oldest record has been pending for {age:,.0f} s"


def _records(count: int) -> str:
    return "1 record is" if count == 1 else f"{count:,} records are"


def _since(moment: datetime | None) -> str:
    return "" if moment is None else f" since {moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _error(stats: Stats) -> str:
    return f" ({stats.last_error})" if stats.last_error else ""
