"""A timeline of faults: how many events are accepted, delivered, and counted by the sink.

0 ─────────── 1/4 ───────────────── 1/2 ────────── 3/4 ──────────────────── 1
 no faults     the sink answers 503  no faults      a worker has got kill -9
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from bench.settings import wire
from dataart_mp import Client, ClientConfig
from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.measurement import Sample
from dataart_mp.devsink import SinkProcess

_EVENTS_PER_TICK: Final = 200
_TICK_SECONDS: Final = 0.05


class _Fault(NamedTuple):
    due: float
    text: str
    happen: Callable[[], None]


def timeline(seconds: float) -> Sample:
    """Ship at a steady rate during an outage and the death of a worker.

    Returns:
        `points` of [seconds, accepted, delivered, counted by the sink], and the `faults` as
        [seconds, what happened].

    Raises:
        RuntimeError: Some events did not arrive.
    """
    points: list[tuple[float, int, int, int]] = []
    faults: list[tuple[float, str]] = []
    with SinkProcess() as sink:
        config = wire(sink.url, flush_interval=0.5, flush_backoff_ratio=0.5)
        with Client(ClientConfig.from_wire(config)) as client:
            workers = load.warmed_up(client, 0)
            plan = _plan(seconds, sink, workers[0])
            start = time.monotonic()

            def measure() -> float:
                now = time.monotonic() - start
                stats = client.stats()
                points.append((now, stats.accepted, stats.delivered, sink.stats()["actions"]))
                return now

            # Every fault happens, also on a machine on which a tick takes a quarter of the time.
            while (now := measure()) < seconds or plan:
                if plan and now >= plan[0].due:
                    fault = plan.pop(0)
                    fault.happen()
                    faults.append((now, fault.text))
                for _ in range(_EVENTS_PER_TICK):
                    client.emit_action(*load.EVENT)
                time.sleep(_TICK_SECONDS)
            client.flush()
            measure()
    _, accepted, delivered, arrived = points[-1]
    if delivered != accepted or arrived < accepted:
        raise RuntimeError(f"accepted {accepted}, delivered {delivered}, arrived {arrived}")
    return {"events": accepted, "arrived": arrived, "points": points, "faults": faults}


def _plan(seconds: float, sink: SinkProcess, worker: int) -> list[_Fault]:
    outage = {"kind": "status", "status": 503}
    return [
        _Fault(seconds / 4, "the sink answers 503", lambda: sink.set_faults(outage)),
        _Fault(seconds / 2, "no faults", sink.clear_faults),
        _Fault(seconds * 3 / 4, "a worker gets kill -9", lambda: os.kill(worker, signal.SIGKILL)),
    ]
