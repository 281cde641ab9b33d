"""The retry outcome: what happened to a frame after an attempt to deliver its batch failed."""

from dataclasses import dataclass

from dataart_mp import clock
from dataart_mp.queue import Frame


@dataclass(frozen=True, slots=True)
class Postponed:
    """The frame waits in the queue for its next attempt, and no thread holds it.

    Attributes:
        seconds: The time until that attempt.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Parked:
    """What was left of the frame is on disk, and the frame is settled."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The batch failed permanently; the other batches of the frame are still to be sent."""


RetryOutcome = Postponed | Parked | Abandoned


def hold(frame: Frame, seconds: float, *, at_least: float = 0.0) -> Postponed:
    """Let a frame wait, without counting an attempt.

    Args:
        frame: A claimed frame; the caller holds it no longer.
        seconds: How long. A frame that is due later waits until then.
        at_least: The shortest time that the platform asks for. Before, nothing ends the wait.
    """
    now = clock.now()
    until = now + int(max(seconds, at_least) * 1e9)
    due = frame.keep_waiting(now, until, now + int(at_least * 1e9))
    return Postponed((due - now) / 1e9)
