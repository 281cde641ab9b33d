"""Memory of the application above that of an interpreter, of a worker, and its growth."""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from bench.nginx import SpeedSink
from bench.observed import Observed, bare_memory
from bench.settings import Scale, wire
from dataart_mp.cli.bench.measurement import Column, Sample

COLUMNS: Final = (
    Column("bare MB", "bare_mb", 1),
    Column("above it", "above_bare_mb", 1),
    Column("a worker", "worker_mb", 1),
    Column("growth of all", "growth_mb", 1),
    Column("all", "tree_mb", 1),
    Column("peak of all", "peak_mb", 1),
)
_TICK_SECONDS: Final = 0.1
# The client gives back what a burst has filled when it was idle for so long.
_IDLE_SECONDS: Final = 3.0
_FEW: Final = 100_000
_PROCESSES: Final = 2
_BATCHES: Final = (20, 500)


def case(batch: int) -> str:
    """Return the name of the case with this batch size."""
    return f"dataart_mp, batch {batch}"


def cases(sink: SpeedSink, scale: Scale, most: int) -> dict[str, Callable[[], Sample]]:
    """Return cases in which an application ships a few events, then many."""
    few, many = scale(_FEW), scale(most)

    def sample(batch: int) -> Callable[[], Sample]:
        config = wire(sink.url, flush_actions_batch_size=batch, flush_num_processes=_PROCESSES)
        return lambda: shipping(config, few, many)

    return {case(batch): sample(batch) for batch in _BATCHES}


def shipping(config: dict[str, Any], few: int, many: int) -> Sample:
    """Measure the memory of all processes while an application ships a few events, then many."""
    points: list[list[float]] = []
    over = threading.Event()
    bare = bare_memory()
    with Observed(config) as application:
        application.start_all()
        start = time.monotonic()

        def measure() -> list[float]:
            points.append([time.monotonic() - start, *application.memory()])
            return points[-1][1:]

        def measure_repeatedly() -> None:
            while not over.wait(_TICK_SECONDS):
                measure()

        application.emit(few)
        time.sleep(_IDLE_SECONDS)
        before = measure()
        thread = threading.Thread(target=measure_repeatedly)
        thread.start()
        try:
            delivered = application.emit(many)
        finally:
            over.set()
            thread.join()
        time.sleep(_IDLE_SECONDS)
        own, *workers = after = measure()
    if delivered != 1 + few + many:
        raise RuntimeError(f"{1 + few + many} events were emitted, {delivered} delivered")
    return {
        "events": few + many,
        "bare_mb": bare,
        "above_bare_mb": own - bare,
        "worker_mb": max(workers),
        "growth_mb": sum(after) - sum(before),
        "tree_mb": sum(after),
        "peak_mb": max(sum(point[1:]) for point in points),
        "points": points,
    }
