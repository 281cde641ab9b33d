"""Targets: ratios within one run that dataart_mp is to reach, and whether it does."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from bench import emit, floor, footprint, latency, peers, scale, ship, spark, sync
from bench import table as tables
from dataart_mp import compiled
from dataart_mp.cli.bench.measurement import Measurement

# The Go client's events per second with batches of 500, divided by those of a raw socket in the
# same run. Its timer leak was fixed for this; with the leak it reaches 192,000 events per second.
_GO: Final = 217_000 / (18_400 * 500)


class _Limits(NamedTuple):
    """What the hot path in C, or the one in Python, is to reach.

    Attributes:
        one: CPU time of a call with batches of 500, relative to `orjson.dumps`.
        four: The same from four threads.
        bulk: The same of an event in `emit_actions`.
        p99: Of single calls, in microseconds.
        end_to_end: Events per second with batches of 500, relative to the slower bare loop.
        end_to_end_in_bulk: The same with `emit_actions`.
        raw: Events per second with batches of 20, relative to one raw socket.
    """

    one: float
    four: float
    bulk: float
    p99: float
    end_to_end: float
    end_to_end_in_bulk: float
    raw: float


_COMPILED: Final = _Limits(0.85, 1.0, 0.65, 1.0, 1.0, 1.3, 1.0)
_PURE: Final = _Limits(5.5, 6.0, 3.3, 2.5, 0.3, 0.5, 0.6)
_LIMITS: Final = _COMPILED if compiled else _PURE


class Target(NamedTuple):
    """A measured value, and its limit.

    Attributes:
        what: What is measured.
        measured: The measured value.
        limit: The limit.
        least: Whether the limit is a minimum; otherwise it is a maximum.
        unit: The unit of both values; empty for a ratio.
    """

    what: str
    measured: float
    limit: float
    least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def targets(measurement: Measurement) -> list[Target]:
    """Return the targets that a measurement covers."""
    return list(_BY_NAME.get(measurement.name, _none)(measurement))


def table(found: Iterable[Target]) -> str:
    """Return a table with a line for each target: what, wanted, measured, met."""
    lines = [("target", "wanted", "measured", "met")]
    for target in found:
        sign = "≥" if target.least else "≤"
        unit = f" {target.unit}" if target.unit else ""
        wanted = f"{sign} {target.limit:.4g}{unit}"
        met = "yes" if target.met else "NO"
        lines.append((target.what, wanted, f"{target.measured:.4g}{unit}", met))
    widths = [max(len(line[number]) for line in lines) for number in range(4)]
    return "\n".join(
        f"{what:{widths[0]}}  {wanted:>{widths[1]}}  {measured:>{widths[2]}}  {met:>{widths[3]}}"
        for what, wanted, measured, met in lines
    )


def _none(_: Measurement) -> Iterator[Target]:
    return iter(())


def _emit(run: Measurement) -> Iterator[Target]:
    def cpu(case: str, other: str = floor.ENCODE) -> float:
        return run.ratio(case, "work_ns_per_call", other)

    limits = _LIMITS
    yield Target("emit_action, 1 thread, to orjson.dumps (CPU)", cpu(emit.ONE), limits.one)
    wall = run.ratio(emit.ONE, "ns_per_call", floor.ENCODE)
    yield Target("emit_action, 1 thread, to orjson.dumps (wall)", wall, limits.one)
    yield Target("emit_action, 4 threads, to orjson.dumps (CPU)", cpu(emit.FOUR), limits.four)
    if emit.BULK in run.samples:
        bulk = cpu(emit.BULK)
        yield Target("emit_actions, an event, to orjson.dumps (CPU)", bulk, limits.bulk)
    full = run.median(emit.FULL, "work_ns_per_call") / 1000
    yield Target("emit_action into a full buffer (CPU)", full, 4.0, unit="µs")
    yield Target("p99 of a call", run.median(emit.TIMED, "p99"), limits.p99, unit="µs")
    longest = max(run.values(emit.TIMED, "longest"))
    yield Target("longest call that kept its CPU, of all runs", longest, 2000.0, unit="µs")


def _ship(run: Measurement) -> Iterator[Target]:
    single, bulk = _LIMITS.end_to_end, _LIMITS.end_to_end_in_bulk
    ways = {
        "": (ship.case, single),
        " in bulk": (ship.bulk_case, bulk),
        " lean": (ship.lean_case, bulk),
    }
    for how, (case, limit) in ways.items():
        if case(500) not in run.samples:
            continue
        bare = run.ratio(case(500), "events_per_second", ship.BARE_LOOPS)
        what = f"end to end{how}, batch 500, to the slower bare loop"
        yield Target(what, bare, limit, least=True)
        for batch, least in {20: _LIMITS.raw, 500: _GO}.items():
            raw = run.ratio(case(batch), "events_per_second", floor.case(floor.RAW, batch))
            of_go = "; limit: Go's" if batch == 500 else ""
            yield Target(f"batch {batch}{how}, to raw sockets{of_go}", raw, least, least=True)


def _sync(run: Measurement) -> Iterator[Target]:
    for batch in sync.BATCHES:
        none, interval, synced = (sync.SPOOL.format(level, batch) for level in sync.LEVELS)
        without = sync.NO_SPOOL.format(batch)
        file = run.ratio(none, "cpu_per_million", without)
        yield Target(f"CPU an event with a spool, batch {batch}, to without", file, 1.25)
        cpu = run.ratio(interval, "cpu_per_million", none)
        yield Target(f'CPU an event, spool_sync="interval", batch {batch}, to "none"', cpu, 1.5)
        waiting = run.ratio(synced, "cpu_per_million", none)
        yield Target(f'CPU an event, spool_sync="batch", batch {batch}, to "none"', waiting, 3.0)


def _memory(run: Measurement) -> Iterator[Target]:
    case = footprint.case(20)
    above = run.median(case, "above_bare_mb")
    yield Target("application above interpreter with orjson", above, 8.0, unit="MB")
    yield Target("a worker", run.median(case, "worker_mb"), 25.0, unit="MB")
    growth = run.median(case, "growth_mb")
    yield Target(f"growth over {run.configuration['many']:,} events", growth, 1.0, unit="MB")


def _scale(run: Measurement) -> Iterator[Target]:
    loads = [case for case in run.samples if case not in (scale.START, scale.IDLE)]
    first, last = loads[0], loads[-1]
    cost = run.ratio(last, "cpu_per_million", first)
    yield Target(f"CPU an event, {last} to {first}", cost, 1.1)
    first_call = run.median(scale.START, "first_call_us")
    yield Target("the first call", first_call / 1000, 2.0, unit="ms")
    delivery = run.median(scale.START, "first_delivery_ms")
    yield Target("the first event is delivered", delivery, 250.0, unit="ms")
    yield Target("idle", run.median(scale.IDLE, "idle_percent"), 0.1, unit="%")


def _peers(run: Measurement) -> Iterator[Target]:
    for name, load in peers.PEERS.items():
        for batch, factor in load.factors.items():
            theirs, ours = peers.case(name, batch), peers.case(peers.OURS_IN_BULK, batch)
            if factor is None or not {theirs, ours} <= run.samples.keys():
                continue
            speed = run.ratio(ours, "events_per_second", theirs)
            yield Target(f"events/s, to {theirs}", speed, factor, least=True)
            cost = run.ratio(theirs, "cpu_per_million", ours)
            yield Target(f"CPU an event of {theirs}, to ours", cost, factor, least=True)


def _latency(run: Measurement) -> Iterator[Target]:
    for distance, least in ((latency.AT_50_MS, 100_000.0), (latency.AT_200_MS, 40_000.0)):
        case = latency.case(latency.OURS, distance, latency.MOST)
        measured = run.median(case, "events_per_second")
        yield Target(f"events/s at {distance}", measured, least, least=True)
    case = latency.case(latency.OURS, latency.LIMITED, latency.MOST)
    used = 100 * run.median(case, "requests_per_second") / latency.RATE
    yield Target(f"permitted requests used, {latency.LIMITED}", used, 95.0, least=True, unit="%")
    wasted = run.median(case, "wasted_percent")
    yield Target(f"refused requests, {latency.LIMITED}", wasted, 12.0, unit="%")
    ours = [case for case in run.samples if case.endswith(latency.OURS)]
    for figure in ("failed", "missing_percent"):
        most = max(value for case in ours for value in run.values(case, figure))
        yield Target(f"{figure.replace('_percent', '')} events, all sinks and loads", most, 0.0)


def _table(run: Measurement) -> Iterator[Target]:
    loops = [case for case in (tables.TUPLES, tables.RECORDS) if case in run.samples]
    for case in loops:
        cpu = run.ratio(case, "cpu_ns_per_row", tables.TABLE)
        yield Target(f"emit_table, times as fast as the {case} (CPU)", cpu, 3.0, least=True)
        wall = run.ratio(case, "ns_per_row", tables.TABLE)
        yield Target(f"emit_table, times as fast as the {case} (wall)", wall, 3.0, least=True)
    dicts = run.ratio(tables.DICTS, "cpu_ns_per_row", tables.TABLE)
    yield Target(f"emit_table, times as fast as {tables.DICTS} (CPU)", dicts, 3.0, least=True)


def _spark(run: Measurement) -> Iterator[Target]:
    for case, limit in {spark.TABLE: 6.0, spark.JSON: 4.5}.items():
        cpu = run.median(case, "cpu_per_million")
        yield Target(
            f"a million rows from an executor of Spark, {case} (CPU)", cpu, limit, unit="s"
        )


_BY_NAME: Final[dict[str, Callable[[Measurement], Iterator[Target]]]] = {
    "emit": _emit,
    "ship": _ship,
    "sync": _sync,
    "latency": _latency,
    "memory": _memory,
    "scale": _scale,
    "table": _table,
    "spark": _spark,
    "peers": _peers,
}
