"""`dataart-mp doctor`."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from dataart_mp import ClientConfig
from dataart_mp.cli.checkup.checkup import checkup
from dataart_mp.cli.checkup.delivery import EVENT_KEY
from dataart_mp.cli.checkup.finding import FailedError, Finding, Outcome, ok
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.settings import client_config, client_options
from dataart_mp.errors import ConfigError
from dataart_mp.transport.proxy import proxy_for

_COLOURS: Final = {
    Outcome.OK: "green",
    Outcome.WARNING: "yellow",
    Outcome.FAILURE: "red",
    Outcome.SKIPPED: "bright_black",
}


@click.command(
    short_help="Find out why events do not arrive, and what to do.",
    epilog="""\b
Examples:
  dataart-mp doctor
  dataart-mp doctor --no-event --json | jq '.findings[] | select(.outcome == "failure")'

\b
Exit codes:
  0    nothing is wrong; there may be warnings
  1    something is
  2    wrong usage
  130  stopped by Ctrl-C
""",
)
@client_options
@click.option(
    "--event/--no-event",
    default=True,
    help=f"Send one real event, of the key {EVENT_KEY}: only that shows whether the API key is "
    "good.  [default: --event]",
)
@click.option(
    "--timeout",
    type=Seconds(positive=True),
    default=10.0,
    show_default=True,
    help="Seconds for each step of the network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(
    api_key_file: Path | None, event: bool, timeout: float, as_json: bool, **settings: object
) -> None:
    """Check, step by step, all that a client needs, and tell what to do about what is missing.

    Configuration, name resolution, connection, TLS, the platform's clock against this machine's,
    the key by one test event, the spool, and the limits of the container. It is configured as
    `ship` is, by the same options and variables.
    """
    findings = _examine(api_key_file, timeout, event=event, **settings)
    told = list(findings if as_json else _tell_each(findings))
    failures = sum(finding.outcome is Outcome.FAILURE for finding in told)
    warnings = sum(finding.outcome is Outcome.WARNING for finding in told)
    code = ExitCode.NOT_DELIVERED if failures else ExitCode.OK
    if as_json:
        click.echo(json.dumps({"exit_code": int(code), "findings": [vars(one) for one in told]}))
    else:
        click.echo(f"\n{_count(failures, 'failure')}, {_count(warnings, 'warning')}.")
    click.get_current_context().exit(code)


def _examine(
    api_key_file: Path | None, timeout: float, *, event: bool, **settings: object
) -> Iterator[Finding]:
    try:
        config = client_config(api_key_file, **settings)
        proxy_for(config.base_url, config.http)  # the environment's may be wrong
    except ConfigError as error:
        remedy = "nothing else was checked; see the options of dataart-mp doctor --help"
        yield FailedError("configuration", str(error), remedy).finding
        return
    yield ok("configuration", _summary(config))
    yield from checkup(config, timeout, event=event)


def _summary(config: ClientConfig) -> str:
    return (
        f"{config.base_url}, {config.flush_num_workers} requests at once over "
        f"{config.num_processes} processes"
    )


def _tell_each(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        mark, text = str(finding)[0], str(finding)[1:]
        click.echo(click.style(mark, fg=_COLOURS[finding.outcome]) + text)
        yield finding


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
