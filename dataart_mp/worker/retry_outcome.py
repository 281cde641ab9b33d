"""A outcome: what becomes of a frame when a try of its batch at hand has failed."""

import time
from dataclasses import dataclass

from dataart_mp.queue import Frame


@dataclass(frozen=True, slots=True)
class Postponed:
    """It waits in the queue for its next try, held by nobody; in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Parked:
    """What is left of it is on disk, and the frame is settled."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """Its batch at hand will not be sent again; what else is in it will."""


RetryOutcome = Postponed | Parked | Abandoned


def hold_back(frame: Frame, seconds: float) -> Postponed:
    """Let a frame wait so long at least, and no try of it count."""
    now = time.time_ns()
    return Postponed((frame.keep_waiting(now, now + int(seconds * 1e9)) - now) / 1e9)
