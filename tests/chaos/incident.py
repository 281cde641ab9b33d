"""Incidents: what was done to the run that may have made a request arrive twice."""

from dataclasses import dataclass
from typing import Final

# How late a request may arrive that was on its way when its sender was killed: a machine that is
# busy with other things lets the sink read late.
_SLACK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Incident:
    """One strike after which requests may rightly be sent again, though they had arrived.

    Attributes:
        kind: what was done.
        since: when it began (epoch, seconds).
        until: when it was over.
        requests: how many requests may have been under way, and so may arrive twice, at most.
        arena: whose requests; none is named where all are concerned.
    """

    kind: str
    since: float
    until: float
    requests: int
    arena: str = ""

    def may_explain(self, key: str, first: float, again: float) -> bool:
        """Whether it lies between the first arrival of a request with this key and its next.

        It may be over a moment before the first: what was on its way then arrived a little later.
        """
        concerned = key.startswith(self.arena)
        return concerned and self.since <= again and self.until + _SLACK_SECONDS >= first
