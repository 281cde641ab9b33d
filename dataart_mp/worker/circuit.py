"""The circuit breaker: notices that an endpoint is down, and then allows one request at a time.

    CLOSED ──FAILURES_TO_OPEN in a row──► OPEN ──pause is over──► HALF-OPEN
      ▲                                   │  ▲                       │
      │                                   │  └─────probe fails───────┤
      └──────any request succeeds─────────┴──────────────────────────┘

A success of another worker counts: see `Shipper.follow_others`.

While it is half-open, one request, the probe, is under way. Frames that are due gather behind it
and share its result: one request finds out what a hundred would. A frame is charged an attempt only
for a request that began when the frame was due. So an outage costs a frame the attempts that it
would have cost anyway, and few requests.
"""

import math
import threading
from dataclasses import dataclass, field
from typing import Final

from dataart_mp.queue import Frame

FAILURES_TO_OPEN: Final = 5
LONGEST_PAUSE: Final = 2.0
"""Seconds between two probes, unless the platform asks for more."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the frame: as far as is known, the endpoint works."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Send the frame as a probe, while other frames gather behind it.

    Attributes:
        gathered: The frames that share its result.
    """

    gathered: list[Frame] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Do nothing: the circuit keeps the frame until the probe has a result."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do not send the frame yet.

    Attributes:
        until: When the next probe is allowed (monotonic, seconds).
    """

    until: float


Permission = Send | Probe | Gathered | Wait


class Circuit:
    """The circuit breaker of one endpoint, for all senders of a process.

    It has no clock and does no I/O: the caller passes the time, and sends what is allowed.

    Args:
        pause: Seconds between two probes.
        is_open: Whether the endpoint is known to be down. Then the next frame is a probe.
    """

    def __init__(self, pause: float, *, is_open: bool = False) -> None:
        self._pause = min(pause, LONGEST_PAUSE)
        self._lock = threading.Lock()
        self._failures = 0
        self._probe_at = -math.inf if is_open else None  # None: closed
        self._probe: Probe | None = None  # not None: half-open

    @property
    def is_closed(self) -> bool:
        """Whether every frame may be sent."""
        return self._probe_at is None

    @property
    def is_healthy(self) -> bool:
        """Whether it is closed and the last request did not fail."""
        return self._probe_at is None and not self._failures

    def wants_probe(self, now: float) -> bool:
        """Return whether it is open, and the next frame that is due would be a probe.

        Args:
            now: Monotonic time in seconds.
        """
        with self._lock:
            return self._probe_at is not None and self._probe is None and now >= self._probe_at

    def acquire_permission(self, frame: Frame, now: float) -> Permission:
        """Return what to do with a frame that is due.

        Args:
            frame: The frame. The circuit keeps it if the permission is `Gathered`.
            now: Monotonic time in seconds.
        """
        with self._lock:
            if self._probe_at is None:
                return Send()
            if self._probe is not None:
                self._probe.gathered.append(frame)
                return Gathered()
            if now < self._probe_at:
                return Wait(self._probe_at)
            self._probe = Probe()
            return self._probe

    def on_success(self) -> list[Frame] | None:
        """Close: the endpoint responded, and the response concerns its batch alone.

        Returns:
            The frames that have gathered, to be sent now; None if it was closed already.
        """
        if self._probe_at is None and not self._failures:  # nearly always
            return None
        with self._lock:
            was_open = self._probe_at is not None
            self._failures, self._probe_at = 0, None
            gathered = self._end_probe()
            return gathered if was_open else None

    def on_failure(
        self, permission: Send | Probe, after: float, now: float, failures: int = 0
    ) -> list[Frame]:
        """Count a failure: no response came, or one that may be different next time.

        Args:
            permission: The permission with which the request was sent.
            after: The shortest delay that the platform asks for, in seconds.
            now: Monotonic time in seconds.
            failures: How many requests of all workers had failed in a row before. One worker may
                have sent few of them, or replace one that has.

        Returns:
            The frames that have gathered behind the request, and have failed with it.
        """
        with self._lock:
            self._failures = max(self._failures, failures) + 1
            opens = self._probe_at is None and self._failures >= FAILURES_TO_OPEN
            if not opens and permission is not self._probe:
                return []
            self._probe_at = now + max(self._pause, after)
            return self._end_probe()

    def _end_probe(self) -> list[Frame]:
        probe, self._probe = self._probe, None
        return [] if probe is None else probe.gathered
