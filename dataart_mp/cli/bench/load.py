"""A load: many copies of one event through one client, and what that costs.

warm-up │ emit, in one thread or several │ flush
├──────── emit_seconds ──────────┤       │
└──────────────── seconds ───────────────┘
"""

import threading
import time
from array import array
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, Final, NamedTuple

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bench.cpu import cpu_seconds
from dataart_mp.cli.bench.latency import quantiles
from dataart_mp.cli.bench.measurement import Column, Sample

_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01

COLUMNS: Final = (
    Column("events/s", "events_per_second"),
    Column("CPU s/million", "cpu_per_million", 2),
    Column("of which application", "app_cpu_per_million", 2),
)
"""The columns of a table of loads."""


class Specimen(NamedTuple):
    """The arguments of `emit_action`."""

    key: str
    user_key: str
    is_anonymous_user: bool
    timestamp: datetime
    metadata: dict[str, Any]


EVENT: Final = Specimen(
    "some-event",
    "user-01",
    False,
    datetime(2021, 5, 4, 10, 11, 12, 123456, UTC),
    {"metadata_key_1": "metadata_value_1", "metadata_key_2": 2},
)
"""The event of all measurements. It takes 182 bytes when encoded."""


def run(
    config: Mapping[str, Any],
    events: int,
    threads: int = 1,
    warm_up: int = 0,
    *,
    timed: bool = False,
    bulk: bool = False,
) -> Sample:
    """Ship events, and measure; call it in a new process (see `fresh`).

    Args:
        config: The result of `ClientConfig.to_wire`.
        events: Number of events, over all threads.
        threads: Number of threads that emit concurrently.
        warm_up: Number of events that are shipped first and not measured.
        timed: Whether to measure the time of each call, which makes it 0.1 µs longer.
        bulk: Whether each thread emits with one call of `emit_actions`, which is not timed.

    Returns:
        A sample: wall and CPU seconds, the number of delivered events, and the quantiles of the
        call times in microseconds.
    """
    with Client(ClientConfig.from_wire(config)) as client:
        workers = warmed_up(client, warm_up)
        before = client.stats()
        cpu = cpu_seconds(workers), time.process_time()
        start = time.perf_counter()
        loads = _in_threads(client, _shares(events, threads), timed=timed, bulk=bulk)
        emitted = time.perf_counter()
        left = client.flush()
        end = time.perf_counter()
        app_cpu = time.process_time() - cpu[1]
        worker_cpu = cpu_seconds(workers) - cpu[0]
        after = client.stats()
    millions = events / 1e6
    sample: dict[str, Any] = {
        "events": events,
        "delivered": after.delivered - before.delivered,
        "pending": left,
        "requests": after.requests - before.requests,
        "retries": after.retries - before.retries,
        "seconds": end - start,
        "emit_seconds": emitted - start,
        "events_per_second": events / (end - start),
        "ns_per_call": (emitted - start) * 1e9 / events,
        "work_ns_per_call": sum(load.cpu_ns for load in loads) / events,
        "cpu_seconds": app_cpu + worker_cpu,
        "cpu_per_million": (app_cpu + worker_cpu) / millions,
        "app_cpu_per_million": app_cpu / millions,
    }
    if timed:
        times = quantiles(time for load in loads for time in load.times)
        sample |= {"latency": times, "p50": times["0.5"], "p99": times["0.99"]}
        sample |= {"longest": times["1.0"]}
    return sample


def warmed_up(client: Client, events: int) -> list[int]:
    """Wait until all workers run, ship events, and return the workers' process ids.

    Args:
        client: A new client.
        events: Number of events to ship.

    Raises:
        TimeoutError: The workers did not start within 30 seconds.
    """
    _emit(client, 1)  # starts the workers
    deadline = time.monotonic() + _START_SECONDS
    while len(workers := client._engine.workers()) < client.config.num_processes:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {len(workers)} workers after {_START_SECONDS} s")
        time.sleep(_POLL_SECONDS)
    _emit(client, events)
    client.flush()
    return workers


class _ThreadLoad:
    """The events that one thread emits.

    Attributes:
        cpu_ns: CPU time that the thread took, in nanoseconds.
        times: Times of the calls in nanoseconds, if they are timed.
    """

    def __init__(self, client: Client, events: int, *, timed: bool, bulk: bool) -> None:
        self._client = client
        self._events = events
        self._timed = timed
        self._bulk = bulk
        self.cpu_ns = 0
        self.times: array[int] = array("Q")

    def __call__(self) -> None:
        start = time.thread_time_ns()
        if self._bulk:
            self._client.emit_actions(repeat(EVENT._asdict(), self._events))
        elif self._timed:
            self.times = _emit_timed(self._client, self._events)
        else:
            _emit(self._client, self._events)
        self.cpu_ns = time.thread_time_ns() - start


def _emit(client: Client, events: int) -> None:
    emit_action = client.emit_action
    key, user_key, is_anonymous_user, timestamp, metadata = EVENT
    for _ in repeat(None, events):
        emit_action(key, user_key, is_anonymous_user, timestamp, metadata)


def _emit_timed(client: Client, events: int) -> "array[int]":
    emit_action, now = client.emit_action, time.perf_counter_ns
    key, user_key, is_anonymous_user, timestamp, metadata = EVENT
    times = array("Q", bytes(8 * events))
    for number in range(events):
        start = now()
        emit_action(key, user_key, is_anonymous_user, timestamp, metadata)
        times[number] = now() - start
    return times


def _in_threads(client: Client, shares: list[int], *, timed: bool, bulk: bool) -> list[_ThreadLoad]:
    loads = [_ThreadLoad(client, share, timed=timed, bulk=bulk) for share in shares]
    if len(loads) == 1:
        loads[0]()
        return loads
    threads = [threading.Thread(target=load) for load in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return loads


def _shares(events: int, threads: int) -> list[int]:
    return [events // threads + (number < events % threads) for number in range(threads)]
