"""The cost per event for few and for many events, the first event, and an idle client."""

import time
from collections.abc import Callable
from typing import Any, Final

from bench import ship
from bench.nginx import SpeedSink
from bench.observed import Observed
from bench.settings import Scale, wire
from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample

COLUMNS: Final = (
    Column("work ns a call", "work_ns_per_call"),
    *load.COLUMNS,
    Column("first call µs", "first_call_us"),
    Column("first delivery ms", "first_delivery_ms", 1),
    Column("idle % of a core", "idle_percent", 3),
)
START: Final = "start"
IDLE: Final = "idle"
_LEAST: Final = 10_000
_BATCH: Final = 500


def case(events: int) -> str:
    """Return the name of the case with so many events."""
    return f"{events:,} events"


def _steps(scale: Scale, most: int) -> list[int]:
    """Return numbers of events, each ten times the one before, up to `most`."""
    counts, events = [], scale(_LEAST)
    while events < scale(most):
        counts.append(events)
        events *= 10
    return [*counts, scale(most)]


def cases(sink: SpeedSink, scale: Scale, most: int) -> dict[str, Callable[[], Sample]]:
    """Return cases with growing numbers of events, with a start, and with an idle client."""
    config = wire(sink.url, flush_actions_batch_size=_BATCH, flush_num_processes=2)

    def sample(events: int) -> Callable[[], Sample]:
        def take() -> Sample:
            taken = fresh(load.run, config=config, events=events, warm_up=scale(_LEAST))
            ship.check(taken)
            return taken

        return take

    return {
        **{case(events): sample(events) for events in _steps(scale, most)},
        START: lambda: fresh(start, config=config),
        IDLE: lambda: idle(config, seconds=10.0 * min(1.0, scale.factor)),
    }


def start(config: dict[str, Any]) -> Sample:
    """Measure the first call, and the delivery of its event by a worker that it starts."""
    client = Client(ClientConfig.from_wire(config))
    begin = time.perf_counter()
    client.emit_action(*load.EVENT)
    called = time.perf_counter()
    left = client.flush()
    delivered = time.perf_counter()
    client.close()
    if left or client.stats().delivered != 1:
        raise RuntimeError(f"the first event was not delivered: {client.stats()}")
    return {
        "first_call_us": (called - begin) * 1e6,
        "first_delivery_ms": (delivered - begin) * 1e3,
    }


def idle(config: dict[str, Any], seconds: float) -> Sample:
    """Measure the CPU time of an idle application and its workers."""
    with Observed(config) as application:
        application.start_all()
        time.sleep(min(1.0, seconds))  # by then the start is over
        before, begin = application.cpu(), time.perf_counter()
        time.sleep(seconds)
        used, lasted = application.cpu() - before, time.perf_counter() - begin
    return {"seconds": lasted, "cpu_seconds": used, "idle_percent": used / lasted * 100}
