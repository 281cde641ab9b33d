"""The longest time for which `AsyncClient` stops an event loop: before, during and after an outage.

    3 s        outage, 503      until all is delivered, at most 30 s
    ├─────┼───────────────────┼────────────────────────►
    └ events at a steady rate ┘
       └ a task that only sleeps for a moment, over and over, measures how late it is

At most `_TASKS` events are in the hands of tasks at once, as in a server that serves so many
requests. When there are more runnable threads than CPUs, the kernel lets the loop wait for one: so
the longest step without such waiting is reported, too, with the time from the start. The loop also
waits for a thread that has the interpreter and no CPU: so does the longest step without either, for
which the longest wait of another thread is subtracted. The longest CPU time of a step is reported,
and a loop that emits nothing.
"""

import asyncio
import gc
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bench.settings import Scale, wire
from bench.waits import ThreadWaits
from dataart_mp import BufferFullError, ClientConfig
from dataart_mp.aio import AsyncClient
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample
from dataart_mp.devsink import SinkProcess

COLUMNS: Final = (
    Column("longest ms", "longest_ms", 1),
    Column("without waiting for a CPU", "longest_running_ms", 1),
    Column("at s", "longest_running_at", 1),
    Column("by any thread", "longest_undisturbed_ms", 1),
    Column("longest CPU ms", "longest_cpu_ms", 1),
    Column("99.9 % ms", "p999_ms", 1),
    Column("accepted", "accepted"),
    Column("delivered", "delivered"),
    Column("failed", "failed"),
    Column("dropped", "dropped"),
    Column("refused", "refused"),
    Column("most suspended", "most_suspended"),
)
NOTHING: Final = "nothing is emitted"
CASES: Final[dict[str, dict[str, str]]] = {
    'overflow="block"': {"overflow": "block"},
    'overflow="drop"': {"overflow": "drop"},
    'overflow="raise"': {"overflow": "raise"},
    "with a spool": {"spool_dir": "new"},
}
_TASKS: Final = 1000
_BEFORE_SECONDS: Final = 3.0
_AFTER_SECONDS: Final = 30.0
_TICK_SECONDS: Final = 0.001


def cases(scale: Scale, rate: float, outage: float) -> dict[str, Callable[[], Sample]]:
    """Return a case for each setting of `overflow`, one with a spool, and one without events.

    Args:
        scale: Shortens the outage.
        rate: Events in a second.
        outage: Seconds of the outage.
    """
    seconds = outage * min(1.0, scale.factor)

    def sample(settings: dict[str, str] | None) -> Callable[[], Sample]:
        return lambda: fresh(measure, settings=settings, rate=rate, outage=seconds)

    return {name: sample(settings) for name, settings in ((NOTHING, None), *CASES.items())}


def measure(settings: dict[str, str] | None, rate: float, outage: float) -> dict[str, Any]:
    """Measure one case in this process.

    Args:
        settings: Settings of the client; None emits nothing.
        rate: Events in a second.
        outage: Seconds of the outage.
    """
    with SinkProcess() as sink, tempfile.TemporaryDirectory() as spool:
        chosen = {**(settings or {})}
        if "spool_dir" in chosen:
            chosen["spool_dir"] = spool
        config = ClientConfig.from_wire(wire(sink.url, **chosen))
        return asyncio.run(_Outage(sink, config, rate, outage).run(emits=settings is not None))


class _Step(NamedTuple):
    """What a task that sleeps has observed.

    Attributes:
        late: Seconds by which it continued too late.
        waiting: How many of them the loop was runnable and had no CPU.
        others: The most of them that another thread of this process was runnable and had none.
        cpu: CPU seconds that the loop used.
        at: When, in seconds from the start.
    """

    late: float
    waiting: float
    others: float
    cpu: float
    at: float

    @property
    def running(self) -> float:
        """Seconds by which it would have been late with a CPU for each thread."""
        return self.late - self.waiting

    @property
    def undisturbed(self) -> float:
        """The same, also without the wait of another thread, which may have the interpreter."""
        return max(0.0, self.running - self.others)


class _Outage:
    def __init__(
        self, sink: SinkProcess, config: ClientConfig, rate: float, seconds: float
    ) -> None:
        self._sink = sink
        self._client = AsyncClient(config)
        self._rate = rate
        self._seconds = seconds
        self._is_over = False
        self._waits = ThreadWaits()
        # Two minutes of steps as objects would be collected, which takes the collector 8 ms.
        self._late = array("d")
        self._longest = _Step(0.0, 0.0, 0.0, 0.0, 0.0)
        self._most_undisturbed = self._most_cpu = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused = self._most = self._emitted = 0

    async def run(self, *, emits: bool) -> dict[str, Any]:
        self._sink.clear_faults()  # what it imports would stop the loop when the outage begins
        gc.collect()
        gc.freeze()  # what benchmarks import is not collected again
        ticking = asyncio.ensure_future(self._tick())
        async with self._client:
            return await self._measured(ticking, emits=emits)

    async def _measured(self, ticking: "asyncio.Task[None]", *, emits: bool) -> dict[str, Any]:
        emitting = asyncio.ensure_future(self._emit() if emits else asyncio.sleep(0))
        await asyncio.sleep(_BEFORE_SECONDS)
        await asyncio.to_thread(self._sink.set_faults, {"kind": "status", "status": 503})
        await asyncio.sleep(self._seconds)
        await asyncio.to_thread(self._sink.clear_faults)
        await asyncio.sleep(_BEFORE_SECONDS)
        self._is_over = True
        await emitting
        await self._client.flush(_AFTER_SECONDS)
        ticking.cancel()
        for task in self._tasks:  # to end a thousand tasks at once is the loop's own work
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose(1.0)
        self._waits.close()
        stats = self._client.stats()
        late = sorted(self._late)
        return {
            "longest_ms": 1e3 * late[-1],
            "longest_running_ms": 1e3 * self._longest.running,
            "longest_running_at": self._longest.at,
            "longest_undisturbed_ms": 1e3 * self._most_undisturbed,
            "longest_cpu_ms": 1e3 * self._most_cpu,
            "p999_ms": 1e3 * late[int(len(late) * 0.999)],
            "accepted": stats.accepted,
            "delivered": stats.delivered + stats.parked,
            "failed": stats.failed + stats.rejected,
            "dropped": stats.total_dropped,
            "refused": self._refused,
            "most_suspended": self._most,
        }

    async def _tick(self) -> None:
        started, me = time.perf_counter(), threading.get_native_id()
        while True:
            before, cpu, wall = self._waits.look(), time.thread_time(), time.perf_counter()
            await asyncio.sleep(_TICK_SECONDS)
            late = time.perf_counter() - wall - _TICK_SECONDS
            # What the loop itself used is no more than what it used between two ticks.
            used, after = time.thread_time() - cpu, self._waits.look()
            waits = {thread: 1e-9 * (ns - before.get(thread, 0)) for thread, ns in after.items()}
            waiting = waits.pop(me, 0.0)
            others = max(waits.values(), default=0.0)
            self._note(_Step(late, waiting, others, used, wall - started))

    def _note(self, step: _Step) -> None:
        self._late.append(step.late)
        self._longest = max(self._longest, step, key=lambda step: step.running)
        self._most_undisturbed = max(self._most_undisturbed, step.undisturbed)
        self._most_cpu = max(self._most_cpu, step.cpu)

    async def _emit(self) -> None:
        started = time.monotonic()
        tasks = self._tasks
        while not self._is_over:
            due = int(self._rate * (time.monotonic() - started))
            # What no task was free for is not made up for later, as requests that go elsewhere.
            for _ in range(min(due - self._emitted, _TASKS - len(tasks), 50)):
                task = asyncio.ensure_future(self._emit_one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                self._emitted += 1
            self._emitted = max(self._emitted, due - 100)
            self._most = max(self._most, len(tasks))
            await asyncio.sleep(_TICK_SECONDS)

    async def _emit_one(self) -> None:
        try:
            await self._client.emit_action("play", "ann", metadata={"n": self._emitted})
        except BufferFullError:
            self._refused += 1
