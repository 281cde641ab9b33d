"""A setback: what becomes of a frame when a try of its batch at hand has failed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Postponed:
    """It waits in the queue for its next try, held by nobody; in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Parked:
    """What is left of it is on disk, and the frame is settled."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Its batch at hand will not be sent again; what else is in it will."""


Setback = Postponed | Parked | GivenUp
