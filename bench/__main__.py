"""`python -m bench COMMAND`: what can be typed."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bench import emit as emitting
from bench import floor as floors
from bench import footprint, results
from bench import peers as rivals
from bench import queues as queueing
from bench import scale as scaling
from bench import ship as shipping
from bench.nginx import speed_sink
from bench.session import Session
from bench.settings import Scale
from bench.targets import table, targets
from bench.timeline import timeline
from dataart_mp.cli.bench.fresh import fresh

_LEAST_TIMELINE_SECONDS: Final = 0.5
_TIMELINE_SECONDS: Final = 8.0


def measures(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a Session, and the session as its first argument."""

    @click.option("--repetitions", type=click.IntRange(1), default=7, show_default=True)
    @click.option(
        "--factor", default=1.0, show_default=True, help="Measure so much of the usual number."
    )
    @click.option(
        "--only",
        multiple=True,
        metavar="TEXT",
        help="Only cases with this in their names; then there are no targets.",
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
    """Measure dataart_mp, floors and peers; see bench/README.md."""


@bench.command()
@measures
def floor(session: Session) -> None:
    """What the parts cost at least: encode, copy, post."""
    with speed_sink() as sink:
        run = session.measure("floor", sink, floors.cases(sink, session.scale))
    calls = (floors.ENCODE, floors.COPY)
    posts = [case for case in run.samples if case not in calls]
    session.show(run, (floors.CALLS, calls), (floors.REQUESTS, posts))


@bench.command()
@measures
def emit(session: Session) -> None:
    """A call of emit_action."""
    with speed_sink() as sink:
        run = session.measure("emit", sink, emitting.cases(sink, session.scale))
    session.show(run, (emitting.COLUMNS, run.samples))


@bench.command()
@measures
def seed(session: Session) -> None:
    """The Go client's benchmark: 4,000 actions in parallel."""
    with speed_sink() as sink:
        run = session.measure("seed", sink, emitting.seed_cases(sink), **emitting.SEED)
    session.show(run, (emitting.SEED_COLUMNS, run.samples))


@bench.command()
@measures
@click.option("--full", is_flag=True, help="Other batch sizes and numbers of processes, too.")
def ship(session: Session, full: bool) -> None:
    """Events end to end, against the floors of the same run, and through faults."""
    counted = shipping.verification(session.scale, session.wants)
    seconds = max(_LEAST_TIMELINE_SECONDS, _TIMELINE_SECONDS * min(1.0, session.scale.factor))
    faults = fresh(timeline, seconds=seconds)
    with speed_sink() as sink:
        cases = shipping.cases(sink, session.scale, full=full)
        run = session.measure(
            "ship", sink, cases, verified_by_a_counting_sink=counted, timeline=faults
        )
    for case, count in counted.items():
        click.echo(f"Verified: {case}: all {count:,} events counted by the sink")
    session.show(run, (shipping.COLUMNS, run.samples))


@bench.command()
@measures
@click.option("--most", default=1_000_000, show_default=True, help="Events of the long run.")
def memory(session: Session, most: int) -> None:
    """Memory of the application and of its workers, and whether it grows."""
    with speed_sink() as sink:
        cases = footprint.cases(sink, session.scale, most)
        run = session.measure("memory", sink, cases, many=session.scale(most))
    session.show(run, (footprint.COLUMNS, run.samples))


@bench.command()
@measures
@click.option("--most", default=1_000_000, show_default=True, help="Events of the largest load.")
def scale(session: Session, most: int) -> None:
    """Cost an event from few to many, the first event, and idleness."""
    with speed_sink() as sink:
        run = session.measure("scale", sink, scaling.cases(sink, session.scale, most))
    session.show(run, (scaling.COLUMNS, run.samples))


@bench.command()
@measures
@click.option("--python", type=click.Path(path_type=Path), help="That has the peers installed.")
@click.option("--peer", "names", multiple=True, type=click.Choice(list(rivals.RIVALS)))
def peers(session: Session, python: Path | None, names: tuple[str, ...]) -> None:
    """Other Python clients, in a venv of their own, made at the first time."""
    chosen = names or tuple(rivals.RIVALS)
    interpreter = python or rivals.install()
    counted = rivals.verification(session.scale, interpreter, chosen)
    with speed_sink() as sink:
        cases = rivals.cases(sink, session.scale, interpreter, chosen)
        run = session.measure(
            "peers",
            sink,
            cases,
            verified_by_a_counting_sink=counted,
            versions=rivals.REQUIREMENTS.read_text().splitlines(),
        )
    session.show(run, (rivals.COLUMNS, run.samples))


@bench.command()
@measures
@click.option("--trials", default=5, show_default=True, help="Of each death; 0: none.")
def queues(session: Session, trials: int) -> None:
    """A plain multiprocessing.Queue against RecordQueue: speed, and who survives what."""
    survived = queueing.survival(trials) if trials else {}
    run = session.measure(
        "queues", None, queueing.cases(session.scale), trials=trials, survival=survived
    )
    if survived:
        click.echo(queueing.survival_table(survived, trials) + "\n")
    session.show(run, (queueing.COLUMNS, run.samples))


@bench.command()
@click.argument(
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=results.DIRECTORY,
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the drawings.  [default: that of the samples]",
)
def report(directory: Path, output: Path | None) -> None:
    """What all measurements in DIRECTORY (.cache/bench) mean: targets, and drawings."""
    # Not at the top: it takes longer to import than all else.
    from bench.report import draw

    runs = results.load(directory)
    if not runs:
        raise click.ClickException(f"no measurement is in {directory}; run other commands first")
    for run in runs.values():
        click.echo(f"{run.name}: {run}")
    click.echo("\n" + table([target for run in runs.values() for target in targets(run)]) + "\n")
    for drawing in draw(runs, output or directory):
        click.echo(drawing)


if __name__ == "__main__":
    bench(prog_name="python -m bench")
