"""`dataart-mp demo`."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from dataart_mp.cli.demo.audit import Audit
from dataart_mp.cli.demo.report import Report
from dataart_mp.cli.demo.trial import Trial
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.input.row import Row, event_of
from dataart_mp.cli.input.source import Source
from dataart_mp.cli.message import report, show, show_json, warn
from dataart_mp.cli.nycflights.archive import Archive, ArchiveError
from dataart_mp.cli.nycflights.table import TOTAL, read_flights, spread
from dataart_mp.cli.progress import progress
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.devsink import SinkError
from dataart_mp.errors import DataArtError, EventError
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.event import Action, Identity


class _Flights(NamedTuple):
    """The flights to ship.

    Attributes:
        actions: The flights.
        total: Number of flights.
        description: What they are, after their number.
    """

    actions: Iterator[Action]
    total: int
    description: str


@click.command(
    epilog="""\b
Examples:
  dataart-mp demo
  dataart-mp demo --sample 20000 --outage 1 --json

\b
Exit codes:
  0    the audit passed: all flights arrived; no unexplained duplicates
  1    the audit failed
  2    the demo cannot run: no flights, or no sink
  130  stopped by Ctrl-C
""",
)
@click.option(
    "--sample",
    type=click.IntRange(1, TOTAL),
    default=TOTAL,
    help="Number of flights to ship, spread evenly over the year.  [default: all]",
)
@click.option(
    "--outage",
    type=Seconds(),
    default=2.0,
    show_default=True,
    help="Seconds for which the sink fails; 0 injects no faults.",
)
@click.option(
    "--flights",
    type=click.Path(exists=True, dir_okay=False),
    help="File made by `dataart-mp flights` to ship instead of downloading.",
)
@click.option(
    "--fallback",
    type=click.Path(exists=True, dir_okay=False),
    help="File made by `dataart-mp flights` to ship if the download fails.",
)
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that keeps the download.  [default: ~/.cache/dataart-mp]",
)
@click.option(
    "--batch-size",
    "flush_actions_batch_size",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Number of flights per request.",
)
@click.option(
    "--processes",
    "flush_num_processes",
    type=click.IntRange(1),
    help="Number of worker processes.  [default: by the number of CPUs]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def demo(
    sample: int,
    outage: float,
    flights: str | None,
    fallback: str | None,
    cache_dir: Path | None,
    as_json: bool,
    **settings: int | None,
) -> None:
    """Ship a year of flights to a local sink that fails midway, and audit what arrives.

    336,776 real flights (see `dataart-mp flights`) go through the client and its worker processes
    to a sink in a separate process. After a third of them, the sink responds with status 503 for a
    while; then it accepts some requests and closes the connection instead of responding. The audit
    compares what was shipped, what the client reports, and what the sink counted.
    """
    chosen = _from_file(flights) if flights else _from_archive(sample, cache_dir, fallback)
    report(f"Shipping {chosen.total:,} {chosen.description} …")
    trial = Trial(chosen.actions, chosen.total, outage=outage, **settings)
    audit = _run(trial)
    result = Report(audit, trial.seconds)
    if as_json:
        show_json(result.as_json())
    else:
        show(result)
    code = ExitCode.NOT_DELIVERED if audit.faults else ExitCode.OK
    click.get_current_context().exit(code)


def _from_archive(sample: int, cache_dir: Path | None, fallback: str | None) -> _Flights:
    archive = Archive(cache_dir)
    try:
        archive.fetch()
    except ArchiveError as error:
        if fallback is None:
            remedy = "without a network, ship a file made by `dataart-mp flights`: --flights FILE"
            raise ArchiveError(f"{error}; {remedy}") from None
        warn(str(error))
        report(f"Shipping the flights in {fallback} instead.")
        return _from_file(fallback)
    return _Flights(spread(read_flights(archive), sample), sample, f"of {TOTAL:,} flights")


def _from_file(name: str) -> _Flights:
    flights = [flight for row in Source([name]).rows() for flight in _flight(row)]
    return _Flights(iter(flights), len(flights), f"flights from {name}")


def _flight(row: Row) -> Iterator[Action]:
    """Yield the flight in a row, or nothing for an empty line."""
    try:
        event = event_of(row, ColumnMap())
    except EventError as error:
        raise ArchiveError(f"{row.place}: {error}") from None
    if isinstance(event, Identity):
        raise ArchiveError(f"{row.place}: an identity is not a flight")
    if event is not None:
        yield event


def _run(trial: Trial) -> Audit:
    with StopSignals() as signals:
        try:
            with progress("Delivery", trial.snapshot, lines=True):
                return trial.run()
        except SinkError as error:
            # The last line is the exception; the traceback above it is for the sink's developers.
            reason = str(error).splitlines()[-1]
            remedy = "check its requirements: pip install 'dataart-mp[demo]'"
            raise DataArtError(f"the sink failed: {reason}; {remedy}") from None
        except KeyboardInterrupt:
            click.get_current_context().exit(signals.exit_code)
