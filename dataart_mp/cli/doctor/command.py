"""`dataart-mp doctor`."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from dataart_mp import ClientConfig
from dataart_mp.cli.client_options import client_config, client_options
from dataart_mp.cli.doctor.checkup import checkup
from dataart_mp.cli.doctor.delivery import EVENT_KEY
from dataart_mp.cli.doctor.finding import FailedError, Finding, Outcome, ok
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import show, show_json, show_marked
from dataart_mp.cli.seconds import Seconds
from dataart_mp.errors import ConfigError
from dataart_mp.transport.proxy import proxy_for

_COLOURS: Final = {
    Outcome.OK: "green",
    Outcome.WARNING: "yellow",
    Outcome.FAILURE: "red",
    Outcome.SKIPPED: "bright_black",
}


@click.command(
    epilog="""\b
Examples:
  dataart-mp doctor
  dataart-mp doctor --no-event --json | jq '.findings[] | select(.outcome == "failure")'

\b
Exit codes:
  0    no check failed; there may be warnings
  1    a check failed
  2    wrong usage
  130  stopped by Ctrl-C
""",
)
@client_options
@click.option(
    "--event/--no-event",
    default=True,
    help=f"Send one real event with the key {EVENT_KEY}, which is the only check of the API key.  "
    "[default: --event]",
)
@click.option(
    "--timeout",
    type=Seconds(positive=True),
    default=10.0,
    show_default=True,
    help="Seconds that each network step may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(
    api_key_file: Path | None, event: bool, timeout: float, as_json: bool, **settings: object
) -> None:
    """Check everything that a client needs, and suggest a remedy for each problem.

    The checks are: the configuration, name resolution, the connection, TLS, HTTP, the clock, the
    API key (by sending one test event), the spool, and the limits of the container. The options and
    variables are those of `ship`.
    """
    findings = _run_checks(api_key_file, timeout, event=event, **settings)
    shown = list(findings if as_json else _show_each(findings))
    failures = sum(finding.outcome is Outcome.FAILURE for finding in shown)
    warnings = sum(finding.outcome is Outcome.WARNING for finding in shown)
    code = ExitCode.NOT_DELIVERED if failures else ExitCode.OK
    if as_json:
        show_json({"exit_code": int(code), "findings": [vars(one) for one in shown]})
    else:
        show(f"\n{_count(failures, 'failure')}, {_count(warnings, 'warning')}.")
    click.get_current_context().exit(code)


def _run_checks(
    api_key_file: Path | None, timeout: float, *, event: bool, **settings: object
) -> Iterator[Finding]:
    try:
        config = client_config(api_key_file, **settings)
        proxy_for(config.base_url, config.http)  # raises if a proxy variable is wrong
    except ConfigError as error:
        remedy = "no other check was run; see dataart-mp doctor --help"
        yield FailedError("configuration", str(error), remedy).finding
        return
    yield ok("configuration", _summary(config))
    yield from checkup(config, timeout, event=event)


def _summary(config: ClientConfig) -> str:
    return (
        f"{config.base_url}, {config.flush_num_workers} concurrent requests in "
        f"{config.num_processes} processes"
    )


def _show_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        show_marked(str(finding), _COLOURS[finding.outcome])
        yield finding


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
