"""`python -m bench COMMAND`: what can be typed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from bench import emit as emitting
from bench import floor as floors
from bench import footprint, results
from bench import peers as rivals
from bench import queues as queueing
from bench import scale as scaling
from bench import ship as shipping
from bench.nginx import SpeedSink, speed_sink
from bench.settings import Scale
from bench.targets import table, targets
from bench.timeline import timeline
from dataart_mp.cli.fresh import fresh
from dataart_mp.cli.load import EVENT
from dataart_mp.cli.measurement import Column, Measurement, Sample

F = TypeVar("F", bound=Callable[..., object])
Cases = Mapping[str, Callable[[], Sample]]


def sizes(command: F) -> F:
    """How much a command measures, and where it keeps that."""
    for option in (
        click.option("--output", type=click.Path(path_type=Path), default=results.DIRECTORY),
        click.option("--factor", type=float, default=1.0, help="Of the usual number of events."),
        click.option("--repetitions", type=click.IntRange(1), default=7, show_default=True),
    ):
        command = option(command)
    return command


@click.group()
def bench() -> None:
    """Measure dataart_mp, floors and peers; see bench/README.md."""


@bench.command()
@sizes
def floor(repetitions: int, factor: float, output: Path) -> None:
    """What the parts cost at least: encode, copy, post."""
    scale = Scale(factor, repetitions)
    with speed_sink() as sink:
        run = _measure("floor", scale, sink, floors.cases(sink, scale))
    calls = (floors.ENCODE, floors.COPY)
    posts = [case for case in run.samples if case not in calls]
    _show(run, output, (floors.CALLS, calls), (floors.REQUESTS, posts))


@bench.command()
@sizes
def emit(repetitions: int, factor: float, output: Path) -> None:
    """A call of emit_action; the Go client's benchmark of 4,000 actions."""
    scale = Scale(factor, repetitions)
    with speed_sink() as sink:
        ours, seed = emitting.cases(sink, scale), emitting.seed_cases(sink)
        run = _measure("emit", scale, sink, {**ours, **seed})
    _show(run, output, (emitting.COLUMNS, ours), (emitting.SEED_COLUMNS, seed))


@bench.command()
@sizes
@click.option("--full", is_flag=True, help="Other batch sizes and numbers of processes, too.")
def ship(repetitions: int, factor: float, output: Path, full: bool) -> None:
    """Events end to end, against the floors of the same run, and through faults."""
    scale = Scale(factor, repetitions)
    counted = shipping.verification(scale)
    with speed_sink() as sink:
        run = _measure("ship", scale, sink, shipping.cases(sink, scale, full=full))
    run.configuration["verified_by_a_counting_sink"] = counted
    run.configuration["timeline"] = fresh(timeline, seconds=8.0 * min(1.0, factor * 10))
    for case, count in counted.items():
        click.echo(f"Verified: {case}: all {count:,} events counted by the sink")
    _show(run, output, (shipping.COLUMNS, run.samples))


@bench.command()
@sizes
@click.option("--most", default=1_000_000, show_default=True, help="Events of the long run.")
def memory(repetitions: int, factor: float, output: Path, most: int) -> None:
    """Memory of the application and of its workers, and whether it grows."""
    scale = Scale(factor, repetitions, most)
    with speed_sink() as sink:
        run = _measure("memory", scale, sink, footprint.cases(sink, scale), many=scale(most))
    _show(run, output, (footprint.COLUMNS, run.samples))


@bench.command()
@sizes
@click.option("--most", default=1_000_000, show_default=True, help="Events of the largest load.")
def scale(repetitions: int, factor: float, output: Path, most: int) -> None:
    """Cost an event from few to many, the first event, and idleness."""
    size = Scale(factor, repetitions, most)
    with speed_sink() as sink:
        run = _measure("scale", size, sink, scaling.cases(sink, size))
    _show(run, output, (scaling.COLUMNS, run.samples))


@bench.command()
@sizes
@click.option("--python", type=click.Path(path_type=Path), help="That has the peers installed.")
@click.option("--peer", "names", multiple=True, type=click.Choice(list(rivals.RIVALS)))
def peers(
    repetitions: int, factor: float, output: Path, python: Path | None, names: tuple[str, ...]
) -> None:
    """Other Python clients, in a venv of their own, made at the first time."""
    scale = Scale(factor, repetitions)
    chosen = names or tuple(rivals.RIVALS)
    interpreter = python or rivals.install()
    counted = rivals.verification(scale, interpreter, chosen)
    with speed_sink() as sink:
        cases = rivals.cases(sink, scale, interpreter, chosen)
        run = _measure("peers", scale, sink, cases, verified_by_a_counting_sink=counted)
    run.configuration["versions"] = rivals.REQUIREMENTS.read_text().splitlines()
    _show(run, output, (rivals.COLUMNS, run.samples))


@bench.command()
@sizes
def queues(repetitions: int, factor: float, output: Path) -> None:
    """A plain multiprocessing.Queue against RecordQueue: speed, and who survives what."""
    scale = Scale(factor, repetitions)
    run = _measure("queues", scale, None, queueing.cases(scale))
    survived = queueing.survival(repetitions)
    run.configuration["survival"] = survived
    click.echo(queueing.survival_table(survived, repetitions) + "\n")
    _show(run, output, (queueing.COLUMNS, run.samples))


@bench.command()
@click.option("--output", type=click.Path(path_type=Path), default=results.DIRECTORY)
def report(output: Path) -> None:
    """What all measurements in the directory mean: targets, and drawings beside them."""
    # Not at the top: it takes longer to import than all else.
    from bench.report import draw

    runs = results.load(output)
    if not runs:
        raise click.ClickException(f"no measurement is in {output}; run the other commands first")
    for run in runs.values():
        click.echo(f"{run.name}: {run}")
    click.echo("\n" + table([target for run in runs.values() for target in targets(run)]) + "\n")
    for drawing in draw(runs, output):
        click.echo(drawing)


def _measure(
    name: str, scale: Scale, sink: SpeedSink | None, cases: Cases, **settings: Any
) -> Measurement:
    configuration = {
        "sink": sink.name if sink else None,
        "event": [*EVENT[:3], EVENT.timestamp.isoformat(), EVENT.metadata],
        "record_bytes": len(floors.record()),
        "repetitions": scale.repetitions,
        "factor": scale.factor,
        **settings,
    }
    run = Measurement(name, configuration)
    return run.take(cases, scale.repetitions, lambda line: click.echo(line, err=True))


def _show(run: Measurement, output: Path, *tables: tuple[Sequence[Column], Iterable[str]]) -> None:
    click.echo(f"{run.name}: {run}\n")
    for columns, cases in tables:
        click.echo(run.table(columns, cases) + "\n")
    found = targets(run)
    if found:
        click.echo(table(found) + "\n")
    click.echo(f"All samples are in {results.save(run, output)}")


if __name__ == "__main__":
    bench(prog_name="python -m bench")
