"""Incidents: attacks after which a request may arrive twice."""

from dataclasses import dataclass
from typing import Final

# A request may arrive this much later than its sender was killed: on a busy machine the sink reads
# late.
_SLACK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Incident:
    """One attack after which requests that have arrived may be sent again.

    Attributes:
        kind: What was done.
        since: When it began (epoch, seconds).
        until: When it was over (epoch, seconds).
        requests: How many requests may have been in flight, and so may arrive twice, at most.
        arena: The id of the arena whose requests are affected; empty if all are.
    """

    kind: str
    since: float
    until: float
    requests: int
    arena: str = ""

    def may_explain(self, key: str, first: float, repeated: float) -> bool:
        """Whether the incident lies between two arrivals of the request with this key.

        It may be over shortly before the first arrival: a request in flight arrives a little later.

        Args:
            key: The Idempotency-Key of the request.
            first: When the request arrived first (epoch, seconds).
            repeated: When it arrived again (epoch, seconds).
        """
        affected = key.startswith(self.arena)
        return affected and self.since <= repeated and self.until + _SLACK_SECONDS >= first
