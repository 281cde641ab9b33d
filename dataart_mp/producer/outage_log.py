"""The outage log: few lines about an outage, from its start to the delivery of its last record.

    delivery to HOST fails (status 503, 'down'); trying again in 5.0 s
    delivery to HOST has been failing for 60 s (status 503, 'down'): 1,200 records pending, the
        oldest for 61 s, and 400 parked
    delivery to HOST works again after 95 s: 1,200 records pending and 400 parked are sent now
    the records of the outage are sent: 1,600 delivered, 0 rejected, 0 failed since it began

Every worker reports failures and successes. Here they become one outage of the client. An outage
that begins soon after another one is not logged before it has lasted as long as the first interval,
so that a platform which fails now and then causes few lines.

It has no clock and does no I/O: the caller passes the time and the state, and writes the lines.
"""

from dataclasses import dataclass
from typing import Final

FIRST_INTERVAL_SECONDS: Final = 30.0
_LONGEST_INTERVAL_SECONDS: Final = 600.0
# How often the caller looks whether an outage has ended, and whether all its records are sent.
_END_LOOK_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a client has to send, and has sent, with what it has taken over.

    Attributes:
        pending: Records that are pending.
        oldest: The age of the oldest one in seconds; None if nothing is pending.
        parked: Records that are parked.
        delivered: Records delivered.
        rejected: Records rejected.
        failed: Records that failed.
        is_failing: Whether the last request to some endpoint failed.
    """

    pending: int = 0
    oldest: float | None = None
    parked: int = 0
    delivered: int = 0
    rejected: int = 0
    failed: int = 0
    is_failing: bool = False

    def __str__(self) -> str:
        """Show what waits: `20 records pending, the oldest for 61 s, and 400 parked`."""
        nouns = "record" if self.pending == 1 else "records"
        text = f"{self.pending:,} {nouns} pending"
        if self.oldest is not None:
            text += f", the oldest for {_seconds(self.oldest)}"
        return f"{text}, and {self.parked:,} parked" if self.parked else text


class OutageLog:
    """Decides which lines the log has of the outages of one client.

    Args:
        host: The host of the platform; empty if it is not to be shown.
    """

    def __init__(self, host: str = "") -> None:
        self._to = f" to {host}" if host else ""
        self._problem = ""
        self._began_at: float | None = None
        self._started_at: float | None = None  # when the last start was logged
        self._is_logged = False
        self._next_line = 0.0
        self._next_look = 0.0
        self._interval = FIRST_INTERVAL_SECONDS
        self._before = Backlog()
        self._ended_at: float | None = None  # while records of an outage are left

    @property
    def is_in_progress(self) -> bool:
        """Whether an outage has begun, and has not ended."""
        return self._began_at is not None

    def due(self, now: float) -> float | None:
        """Return the seconds until `look` is to be called; None if it need not be.

        It becomes 0 at a fixed time, however many failures are noted until then: to find out what
        waits takes milliseconds.

        Args:
            now: Monotonic time, in seconds.
        """
        if self._began_at is None and self._ended_at is None:
            return None
        at = self._next_look if self._began_at is None else min(self._next_look, self._next_line)
        return max(0.0, at - now)

    def failed(self, problem: str, delay: float | None, backlog: Backlog, now: float) -> str | None:
        """Note a failure, and return the line of the start of an outage.

        Args:
            problem: The response, such as `status 503, 'down'`.
            delay: Seconds until the next attempt; None if there is none for that batch.
            backlog: What waits now. It is ignored while an outage is in progress.
            now: Monotonic time, in seconds.
        """
        self._problem = problem
        if self._began_at is not None:
            return None
        if self._ended_at is None:
            self._before = backlog
        self._began_at, self._ended_at = now, None
        self._interval = FIRST_INTERVAL_SECONDS
        self._next_line = now + self._interval
        self._next_look = now + _END_LOOK_SECONDS
        last = self._started_at
        self._is_logged = last is None or now - last >= FIRST_INTERVAL_SECONDS
        if not self._is_logged:
            return None
        self._started_at = now
        again = "" if delay is None else f"; trying again in {delay:.1f} s"
        return f"delivery{self._to} fails ({problem}){again}"

    def succeeded(self, backlog: Backlog, now: float) -> str | None:
        """Note that a request succeeded after one that failed, and return the line of the end.

        Args:
            backlog: What waits now.
            now: Monotonic time, in seconds.
        """
        if self._began_at is None or backlog.is_failing:  # another endpoint still fails
            return None
        seconds, self._began_at = now - self._began_at, None
        if not self._is_logged:
            return None
        line = f"delivery{self._to} works again after {_seconds(seconds)}"
        if not backlog.pending and not backlog.parked:
            return line
        self._ended_at = now
        self._next_look = now + _LOOK_SECONDS
        waiting = [f"{backlog.pending:,} records pending"] if backlog.pending else []
        waiting += [f"{backlog.parked:,} records parked"] if backlog.parked else []
        return f"{line}; {' and '.join(waiting)} are sent now"

    def look(self, backlog: Backlog, now: float) -> str | None:
        """Return the line that is due: an outage continues, has ended, or its last record is sent.

        Args:
            backlog: What waits now.
            now: Monotonic time, in seconds.
        """
        self._next_look = now + (_LOOK_SECONDS if self._began_at is None else _END_LOOK_SECONDS)
        if self._began_at is not None:
            seconds = now - self._began_at
            if not backlog.is_failing and seconds >= _LOOK_SECONDS:  # no worker has reported it
                return self._ended(backlog, now)
            return self._continues(backlog, now, seconds)
        if self._ended_at is None or backlog.parked:
            return None
        if backlog.oldest is not None and backlog.oldest >= now - self._ended_at:
            return None
        self._ended_at = None
        delivered, rejected, failed = (
            after - before
            for after, before in (
                (backlog.delivered, self._before.delivered),
                (backlog.rejected, self._before.rejected),
                (backlog.failed, self._before.failed),
            )
        )
        return (
            f"the records of the outage are sent: {delivered:,} delivered, {rejected:,} rejected, "
            f"{failed:,} failed since it began"
        )

    def closed(self, backlog: Backlog, now: float) -> str | None:
        """Return the line for a client that ends during an outage.

        Args:
            backlog: What waits now.
            now: Monotonic time, in seconds.
        """
        if self._began_at is None or not self._is_logged:
            return None
        seconds = _seconds(now - self._began_at)
        return f"the client ends while delivery{self._to} has been failing for {seconds}: {backlog}"

    def _ended(self, backlog: Backlog, now: float) -> str | None:
        if backlog.delivered + backlog.rejected > self._before.delivered + self._before.rejected:
            return self.succeeded(backlog, now)
        self._began_at = None  # the workers that knew of it have ended, and nobody knows more
        return None

    def _continues(self, backlog: Backlog, now: float, seconds: float) -> str | None:
        if now < self._next_line:
            return None
        self._interval = min(2 * self._interval, _LONGEST_INTERVAL_SECONDS)
        self._next_line = now + self._interval
        if not backlog.pending and not backlog.parked:  # so nobody can find out that it is over
            return None
        self._is_logged = True
        return (
            f"delivery{self._to} has been failing for {_seconds(seconds)} ({self._problem}): "
            f"{backlog}"
        )


def _seconds(seconds: float) -> str:
    return f"{seconds:,.0f} s"
