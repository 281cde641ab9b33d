"""The commands of `python -m bench`."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bench import (
    emit,
    floor,
    footprint,
    latency,
    peers,
    queues,
    results,
    scale,
    ship,
    spark,
    stall,
    sync,
)
from bench import table as tables
from bench.distant_sink import Distance, distant_sink
from bench.nginx import speed_sink
from bench.session import Session
from bench.settings import Scale
from bench.targets import table, targets
from bench.timeline import timeline
from dataart_mp.cli.bench.fresh import fresh

_LEAST_TIMELINE_SECONDS: Final = 0.5
_TIMELINE_SECONDS: Final = 8.0


def measures(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a Session to a command, and pass the session as its first argument."""

    @click.option("--repetitions", type=click.IntRange(1), default=7, show_default=True)
    @click.option(
        "--factor", default=1.0, show_default=True, help="Multiply the number of events by this."
    )
    @click.option(
        "--only",
        multiple=True,
        metavar="TEXT",
        help="Measure only cases whose names contain this; targets are not checked.",
    )
    @click.option(
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        default=results.DIRECTORY,
        help="Directory for the samples.  [default: .cache/bench]",
    )
    @functools.wraps(command)
    def with_session(
        *, repetitions: int, factor: float, only: tuple[str, ...], output: Path, **options: Any
    ) -> None:
        command(Session(Scale(factor, repetitions), only, output), **options)

    return with_session


@click.group()
def bench() -> None:
    """Benchmarks of dataart_mp, its lower bounds and its peers; see bench/README.md."""


@bench.command("floor")
@measures
def measure_floor(session: Session) -> None:
    """Lower bounds of the parts: encode, copy, post."""
    with speed_sink() as sink:
        run = session.measure("floor", sink, floor.cases(sink, session.scale))
    calls = (floor.ENCODE, floor.COPY)
    posts = [case for case in run.samples if case not in calls]
    session.show(run, (floor.CALLS, calls), (floor.REQUESTS, posts))


@bench.command("emit")
@measures
def measure_emit(session: Session) -> None:
    """A call of emit_action."""
    with speed_sink() as sink:
        run = session.measure("emit", sink, emit.cases(sink, session.scale))
    session.show(run, (emit.COLUMNS, run.samples))


@bench.command("seed")
@measures
def measure_seed(session: Session) -> None:
    """The Go client's benchmark: 4,000 actions in parallel."""
    with speed_sink() as sink:
        run = session.measure("seed", sink, emit.seed_cases(sink), **emit.SEED)
    session.show(run, (emit.SEED_COLUMNS, run.samples))


@bench.command("ship")
@measures
@click.option("--full", is_flag=True, help="Measure more batch sizes and worker processes.")
def measure_ship(session: Session, full: bool) -> None:
    """Events end to end, compared with lower bounds of the same run, and during faults."""
    counted = ship.verification(session.scale, session.wants)
    seconds = max(_LEAST_TIMELINE_SECONDS, _TIMELINE_SECONDS * min(1.0, session.scale.factor))
    faults = fresh(timeline, seconds=seconds)
    with speed_sink() as sink:
        cases = ship.cases(sink, session.scale, full=full)
        run = session.measure(
            "ship", sink, cases, verified_by_a_counting_sink=counted, timeline=faults
        )
    for case, count in counted.items():
        click.echo(f"Verified: {case}: all {count:,} events arrived at a sink that counts")
    session.show(run, (ship.COLUMNS, run.samples))


@bench.command("stall")
@measures
@click.option("--rate", default=5000.0, show_default=True, help="Events in a second.")
@click.option("--outage", default=120.0, show_default=True, help="Seconds of the outage.")
def measure_stall(session: Session, rate: float, outage: float) -> None:
    """The longest time for which the asyncio client stops its event loop, in an outage."""
    cases = stall.cases(session.scale, rate, outage)
    run = session.measure("stall", None, cases, rate=rate, outage=outage)
    session.show(run, (stall.COLUMNS, run.samples))


@bench.command("sync")
@measures
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Directory on the disk to measure.  [default: the working directory]",
)
def measure_sync(session: Session, directory: Path) -> None:
    """Events end to end with each value of spool_sync, and without a spool."""
    with speed_sink() as sink:
        run = session.measure("sync", sink, sync.cases(sink, session.scale, directory))
    session.show(run, (sync.COLUMNS, run.samples))


@bench.command("memory")
@measures
@click.option("--most", default=1_000_000, show_default=True, help="Events of the long run.")
def measure_memory(session: Session, most: int) -> None:
    """Memory of the application and of its workers, and its growth."""
    with speed_sink() as sink:
        cases = footprint.cases(sink, session.scale, most)
        run = session.measure("memory", sink, cases, many=session.scale(most))
    session.show(run, (footprint.COLUMNS, run.samples))


@bench.command("scale")
@measures
@click.option("--most", default=1_000_000, show_default=True, help="Events of the largest load.")
def measure_scale(session: Session, most: int) -> None:
    """Cost per event from few to many events, the first event, and an idle client."""
    with speed_sink() as sink:
        run = session.measure("scale", sink, scale.cases(sink, session.scale, most))
    session.show(run, (scale.COLUMNS, run.samples))


@bench.command("table")
@measures
def measure_table(session: Session) -> None:
    """A million rows: emit_table, emit_actions of dicts, and loops of emit_action."""
    with speed_sink() as sink:
        run = session.measure("table", sink, tables.cases(sink, session.scale))
    session.show(run, (tables.COLUMNS, run.samples))


@bench.command("spark")
@measures
def measure_spark(session: Session) -> None:
    """A million rows from executors of Spark: columns, JSON, and a naive loop."""
    distance = Distance(spark.LATENCY_MS / 1000)
    with (
        tempfile.TemporaryDirectory() as folder,
        speed_sink() as sink,
        distant_sink('"row":', distance) as distant,
    ):
        file = spark.write_rows(Path(folder) / "rows.parquet", spark.rows_of(session.scale))
        cases = spark.cases(sink, distant, session.scale, file)
        run = session.measure("spark", sink, cases)
    session.show(run, (spark.COLUMNS, run.samples))


@bench.command("latency")
@measures
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Interpreter that has the peers installed.  [default: that of bench/.peers]",
)
def measure_latency(session: Session, python: Path | None) -> None:
    """A sink that is far away, busy or limited; ours and other clients with default settings."""
    found = latency.cases(python or peers.install(), session.scale.factor)
    versions = peers.REQUIREMENTS.read_text().splitlines()
    run = session.measure("latency", None, found, versions=versions)
    for case, samples in run.samples.items():
        for error in {sample["error"] for sample in samples if "error" in sample}:
            click.echo(f"{case} was not measured: {error}")
    session.show(run, (latency.COLUMNS, run.samples))


@bench.command("peers")
@measures
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Interpreter that has the peers installed.  [default: that of bench/.peers]",
)
@click.option(
    "--peer",
    "names",
    multiple=True,
    type=click.Choice(list(peers.PEERS)),
    help="Measure only this peer; may be repeated.",
)
def measure_peers(session: Session, python: Path | None, names: tuple[str, ...]) -> None:
    """Other Python clients, in a separate venv that the first run creates."""
    chosen = names or tuple(peers.PEERS)
    interpreter = python or peers.install()
    counted = peers.verification(session.scale, interpreter, chosen)
    with speed_sink() as sink:
        cases = peers.cases(sink, session.scale, interpreter, chosen)
        run = session.measure(
            "peers",
            sink,
            cases,
            verified_by_a_counting_sink=counted,
            versions=peers.REQUIREMENTS.read_text().splitlines(),
        )
    session.show(run, (peers.COLUMNS, run.samples))


@bench.command("queues")
@measures
@click.option(
    "--trials",
    default=5,
    show_default=True,
    help="How often each process death is tried; 0 skips them.",
)
def measure_queues(session: Session, trials: int) -> None:
    """multiprocessing.JoinableQueue compared with RecordQueue: speed, and process deaths."""
    survived = queues.survival(trials) if trials else {}
    run = session.measure(
        "queues", None, queues.cases(session.scale), trials=trials, survival=survived
    )
    if survived:
        click.echo(queues.survival_table(survived, trials) + "\n")
    session.show(run, (queues.COLUMNS, run.samples))


@bench.command()
@click.argument(
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=results.DIRECTORY,
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the charts.  [default: that of the samples]",
)
def report(directory: Path, output: Path | None) -> None:
    """Tables, targets and charts of all measurements in DIRECTORY (.cache/bench)."""
    # Imported late: matplotlib takes longer to import than everything else.
    from bench.report import draw

    runs = results.load(directory)
    if not runs:
        raise click.ClickException(
            f"{directory} contains no measurements; run other commands first"
        )
    for run in runs.values():
        click.echo(f"{run.name}: {run}")
    click.echo("\n" + table([target for run in runs.values() for target in targets(run)]) + "\n")
    for chart in draw(runs, output or directory):
        click.echo(chart)


if __name__ == "__main__":
    bench(prog_name="python -m bench")
