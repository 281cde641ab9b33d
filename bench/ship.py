"""Events end to end, from the first call to the last response, and lower bounds of the same run."""

from collections.abc import Callable
from typing import Any, Final

from bench import floor
from bench.nginx import SpeedSink
from bench.settings import Scale, wire
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample
from dataart_mp.devsink import SinkProcess

COLUMNS: Final = (*load.COLUMNS, Column("requests/s", "requests_per_second"))
BARE_LOOPS: Final = "two bare loops side by side, 500 a request"
CEILING: Final = "raw sockets of 2 processes, {} a request"
PROCESSES: Final = (1, 2, 4)
BATCHES: Final = (1, 20, 100, 500, 2000)
_EVENTS: Final = {1: 50_000, 20: 600_000, 100: 1_000_000, 500: 2_000_000, 2000: 2_000_000}
_MANY_BYTES: Final = 1024 * 1024
CLIENT_BATCHES: Final = (20, 500)


def case(batch: int, processes: int = 2) -> str:
    """Return the name of the case with this batch size and number of worker processes."""
    plural = "process" if processes == 1 else "processes"
    return f"dataart_mp, batch {batch}, {processes} worker {plural}"


def bulk_case(batch: int) -> str:
    """Return the name of the case that emits all events by one `emit_actions`."""
    return f"dataart_mp in bulk, batch {batch}"


def lean_case(batch: int) -> str:
    """Return the name of the bulk case with one sender per process.

    One sender is best if the sink responds within microseconds.
    """
    return f"dataart_mp in bulk, batch {batch}, one sender a process"


def settings(batch: int, processes: int = 2, *, lean: bool = False) -> dict[str, Any]:
    """Return a client's settings."""
    return {
        **({"flush_num_workers": processes} if lean else {}),
        "flush_actions_batch_size": batch,
        "flush_num_processes": processes,
        "max_request_bytes": _MANY_BYTES if batch > CLIENT_BATCHES[-1] else 128 * 1024,
    }


def cases(sink: SpeedSink, scale: Scale, *, full: bool) -> dict[str, Callable[[], Sample]]:
    """Return lower bounds, the limits of the sink, and cases with the client.

    Args:
        sink: The sink to ship to.
        scale: How much to measure.
        full: Whether to measure more batch sizes and numbers of worker processes.
    """
    ways = [(batch, 2) for batch in (BATCHES if full else CLIENT_BATCHES)]
    if full:
        ways += [(batch, number) for batch in CLIENT_BATCHES for number in PROCESSES]
    seconds = 2.0 * min(1.0, scale.factor)
    return {
        **{floor.case(floor.RAW, batch): _raw(sink, scale, batch) for batch in CLIENT_BATCHES},
        **{CEILING.format(batch): _ceiling(sink, batch, seconds) for batch in CLIENT_BATCHES},
        BARE_LOOPS: lambda: floor.side_by_side(sink.url, 500, seconds),
        **{case(*way): _client(sink, scale, *way) for way in dict.fromkeys(ways)},
        **{bulk_case(batch): _client(sink, scale, batch, 2, bulk=True) for batch in CLIENT_BATCHES},
        **{
            lean_case(batch): _client(sink, scale, batch, 2, bulk=True, lean=True)
            for batch in CLIENT_BATCHES
        },
    }


def _client(
    sink: SpeedSink,
    scale: Scale,
    batch: int,
    processes: int,
    *,
    bulk: bool = False,
    lean: bool = False,
) -> Callable[[], Sample]:
    config = wire(sink.url, **settings(batch, processes, lean=lean))
    events = scale(_EVENTS[batch])

    def sample() -> Sample:
        taken = fresh(load.run, config=config, events=events, warm_up=events // 10, bulk=bulk)
        check(taken)
        return {**taken, "requests_per_second": taken["requests"] / taken["seconds"]}

    return sample


def check(sample: Sample) -> None:
    """Check that all events were delivered at the first attempt: other samples are not comparable.

    Raises:
        RuntimeError: Events are missing, or were retried.
    """
    if sample["delivered"] != sample["events"] or sample["retries"]:
        raise RuntimeError(f"not all events were delivered at the first attempt: {sample}")


def _raw(sink: SpeedSink, scale: Scale, batch: int) -> Callable[[], Sample]:
    requests = scale(5_000)
    return lambda: fresh(floor.post, layer=floor.RAW, url=sink.url, batch=batch, requests=requests)


def _ceiling(sink: SpeedSink, batch: int, seconds: float) -> Callable[[], Sample]:
    return lambda: floor.ceiling(sink.url, batch, seconds)


def verification(scale: Scale, wants: Callable[[str], bool]) -> dict[str, int]:
    """Ship to a sink that counts, with the settings that are measured.

    Args:
        scale: How much to ship.
        wants: Returns whether a case is to be measured.

    Returns:
        How many events arrived, by case.

    Raises:
        RuntimeError: Not as many events arrived as were emitted.
    """
    counted = {}
    for batch in CLIENT_BATCHES:
        if not wants(case(batch)):
            continue
        events = scale(20_000)
        with SinkProcess() as sink:
            config = wire(sink.url, **settings(batch))
            sample = fresh(load.run, config=config, events=events)
            arrived = sink.stats()["actions"] - 1  # the event that starts the workers
        if not sample["delivered"] == events == arrived:
            delivered = sample["delivered"]
            raise RuntimeError(f"{events} emitted, {delivered} delivered, {arrived} arrived")
        counted[case(batch)] = arrived
    return counted
