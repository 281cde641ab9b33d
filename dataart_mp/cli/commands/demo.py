"""`dataart-mp demo`."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from dataart_mp.cli.archive import Archive, ArchiveError
from dataart_mp.cli.audit import Audit
from dataart_mp.cli.event import Action, Identity
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.flights import TOTAL, read_flights, spread
from dataart_mp.cli.message import tell, warn
from dataart_mp.cli.progress import progress
from dataart_mp.cli.row import Row
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.shipment import event_of
from dataart_mp.cli.source import Source
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.cli.trial import Trial
from dataart_mp.devsink import SinkError
from dataart_mp.errors import DataArtError, EventError


class _Flights(NamedTuple):
    actions: Iterator[Action]
    total: int
    origin: str


@click.command(
    short_help="Ship a year of flights to a failing sink, and audit.",
    epilog="""\b
Examples:
  dataart-mp demo
  dataart-mp demo --sample 20000 --outage 1 --json

\b
Exit codes:
  0    the audit is passed: every flight arrived, no one twice without a cause
  1    it is not
  2    the demo cannot run: no flights, no sink
  130  stopped by Ctrl-C
""",
)
@click.option(
    "--sample",
    type=click.IntRange(1, TOTAL),
    default=TOTAL,
    help="Ship so many, spread evenly over the year.  [default: all]",
)
@click.option(
    "--outage",
    type=Seconds(),
    default=2.0,
    show_default=True,
    help="Seconds for which the sink fails on the way; 0: it does not.",
)
@click.option(
    "--flights",
    type=click.Path(exists=True, dir_okay=False),
    help="Ship this output of `dataart-mp flights` instead; nothing is downloaded.",
)
@click.option(
    "--fallback",
    type=click.Path(exists=True, dir_okay=False),
    help="Ship this one if the flights cannot be downloaded.",
)
@click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to keep the download.  [default: ~/.cache/dataart-mp]",
)
@click.option(
    "--batch-size",
    "flush_actions_batch_size",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Flights that make a request.",
)
@click.option(
    "--processes",
    "flush_num_processes",
    type=click.IntRange(1),
    help="Worker processes.  [default: by the CPUs]",
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
    """Ship all flights of a year to a local sink that fails on the way, and audit what arrived.

    336,776 real flights (see `dataart-mp flights`) go through the client and its worker processes
    to a sink in a process of its own. After a third of them the sink answers 503 for a while,
    then accepts some requests and hangs up instead of answering. At the end three books are
    compared: what was shipped, what the client says, and what the sink counted.
    """
    chosen = _from_file(flights) if flights else _from_archive(sample, cache_dir, fallback)
    tell(f"Shipping {chosen.total:,} {chosen.origin} …")
    trial = Trial(chosen.actions, chosen.total, outage=outage, **settings)
    audit = _run(trial)
    click.echo(json.dumps(_as_json(audit, trial)) if as_json else _as_text(audit, trial))
    code = ExitCode.NOT_DELIVERED if audit.faults else ExitCode.OK
    click.get_current_context().exit(code)


def _from_archive(sample: int, cache_dir: Path | None, fallback: str | None) -> _Flights:
    archive = Archive(cache_dir)
    try:
        if not archive.is_here():
            tell(f"Getting the flights (8.7 MB, once) into {archive.path} …")
        archive.fetch()
    except ArchiveError as error:
        if fallback is None:
            remedy = "offline, ship a file made by `dataart-mp flights`: --flights FILE"
            raise ArchiveError(f"{error}\n{remedy}") from None
        warn(f"{error}\nThe sample in {fallback} takes their place.")
        return _from_file(fallback)
    return _Flights(spread(read_flights(archive), sample), sample, f"of {TOTAL:,} flights")


def _from_file(name: str) -> _Flights:
    flights = [flight for row in Source([name]).rows() for flight in _parse(row)]
    return _Flights(iter(flights), len(flights), f"flights of {name}")


def _parse(row: Row) -> Iterator[Action]:
    """The flight of a row, or none, if it is an empty line."""
    try:
        event = event_of(row)
    except EventError as error:
        raise ArchiveError(f"{row.place}: {error}") from None
    if isinstance(event, Identity):
        raise ArchiveError(f"{row.place}: an identity is no flight")
    if event is not None:
        yield event


def _run(trial: Trial) -> Audit:
    with StopSignals() as signals:
        try:
            with progress("Delivery", trial.look, lines=True):
                return trial.run()
        except SinkError as error:
            # Its last words, if it died of an exception: the way there is for its developers.
            reason = str(error).splitlines()[-1]
            remedy = "is all there that it needs? pip install 'dataart-mp[demo]'"
            raise DataArtError(f"the sink failed: {reason}; {remedy}") from None
        except KeyboardInterrupt:
            click.get_current_context().exit(signals.exit_code)


def _as_json(audit: Audit, trial: Trial) -> dict[str, Any]:
    return {
        "passed": not audit.faults,
        "faults": audit.faults,
        "flights": len(audit.manifest),
        "by_key": {
            key: {
                "shipped": count,
                "arrived": audit.sink["by_key"].get(key, 0),
                "distinct": audit.distinct_by_key[key],
            }
            for key, count in audit.manifest.by_key.items()
        },
        "missing": len(audit.missing),
        "explained_duplicates": audit.sink["explained_duplicates"],
        "unexplained_duplicates": audit.sink["unexplained_duplicates"],
        "client": dataclasses.asdict(audit.stats),
        "sink": audit.sink,
        "seconds": round(trial.seconds, 3),
        "events_per_second": round(len(audit.manifest) / trial.seconds),
    }


def _as_text(audit: Audit, trial: Trial) -> str:
    return "\n".join([*_table(audit), "", *_remarks(audit, trial), "", *_verdict(audit)])


def _table(audit: Audit) -> Iterator[str]:
    """The three books, key by key."""
    yield f"{'':12}{'shipped':>10}{'arrived':>10}{'different':>12}"
    shipped = audit.manifest.by_key
    for key, count in shipped.most_common():
        arrived = audit.sink["by_key"].get(key, 0)
        yield f"{key:12}{count:>10,}{arrived:>10,}{audit.distinct_by_key[key]:>12,}"
    sums = len(audit.manifest), audit.sink["actions"], audit.sink["distinct_actions"]
    yield "{:12}{:>10,}{:>10,}{:>12,}".format("together", *sums)


def _remarks(audit: Audit, trial: Trial) -> Iterator[str]:
    sink, stats = audit.sink, audit.stats
    refused = sink["by_status"].get("503", 0)
    yield f"Client   {stats}"
    yield (
        f"Sink     {sink['requests']:,} requests, {refused:,} answered by 503, "
        f"{sink['by_status'].get('none', 0):,} not answered"
    )
    yield (
        f"Duplicates  {sink['explained_duplicates']:,} in {sink['repeated_requests']:,} requests "
        "that came again, their answers lost; "
        f"{sink['unexplained_duplicates']:,} without a cause"
    )
    rate = len(audit.manifest) / trial.seconds
    yield f"Time     {trial.seconds:.1f} s, {rate:,.0f} events a second, the outage included"


def _verdict(audit: Audit) -> Iterator[str]:
    if audit.faults:
        yield from (f"FAULT: {fault}" for fault in audit.faults)
    else:
        yield "PASSED: all flights arrived; no unexplained duplicates."
