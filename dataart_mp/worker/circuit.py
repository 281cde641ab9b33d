"""The circuit: notices that an endpoint answers nobody, and then lets one request at a time go.

    CLOSED ──so many failures in a row──► OPEN ──pause over──► PROBED
      ▲                                     ▲                     │
      └──────────────── it answers ─────────┼─────────────────────┤
                                            └──── it fails ◄──────┘

While a probe is under way, the frames that are due gather behind it, for its answer is theirs: one
request tells what a hundred would, and a frame loses no try but to a request that began when it was
due itself. So an outage costs the tries that it would cost anyway, and few requests.
"""

import threading
from dataclasses import dataclass, field
from typing import Final

from dataart_mp.queue import Frame

FAILURES_TO_OPEN: Final = 5
LONGEST_PAUSE: Final = 2.0
"""Seconds between two probes, unless the platform asks for more."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send the frame: for all that is known, the endpoint works."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """Send the frame, while others wait for its answer."""

    gathered: list[Frame] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The circuit has taken the frame, and owner it out with the answer to the probe."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is sent before `until` (monotonic, seconds)."""

    until: float


class Circuit:
    """One endpoint's, for all senders of a process. It has no clock.

    Args:
        pause: seconds between two probes.
    """

    def __init__(self, pause: float) -> None:
        self._pause = min(pause, LONGEST_PAUSE)
        self._lock = threading.Lock()
        self._failures = 0
        self._probe_at: float | None = None  # None: closed
        self._probe: Probe | None = None  # under way

    @property
    def is_closed(self) -> bool:
        """Whether all may send."""
        return self._probe_at is None

    @property
    def is_well(self) -> bool:
        """Whether the last request was answered, for all that is known."""
        return self._probe_at is None and not self._failures

    def ask(self, frame: Frame, now: float) -> Send | Probe | Gathered | Wait:
        """What is to be done with a frame that is due now (monotonic, seconds)."""
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

    def answered(self) -> list[Frame] | None:
        """The endpoint works. Whatever the answer was, it is one that concerns its batch alone.

        Returns:
            What has gathered, to be sent; None when the circuit was closed already.
        """
        if self._probe_at is None and not self._failures:  # as nearly always
            return None
        with self._lock:
            was_open = self._probe_at is not None
            self._failures, self._probe_at = 0, None
            gathered = self._end_probe()
            return gathered if was_open else None

    def failed(self, leave: Send | Probe, after: float, now: float) -> list[Frame]:
        """A request got no answer, or one that may be another next time.

        Args:
            leave: with which it was sent.
            after: seconds that the platform asks for.
            now: monotonic time, in seconds.

        Returns:
            What has gathered behind it, and has failed with it.
        """
        with self._lock:
            self._failures += 1
            opens = self._probe_at is None and self._failures >= FAILURES_TO_OPEN
            if not opens and leave is not self._probe:
                return []
            self._probe_at = now + max(self._pause, after)
            return self._end_probe()

    def _end_probe(self) -> list[Frame]:
        probe, self._probe = self._probe, None
        return [] if probe is None else probe.gathered
