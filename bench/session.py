"""One call of a measuring command: how much it measures, which cases, and where that goes."""

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
    """One call.

    Attributes:
        scale: How much of everything.
        only: Texts; cases without any of them in their names are left out. Empty: none is.
        output: Directory for the samples.
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
        """Measure the cases, in turn."""
        configuration = {
            "sink": sink.name if sink else None,
            "event": [*EVENT[:3], EVENT.timestamp.isoformat(), EVENT.metadata],
            "event_bytes": len(floor.event()),
            "repetitions": self.scale.repetitions,
            "factor": self.scale.factor,
            **settings,
        }
        # What is not all must not be taken for it: it has another name, and no targets.
        run = Measurement(f"{name}-part" if self.only else name, configuration)
        chosen = {case: cases[case] for case in cases if self.wants(case)}
        if not chosen:
            raise click.UsageError(f"--only: none of the cases is named so: {', '.join(cases)}")
        return run.take(chosen, self.scale.repetitions, lambda line: click.echo(line, err=True))

    def show(self, run: Measurement, *tables: tuple[Sequence[Column], Iterable[str]]) -> None:
        """Print tables of columns and cases, print the targets, and keep the samples."""
        click.echo(f"{run.name}: {run}\n")
        for columns, cases in tables:
            measured = [case for case in cases if case in run.samples]
            if measured:
                click.echo(run.table(columns, measured) + "\n")
        found = targets(run)
        if found:
            click.echo(table(found) + "\n")
        click.echo(f"All samples are in {results.save(run, self.output)}")

    def wants(self, case: str) -> bool:
        """Whether a case of this name is to be measured."""
        return not self.only or any(text in case for text in self.only)
