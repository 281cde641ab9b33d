"""A simulation of workers and a platform: what a flow of requests leads to. It has no I/O."""

import heapq
import math
import random
from dataclasses import dataclass, field

from dataart_mp.worker.flow import Flow, Latency

WAIT_IF_BUSY = 1.0
WAIT_IF_FAILED = 5.0
ACCEPTED, BUSY, UNANSWERED = 200, 429, None


@dataclass
class Platform:
    """A platform.

    Args:
        latency: Seconds that it takes to process a request.
        noise: How much this varies (the sigma of a lognormal distribution).
        rate: Requests that it accepts in a second, with a burst of a tenth of that; 0: any number.
        servers: Requests that it processes at once, while others wait; 0: any number.
        connections: Requests in flight beyond which it closes connections; 0: any number.
        outage: From when to when it does not respond.
        busy: From when to when it responds to every request that it is too busy.
    """

    latency: float
    noise: float = 0.0
    rate: float = 0.0
    servers: int = 0
    connections: int = 0
    outage: tuple[float, float] = (0.0, 0.0)
    busy: tuple[float, float] = (0.0, 0.0)
    in_flight: int = 0
    _tokens: float = 1.0
    _at: float = 0.0
    _free: list[float] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(1))

    def post(self, now: float) -> tuple[float, int | None]:
        """Return when a request has its response, and which."""
        latency = self.latency * self._random.lognormvariate(0, self.noise) + 0.0003
        is_full = 0 < self.connections <= self.in_flight
        if is_full or self.outage[0] <= now < self.outage[1]:
            return now + 0.001, UNANSWERED
        if self.busy[0] <= now < self.busy[1] or (self.rate and not self._take_token(now)):
            return now + latency, BUSY
        if not self.servers:
            return now + latency, ACCEPTED
        self._free = self._free or [0.0] * self.servers
        begins = max(now, heapq.heappop(self._free))
        heapq.heappush(self._free, begins + latency)
        return begins + latency, ACCEPTED

    def _take_token(self, now: float) -> bool:
        most = max(1.0, self.rate / 10)
        self._tokens = min(most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass
class Result:
    """What a simulation has led to, from `warm` seconds on.

    Attributes:
        accepted: Requests that were accepted, in a second.
        wasted: The part of all requests that were not.
        limits: The limit, by the half second.
    """

    accepted: float
    wasted: float
    limits: list[float]


@dataclass
class Simulation:
    """Two workers with more to send than the platform accepts.

    Args:
        platform: The platform.
        most: The highest limit.
        processes: How many workers there are.
        changes: Latencies of the platform, by the second at which they begin.
    """

    platform: Platform
    most: float = 32.0
    processes: int = 2
    changes: dict[float, float] = field(default_factory=dict)

    def run(self, seconds: float, warm: float = 5.0) -> Result:
        self._flow = Flow.at(self.most)
        self._latency = Latency()
        self._began = -1.0
        self._inside = [0] * self.processes
        self._events: list[tuple[float, int, tuple[int, float, int | None] | None]] = []
        self._number = 0
        counts = {True: 0, False: 0}
        limits: list[float] = []
        self._at(0.0, None)
        while self._events[0][0] < seconds:
            now, _, response = heapq.heappop(self._events)
            for begin in [begin for begin in self.changes if begin <= now]:
                self.platform.latency = self.changes.pop(begin)
            if response is None:
                self._at(now + 0.001, None)
                limits += [self._flow.limit] * (int(now * 2) - len(limits))
            else:
                self._respond(now, *response)
                counts[response[2] == ACCEPTED] += now >= warm
            for worker in range(self.processes):
                self._send(worker, now)
        accepted, wasted = counts[True], counts[False]
        return Result(accepted / (seconds - warm), wasted / max(1, accepted + wasted), limits)

    def _at(self, moment: float, event: tuple[int, float, int | None] | None) -> None:
        self._number += 1
        heapq.heappush(self._events, (moment, self._number, event))

    def _respond(self, now: float, worker: int, sent_at: float, status: int | None) -> None:
        self._inside[worker] -= 1
        self.platform.in_flight -= 1
        match status:
            case 200:
                self._flow, self._latency = self._flow.accepted(
                    self._latency, sent_at, now, self.most, is_backlog=True
                )
            case 429:
                self._flow = self._flow.refused(sent_at, now)
            case _:
                self._flow = self._flow.unanswered(sent_at, now)

    def _send(self, worker: int, now: float) -> None:
        flow = self._flow
        share = max(1, math.ceil(flow.limit / self.processes))
        interval = flow.interval if flow.limit < self.most else 0.0
        while self._inside[worker] < share and now >= self._began + interval:
            self._began = max(self._began + interval, now - 0.002)
            self._inside[worker] += 1
            moment, status = self.platform.post(now)
            self.platform.in_flight += 1
            self._at(moment, (worker, now, status))
