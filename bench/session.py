"""A session: one call of a command, with its options."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench import floor, results
from bench.nginx import SpeedSink
from bench.settings import Scale
from bench.targets import table, targets
from dataart_mp.cli.bench.load import EVENT
from dataart_mp.cli.bench.measurement import Column, Measurement, Sample


@dataclass(frozen=True)
class Session:
    """One call of a command.

    Attributes:
        scale: How much to measure.
        only: Only cases whose names contain one of these texts are measured; if empty, all are.
        output: The directory for the samples.
    """

    scale: Scale
    only: Sequence[str]
    output: Path

    def measure(
        self,
        name: str,
        sink: SpeedSink | None,
        cases: Mapping[str, Callable[[], Sample]],
        **settings: Any,
    ) -> Measurement:
        """Measure the chosen cases in turn.

        Args:
            name: The name of the measurement.
            sink: The sink to ship to, if there is one.
            cases: The functions that take a sample, by case.
            settings: Recorded with the measurement.

        Raises:
            click.UsageError: No case is chosen.
        """
        configuration = {
            "sink": sink.name if sink else None,
            "event": [*EVENT[:3], EVENT.timestamp.isoformat(), EVENT.metadata],
            "event_bytes": len(floor.event()),
            "repetitions": self.scale.repetitions,
            "factor": self.scale.factor,
            **settings,
        }
        # A part of the cases must not be mistaken for all: it has another name, and no targets.
        run = Measurement(f"{name}-part" if self.only else name, configuration)
        chosen = {case: cases[case] for case in cases if self.wants(case)}
        if not chosen:
            raise click.UsageError(f"--only matches no case; the cases are: {', '.join(cases)}")
        return run.take(chosen, self.scale.repetitions, lambda line: click.echo(line, err=True))

    def show(self, run: Measurement, *tables: tuple[Sequence[Column], Iterable[str]]) -> None:
        """Print tables of columns and cases, print the targets, and store the samples."""
        click.echo(f"{run.name}: {run}\n")
        for columns, cases in tables:
            measured = [case for case in cases if case in run.samples]
            if measured:
                click.echo(run.table(columns, measured) + "\n")
        found = targets(run)
        if found:
            click.echo(table(found) + "\n")
        click.echo(f"All samples are stored in {results.save(run, self.output)}")

    def wants(self, case: str) -> bool:
        """Whether the case with this name is to be measured."""
        return not self.only or any(text in case for text in self.only)
