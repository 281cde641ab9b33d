"""`dataart-mp bench`."""

from pathlib import Path
from typing import Final

import click

from dataart_mp.cli.bench import load
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Measurement, Sample
from dataart_mp.cli.client_options import client_config, client_options
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import report, show, show_json

_CASE: Final = "dataart_mp"
_COLUMNS: Final = (
    *load.COLUMNS,
    Column("p50 µs", "p50", 1),
    Column("p99 µs", "p99", 1),
    Column("longest µs", "longest"),
)


@click.command(
    epilog="""\b
Examples:
  dataart-mp sink &
  DATAART_API_KEY=any dataart-mp bench --base-url http://127.0.0.1:8765
  dataart-mp bench --base-url https://staging.example --threads 4 --batch-size 500 --json

\b
Exit codes:
  0    all events are delivered
  1    some are not
  2    wrong usage or configuration
  130  stopped by Ctrl-C""",
)
@client_options
@click.option(
    "--events",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="Number of events in each run.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of threads that emit concurrently.",
)
@click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    help="Number of measured runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all samples as one JSON object.")
def bench(
    api_key_file: Path | None,
    events: int,
    threads: int,
    repetitions: int,
    as_json: bool,
    **settings: object,
) -> None:
    """Ship generated events to the platform at --base-url as fast as possible, and measure.

    Each run is a new process, warmed up with a tenth of the events. The table shows medians, and
    half the interquartile range in percent. CPU time is that of the application and its workers;
    p50, p99 and longest are times of single calls of emit_action.
    """
    if settings["base_url"] is None:  # DATAART_BASE_URL may be a production platform
        raise click.UsageError("set --base-url: the platform receives generated events")
    config = client_config(api_key_file, **settings)

    def sample() -> Sample:
        return fresh(
            load.run,
            config=config.to_wire(),
            events=events,
            threads=threads,
            warm_up=events // 10,
            timed=True,
        )

    configuration = {
        "base_url": config.base_url,
        "events": events,
        "threads": threads,
        "flush_actions_batch_size": config.flush_actions_batch_size,
        "flush_num_workers": config.flush_num_workers,
        "flush_num_processes": config.num_processes,
        "flush_buffer_size": config.flush_buffer_size,
    }
    run = Measurement("load", configuration).take({_CASE: sample}, repetitions, report)
    if as_json:
        show_json(run.as_json())
    else:
        show(_as_text(run))
    delivered = all(one["delivered"] == one["events"] for one in run.samples[_CASE])
    click.get_current_context().exit(ExitCode.OK if delivered else ExitCode.NOT_DELIVERED)


def _as_text(run: Measurement) -> str:
    figures = ("delivered", "events", "requests", "retries")
    delivered, events, requests, retries = (
        int(sum(run.values(_CASE, figure))) for figure in figures
    )
    settings = ", ".join(f"{name}={value}" for name, value in run.configuration.items())
    return (
        f"{run}\n{settings}\n\n{run.table(_COLUMNS)}\n\n"
        f"Delivered {delivered:,} of {events:,} events in {requests:,} requests, "
        f"{retries:,} retries."
    )
