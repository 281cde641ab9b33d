"""The shared flow: the flow of a client, in its arena, for all its workers.

It has no lock. Each value is one word, and only values that change are stored. If two workers store
at once, one response has no effect, as if it had come a moment later.
"""

import math
from typing import Final, Protocol

from dataart_mp import clock
from dataart_mp.queue.arena import FLOW_WORDS, Arena
from dataart_mp.worker.flow import Flow, Latency

_FIELDS: Final = len(Flow._fields)
_BEGAN: Final = _FIELDS  # when the latest request began
_LATENCIES: Final = _BEGAN + 1
SIZES: Final = (FLOW_WORDS - _LATENCIES) // 2
"""Sizes of requests that are distinguished: each is twice as large as the one before."""
_SMALLEST_BITS: Final = 10  # requests of less than 2 KiB are alike
# Of responses in quick succession, some say enough; all would take a tenth of a worker's time.
_LEARN_SECONDS: Final = 0.002
# A request that begins late by up to this does not delay the next one: a sleep is not exact.
_LATE_SECONDS: Final = 0.002
# Another worker may store a time while this one compares it with its own.
_LOOK_AHEAD_SECONDS: Final = 1.0


class Pace(Protocol):
    """How many requests this worker may send, and at which pace."""

    @property
    def is_lowest(self) -> bool:
        """Whether a response that the platform is busy makes the pace no slower."""

    @property
    def is_limited(self) -> bool:
        """Whether requests have to wait for their turn."""

    @property
    def share(self) -> int:
        """How many requests of this worker may be in flight, at least 1."""

    def take_turn(self, now: float) -> float:
        """Return the seconds until a request may begin; 0 if the caller begins one now."""

    def is_due(self, now: float) -> bool:
        """Return whether `accepted` would learn from a request that is accepted now."""

    def accepted(self, size: int, sent_at: float, now: float, *, is_backlog: bool) -> None:
        """Note that the platform has accepted a request.

        Args:
            size: Bytes of its body.
            sent_at: When it began (monotonic, seconds).
            now: The time.
            is_backlog: Whether more was waiting to be sent.
        """

    def refused(self, sent_at: float, now: float) -> None:
        """Note a response that the platform is too busy."""

    def unanswered(self, sent_at: float, now: float) -> None:
        """Note that a request had no response."""


class FixedPace:
    """As many requests as there are senders, whatever the platform responds."""

    is_lowest = True
    is_limited = False
    share = 1 << 32

    def take_turn(self, now: float) -> float:  # noqa: ARG002 - a null object ignores it
        """Return 0."""
        return 0.0

    def is_due(self, now: float) -> bool:  # noqa: ARG002 - as above
        """Return False."""
        return False

    def accepted(self, size: int, sent_at: float, now: float, *, is_backlog: bool) -> None:
        """Do nothing."""

    def refused(self, sent_at: float, now: float) -> None:
        """Do nothing."""

    def unanswered(self, sent_at: float, now: float) -> None:
        """Do nothing."""


class SharedFlow:
    """The pace that responses to all workers of a client have shown; for any thread.

    Args:
        arena: The client's arena.
        most: How many requests may be in flight at most, over all workers.
        processes: How many workers there are.
    """

    def __init__(self, arena: Arena, most: int, processes: int) -> None:
        self._words = arena.flow
        self._most = float(most)
        self._processes = processes
        self._most_share = max(1, math.ceil(most / processes))
        self._learned_at = 0.0
        if not self._is_usable(clock.monotonic()):
            self._forget()

    @property
    def is_lowest(self) -> bool:
        """Whether a response that the platform is busy makes the pace no slower."""
        return self._load().is_lowest

    @property
    def is_limited(self) -> bool:
        """Whether requests have to wait for their turn: not at the maximum."""
        return self._words[0] < self._most

    @property
    def share(self) -> int:
        """How many requests of this worker may be in flight, at least 1."""
        limit = self._words[0]
        if limit >= self._most:  # as nearly always
            return self._most_share
        return max(1, math.ceil(limit / self._processes))

    def take_turn(self, now: float) -> float:
        """Return the seconds until a request may begin; 0 if the caller begins one now.

        All workers take turns: if each had an interval, several could begin requests together.
        """
        if not self.is_limited:
            return 0.0
        turn = min(now, self._words[_BEGAN]) + self._load().interval
        if now < turn:
            return turn - now
        self._words[_BEGAN] = max(turn, now - _LATE_SECONDS)
        return 0.0

    def is_due(self, now: float) -> bool:
        """Return whether `accepted` would learn from a request that is accepted now."""
        return now - self._learned_at >= _LEARN_SECONDS

    def accepted(self, size: int, sent_at: float, now: float, *, is_backlog: bool) -> None:
        """Note that the platform has accepted a request; see `Pace`."""
        if not self.is_due(now):
            return
        self._learned_at = now
        flow = self._load()
        at = _LATENCIES + 2 * min(max(0, size.bit_length() - _SMALLEST_BITS), SIZES - 1)
        latency = Latency(self._words[at], self._words[at + 1])
        after, latency = flow.accepted(latency, sent_at, now, self._most, is_backlog=is_backlog)
        self._words[at], self._words[at + 1] = latency
        self._store(flow, after)

    def refused(self, sent_at: float, now: float) -> None:
        """Note a response that the platform is too busy."""
        flow = self._load()
        self._store(flow, flow.refused(sent_at, now))

    def unanswered(self, sent_at: float, now: float) -> None:
        """Note that a request had no response."""
        flow = self._load()
        self._store(flow, flow.unanswered(sent_at, now))

    def _is_usable(self, now: float) -> bool:
        """Whether the words are of this client; not of an earlier boot, or damaged."""
        flow, words = self._load(), self._words.tolist()
        times = (flow.lowered_at, flow.round_at, words[_BEGAN])
        return (
            all(map(math.isfinite, words))
            and min(words) >= 0.0
            and 0.0 < flow.limit <= self._most
            and max(times) < now + _LOOK_AHEAD_SECONDS
        )

    def _forget(self) -> None:
        for number in range(_BEGAN, FLOW_WORDS):
            self._words[number] = 0.0
        self._store(self._load(), Flow.at(self._most))

    def _load(self) -> Flow:
        return Flow._make(self._words[:_FIELDS].tolist())

    def _store(self, before: Flow, after: Flow) -> None:
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                self._words[number] = new
