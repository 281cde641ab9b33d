"""`dataart-mp status`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from dataart_mp.cli.message import printable, show, show_json
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.status.prometheus import metrics
from dataart_mp.cli.status.report import Report
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.observer.client_view import Look
from dataart_mp.observer.observer import Observer
from dataart_mp.observer.processes import ObserverError

_RATE_SECONDS: Final = 1.0


@click.command(
    epilog="""\b
Examples:
  dataart-mp status
  dataart-mp status 1234 --watch
  dataart-mp status /var/lib/app/spool --json | jq .clients[].pending
\b
Exit codes:
  0    every client is ok, and nothing is parked
  1    a client is degraded or failing, something is parked, or cannot be read
  2    wrong usage: there is no such process, client or directory
  130  stopped by Ctrl-C (143: by SIGTERM)
""",
)
@click.argument("target", metavar="[PID | SPOOL_DIR]", required=False)
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option(
    "--interval",
    type=Seconds(positive=True),
    default=_RATE_SECONDS,
    show_default=True,
    help="Seconds between two looks; the rates are those in between.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, or one for each look."
)
@click.option("--prometheus", is_flag=True, help="Print metrics in the text format of Prometheus.")
def status(
    target: str | None, watch: bool, interval: float, as_json: bool, prometheus: bool
) -> None:
    """Show the clients of this user, of the process PID, or of the spool SPOOL_DIR.

    PID is any process of a client: the application, a forked child, or a worker. If it has no
    client, those of the processes that it has started are shown. With SPOOL_DIR, also clients whose
    processes have all ended are shown, and what is parked. Clients are read from outside, and
    notice nothing. On macOS only SPOOL_DIR works.
    """
    if sum((watch, prometheus)) > 1 or (as_json and prometheus):
        raise click.UsageError("--prometheus is mutually exclusive with --watch and --json")
    with _observer(target) as observer:
        try:
            if watch:
                _watch(observer, interval, as_json=as_json)
            elif prometheus:
                report = _look(observer)
                show(metrics(report.clients, report.spools))
            else:
                first = _look(observer)
                time.sleep(interval if first.clients else 0.0)
                report = _look(observer, first.clients)
                show_json(report.as_json()) if as_json else show(report)
        except ObserverError as error:
            raise click.UsageError(str(error)) from None
    click.get_current_context().exit(report.exit_code)


def _observer(target: str | None) -> Observer:
    if target is None:
        return Observer()
    if target.isdecimal() and not Path(target).is_dir():
        return Observer(pid=int(target))
    if not Path(target).is_dir():
        raise click.UsageError(f"{printable(target)} is neither a process id nor a directory")
    return Observer(spool_dir=Path(target))


def _look(observer: Observer, before: Sequence[Look] = ()) -> Report:
    clients = observer.clients()
    return Report(clients, observer.spools(clients), observer.problems, before)


def _watch(observer: Observer, interval: float, *, as_json: bool) -> None:
    """Show looks until a signal comes."""
    with StopSignals() as signals:
        try:
            if as_json or not sys.stdout.isatty():
                _print_looks(observer, interval, as_json=as_json)
            else:
                _refresh(observer, interval)
        except KeyboardInterrupt:
            click.get_current_context().exit(signals.exit_code)


def _print_looks(observer: Observer, interval: float, *, as_json: bool) -> None:
    before: list[Look] = []
    while True:
        report = _look(observer, before)
        before = list(report.clients)
        show_json(report.as_json()) if as_json else show(f"{report}\n")
        sys.stdout.flush()
        time.sleep(interval)


def _refresh(observer: Observer, interval: float) -> None:
    """Show each look in place of the one before, on a terminal."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    before: list[Look] = []
    with Live(console=Console(), auto_refresh=False, transient=False) as live:
        while True:
            report = _look(observer, before)
            before = list(report.clients)
            lines = "\n".join(map(printable, str(report).split("\n")))
            live.update(Text(lines), refresh=True)
            time.sleep(interval)
