"""The flow: how many requests may be in flight, as far as the platform's responses have shown.

    limit
      │──╮ refused           ╭────── probes for more, faster and faster
      │  │          ╭────────╯
      │  │      ╭───╯ returns to the limit that was refused, more and more slowly
      │  ╰──────╯
      └───────────────────────────────────────────────────────────────────► rounds

It begins at the maximum. A response that the platform is too busy, or no response, lowers it by a
part, and so do responses that have become slow because many requests are in flight. While more
records wait than are sent, it rises once in a round, which is the time of a response or longer: by
half of the distance to the limit at which it was last lowered, and above that by half of what it
has risen since. If it was lowered several times and nothing was accepted in between, the first of
these limits counts.

Below the maximum, requests also begin at a steady rate: as many in the time of a response as may be
in flight. If they began together, a platform that counts requests would refuse some of them at a
rate that it permits. So a limit can be lower than 1: then there are pauses between requests.

Responses are compared with the shortest time that they took, on average, for requests of similar
size. If they take more than twice as long, the limit is lowered. If that does not make them faster
until it is halved, something else makes them slow: this is then their usual time, and the limit
rises again.
"""

from typing import Final, NamedTuple, Self

LONGEST_INTERVAL: Final = 1.0
"""Seconds between two requests, at most, however low the limit is."""

_REFUSED: Final = 0.85  # what is left of the limit when a request was refused,
_UNANSWERED: Final = 0.7  # when it was not answered,
_SLOW: Final = 0.9  # and when responses are slow
_LOWEST_FOR_OUTAGE: Final = 1.0  # the circuit takes care of outages
_MOST_SLOWNESS: Final = 2.0
_SLACK: Final = 0.005  # seconds by which any response may be late, on a busy machine
_HELPED: Final = 0.75  # the slowness falls to this when half the limit makes responses faster
_STEP: Final = 0.5  # the least by which a limit of 1 or more rises in a round
_STEP_PART: Final = 0.03  # and as a part of the limit
_SHORTEST_ROUND: Final = 0.1  # seconds; platforms that count requests do so over a longer time
_GAIN: Final = 0.05  # the weight of the latest response in an average


class Latency(NamedTuple):
    """How long responses to requests of similar size take.

    Attributes:
        mean: Seconds, on average; 0: unknown.
        usual: The shortest that this average was.
    """

    mean: float = 0.0
    usual: float = 0.0

    @property
    def slowness(self) -> float:
        """How many times as long as usual responses take."""
        return self.mean / (self.usual + _SLACK)

    def after(self, seconds: float) -> "Latency":
        """Return what it is after a response that took so many seconds."""
        mean = _average(self.mean, seconds)
        return Latency(mean, min(self.usual, mean) if self.usual else mean)


class Flow(NamedTuple):
    """A state of the flow. It returns states: the caller owns the clock, and keeps the state.

    Attributes:
        limit: How many requests may be in flight.
        peak: The limit at which it was last lowered.
        lowered_at: When it was last lowered (monotonic, seconds).
        round_at: When the present round began.
        seconds: How long a response takes, on average; 0: unknown.
        slow_limit: The limit from which it is being lowered because responses are slow; else 0.
        slowness: How slow they were then, and have become since.
    """

    limit: float
    peak: float
    lowered_at: float = 0.0
    round_at: float = 0.0
    seconds: float = 0.0
    slow_limit: float = 0.0
    slowness: float = 0.0

    @classmethod
    def at(cls, limit: float) -> Self:
        """Return the state in which nothing is known."""
        return cls(limit, limit)

    @property
    def interval(self) -> float:
        """Seconds from the beginning of one request to the next, below the maximum."""
        return min(LONGEST_INTERVAL, self.seconds / self.limit)

    @property
    def is_lowest(self) -> bool:
        """Whether the limit cannot become lower by a response that the platform is busy."""
        return self.limit <= self._lowest

    def refused(self, sent_at: float, now: float) -> Self:
        """Return the state after a response that the platform is too busy.

        Args:
            sent_at: When the request began. It shows nothing of a limit that was lowered later.
            now: The time (monotonic, seconds).
        """
        if sent_at < self.lowered_at:
            return self
        state = self if self.seconds else self._replace(seconds=now - sent_at)
        lowered = state._lowered(_REFUSED, state._lowest, now)._replace(slow_limit=0.0)
        # Refusals in a row come whatever the limit is, so the first one says where to return to.
        return lowered if self.round_at > self.lowered_at else lowered._replace(peak=self.peak)

    def unanswered(self, sent_at: float, now: float) -> Self:
        """Return the state after no response came: in time, or because the connection failed.

        Args:
            sent_at: As for `refused`.
            now: As for `refused`.
        """
        if sent_at < self.lowered_at or self.limit <= _LOWEST_FOR_OUTAGE:
            return self
        return self._lowered(_UNANSWERED, _LOWEST_FOR_OUTAGE, now)._replace(slow_limit=0.0)

    def accepted(
        self, latency: Latency, sent_at: float, now: float, most: float, *, is_backlog: bool
    ) -> tuple[Self, Latency]:
        """Return the state after the platform has accepted a request, and the latency.

        Args:
            latency: That of requests of its size.
            sent_at: As for `refused`.
            now: As for `refused`.
            most: The highest limit.
            is_backlog: Whether more was waiting to be sent when the request began.
        """
        taken = now - sent_at
        latency = latency.after(taken)
        state = self._replace(seconds=_average(self.seconds, taken))
        shortest = max(state.seconds, state.interval, _SHORTEST_ROUND)
        if sent_at < self.lowered_at or now - self.round_at < shortest:
            return state, latency
        return state._next_round(latency, now, most, is_backlog=is_backlog)

    def _next_round(
        self, latency: Latency, now: float, most: float, *, is_backlog: bool
    ) -> tuple[Self, Latency]:
        state = self._replace(round_at=now)
        if latency.slowness > _MOST_SLOWNESS:
            return state._slow(latency, now)
        state = state._replace(slow_limit=0.0)
        return (state._raised(most) if is_backlog else state), latency

    def _slow(self, latency: Latency, now: float) -> tuple[Self, Latency]:
        """Lower the limit, unless that has not made responses faster."""
        state = self
        is_halved = bool(self.slow_limit) and self.limit <= self.slow_limit / 2
        if self.limit <= 1 or (is_halved and latency.slowness > self.slowness * _HELPED):
            state = self._replace(peak=max(self.slow_limit, self.peak), slow_limit=0.0)
            return state, latency._replace(usual=latency.mean)
        if is_halved or not self.slow_limit:
            state = self._replace(slow_limit=self.limit, slowness=latency.slowness)
        else:  # an average follows late
            state = self._replace(slowness=max(self.slowness, latency.slowness))
        return state._lowered(_SLOW, 1.0, now), latency

    def _lowered(self, part: float, lowest: float, now: float) -> Self:
        limit = max(lowest, self.limit * part)
        # A limit that is lowered again and again is not worth returning to.
        is_new = self.limit >= self.peak * 0.95
        peak = self.limit if is_new else self.limit * (1 + part) / 2
        return self._replace(limit=limit, peak=peak, lowered_at=now, round_at=now)

    def _raised(self, most: float) -> Self:
        step = max(_STEP if self.limit >= 1 else 0.0, self.limit * _STEP_PART)
        step = min(max(step, abs(self.peak - self.limit) / 2), self.limit)
        return self._replace(limit=min(most, self.limit + step))

    @property
    def _lowest(self) -> float:
        return min(1.0, max(self.seconds, 0.001) / LONGEST_INTERVAL)


def _average(mean: float, latest: float) -> float:
    return mean + _GAIN * (latest - mean) if mean else latest
