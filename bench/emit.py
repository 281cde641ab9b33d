"""The cost of a call of `emit_action`: from one thread, from four, and with a full buffer.

Except in the case of a full buffer, the buffer is large enough for all events. Workers deliver
meanwhile, as they do in an application. The CPU time of the emitting threads ("work") is compared,
and the wall time is shown beside it.
"""

import resource
import time
import tracemalloc
from array import array
from collections.abc import Callable
from itertools import repeat
from typing import Any, Final

import orjson

from bench import floor
from bench.nginx import SpeedSink
from bench.settings import Scale, wire
from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.latency import quantiles
from dataart_mp.cli.bench.measurement import Column, Sample
from dataart_mp.devsink import SinkProcess

COLUMNS: Final = (
    *floor.CALLS,
    Column("p50 µs", "p50", 2),
    Column("p90 µs", "p90", 2),
    Column("p99 µs", "p99", 2),
    Column("p99.9 µs", "p99.9", 2),
    Column("longest µs", "longest"),
    Column("of all µs", "longest_of_all"),
    Column("of dumps µs", "control_longest"),
)
ONE: Final = "emit_action, 1 thread"
FOUR: Final = "emit_action, 4 threads"
BULK: Final = "emit_actions, 1 thread"
FULL: Final = 'emit_action, full, overflow="drop"'
TIMED: Final = "emit_action, each call timed"
_ROOMY: Final[dict[str, Any]] = {"flush_actions_batch_size": 500, "flush_buffer_size": 2000}
_EVENTS: Final = 200_000  # 400 frames of 2,000
# On macOS only the usage of the process is available.
_THREAD: Final = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)
_FULL_FRAMES: Final = 20


def cases(sink: SpeedSink, scale: Scale) -> dict[str, Callable[[], Sample]]:
    """Return the calls, and their lower bound."""
    events, config = scale(_EVENTS), wire(sink.url, **_ROOMY)
    warm_up = scale(20_000)

    def loaded(threads: int, *, bulk: bool = False) -> Callable[[], Sample]:
        return lambda: fresh(
            load.run, config=config, events=events, threads=threads, warm_up=warm_up, bulk=bulk
        )

    return {
        floor.ENCODE: lambda: fresh(floor.encode, events=scale(1_000_000)),
        ONE: loaded(1),
        FOUR: loaded(4),
        BULK: loaded(1, bulk=True),
        FULL: lambda: fresh(into_full_buffer, events=events),
        TIMED: lambda: fresh(timed, config=config, events=events, warm_up=warm_up),
    }


def timed(config: dict[str, Any], events: int, warm_up: int) -> Sample:
    """Measure each call and, in turn with it, `orjson.dumps` as a control.

    The load of the machine affects both alike. `longest` is the longest call during which the
    kernel did not give the CPU to another thread; `longest_of_all` includes all calls.
    """
    now, dumps, event = time.perf_counter_ns, orjson.dumps, load.EVENT._asdict()
    key, user_key, is_anonymous_user, timestamp, metadata = load.EVENT
    calls, controls = array("Q", bytes(8 * events)), array("Q", bytes(8 * events))
    longest = 0
    with Client(ClientConfig.from_wire(config)) as client:
        emit_action = client.emit_action
        load.warmed_up(client, warm_up)
        for number in range(events):
            switches = _interruptions()
            start = now()
            emit_action(key, user_key, is_anonymous_user, timestamp, metadata)
            emitted = now()
            dumps(event)
            end = now()
            calls[number] = taken = emitted - start
            controls[number] = end - emitted
            if taken > longest and _interruptions() == switches:
                longest = taken
    times, control = quantiles(calls), quantiles(controls)
    return {
        "latency": times,
        "control": control,
        "p50": times["0.5"],
        "p90": times["0.9"],
        "p99": times["0.99"],
        "p99.9": times["0.999"],
        "longest": longest / 1000,
        "longest_of_all": times["1.0"],
        "control_longest": control["1.0"],
    }


def _interruptions() -> int:
    """Return how often the kernel has preempted this thread."""
    return resource.getrusage(_THREAD).ru_nivcsw


def into_full_buffer(events: int) -> Sample:
    """Measure calls that drop their event, because the sink does not respond to requests."""
    with SinkProcess() as sink:
        sink.set_faults({"kind": "hang"})
        config = ClientConfig(
            "bench", base_url=sink.url, flush_buffer_size=_FULL_FRAMES, overflow="drop"
        )
        with Client(config) as client:
            emit_action = client.emit_action
            key, user_key, is_anonymous_user, timestamp, metadata = load.EVENT
            while emit_action(key, user_key, is_anonymous_user, timestamp, metadata):
                pass
            before = client.stats().total_dropped
            start, cpu = time.perf_counter_ns(), time.thread_time_ns()
            for _ in repeat(None, events):
                emit_action(key, user_key, is_anonymous_user, timestamp, metadata)
            wall, cpu = time.perf_counter_ns() - start, time.thread_time_ns() - cpu
            dropped = client.stats().total_dropped - before
            sink.clear_faults()
    if dropped != events:
        raise RuntimeError(f"only {dropped} of {events} events were dropped by a full buffer")
    return {"events": events, "ns_per_call": wall / events, "work_ns_per_call": cpu / events}


# The benchmark of the Go client

SEED_COLUMNS: Final = (
    Column("actions", "events"),
    Column("ns/op", "ns_per_call"),
    Column("CPU ns/op", "work_ns_per_call"),
    Column("bytes/op", "bytes_per_call"),
)
SEED: Final[dict[str, Any]] = {
    "flush_buffer_size": 100,
    "flush_num_workers": 16,
    "flush_num_retries": 3,
    "flush_backoff_ratio": 5.0,
    "flush_actions_batch_size": 20,
    "flush_interval": 5.0,
}
_SEED_ACTIONS: Final = 4_000
_SEED_THREADS: Final = (1, 2, 4, 8)


def seed_cases(sink: SpeedSink) -> dict[str, Callable[[], Sample]]:
    """Return cases with 4,000 actions in parallel threads, as the Go client's benchmark has."""
    config = wire(sink.url, **SEED)

    def case(threads: int) -> Callable[[], Sample]:
        def sample() -> Sample:
            arguments: dict[str, Any] = {
                "config": config,
                "events": _SEED_ACTIONS,
                "threads": threads,
                "warm_up": 1000,
            }
            memory = fresh(allocated, **arguments)
            return {**fresh(load.run, **arguments), "bytes_per_call": memory}

        return sample

    return {f"BenchmarkClient-{threads}": case(threads) for threads in _SEED_THREADS}


def allocated(config: dict[str, Any], events: int, threads: int, warm_up: int) -> float:
    """Return the peak growth of Python's memory in bytes per call, measured by tracemalloc."""
    tracemalloc.start()
    load.run(config, 1, 1, 0)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    load.run(config, events, threads, warm_up)
    _, peak = tracemalloc.get_traced_memory()
    return (peak - before) / events
