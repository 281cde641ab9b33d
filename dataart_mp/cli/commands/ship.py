"""`dataart-mp ship`."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Final

import click

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.exit_code import EXIT_CODES_HELP, ExitCode
from dataart_mp.cli.failures import Failures
from dataart_mp.cli.line import Line
from dataart_mp.cli.message import tell, warn
from dataart_mp.cli.progress import Snapshot, progress
from dataart_mp.cli.result import Result
from dataart_mp.cli.settings import client_config, client_options
from dataart_mp.cli.shipment import Shipment
from dataart_mp.cli.source import Source
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.errors import DataArtError, EventError

_EPILOG: Final = f"""\b
Example:
  export DATAART_API_KEY=…
  dataart-mp ship events.jsonl
  zcat old/*.gz | dataart-mp ship --on-error skip --json -

\b
A line is an action, or, without "key", an identity:
  {{"key": "play", "user_key": "u1", "is_anonymous_user": false,
   "timestamp": "2021-05-04T10:11:12.5+02:00", "metadata": {{"song": 7}}}}
  {{"user_key": "u1", "metadata": {{"plan": "free"}}}}
(each on one line; is_anonymous_user, timestamp and metadata may be left out)

{EXIT_CODES_HELP}
"""


class _BadLineError(Exception):
    """Ends the reading; it was told already."""


@click.command(short_help="Ship the events of JSON Lines files.", epilog=_EPILOG)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…|-",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@client_options
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="At a bad line: stop (what stands before it is delivered), or go on with the next.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    help="Seconds to wait for delivery after the last line.  [default: until all is settled]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def ship(
    files: tuple[str, ...],
    api_key_file: Path | None,
    on_error: str,
    timeout: float | None,
    as_json: bool,
    **settings: object,
) -> None:
    """Ship the actions and identities of JSON Lines files; `-` is standard input.

    Bad lines are told on standard error, with file and line number.
    """
    config = client_config(api_key_file, **settings)
    result = _Run(Source(files), config, skip=on_error == "skip").run(timeout)
    click.echo(json.dumps(result.as_json()) if as_json else result)
    click.get_current_context().exit(result.exit_code)


class _Run:
    """One call of the command: from the first line to the result."""

    def __init__(self, source: Source, config: ClientConfig, *, skip: bool) -> None:
        self._source = source
        self._skip = skip
        self._failures = Failures()
        self._client = Client(dataclasses.replace(config, on_failure=self._failures.add))
        self._shipment = Shipment(self._client, self._tell_bad_line)
        self._size = source.size
        self._start = time.monotonic()

    def run(self, timeout: float | None) -> Result:
        """Ship everything; come to an orderly end when told to stop."""
        with StopSignals() as signals:
            try:
                with progress("Shipping", self._look):
                    stop = self._take_all()
                    self._client.close(timeout)
            except KeyboardInterrupt:
                self._close_in_order(timeout)
                stop = signals.exit_code
        return self._result(stop)

    def _take_all(self) -> ExitCode | None:
        try:
            self._shipment.take(self._source.lines())
        except _BadLineError:
            warn("stopped at the bad line; --on-error skip goes on with the next")
        except OSError as error:
            warn(f"{error.filename or 'the input'}: {error.strerror or error}")
        except DataArtError as error:
            warn(str(error))
            return ExitCode.NOT_DELIVERED
        else:
            return None
        return ExitCode.BAD_INPUT

    def _close_in_order(self, timeout: float | None) -> None:
        warn("stopping: what was read is being delivered; Ctrl-C again leaves at once")
        try:
            self._client.close(timeout)
        except KeyboardInterrupt:
            self._client.close(0)

    def _result(self, stop: ExitCode | None) -> Result:
        return Result(
            stats=self._client.stats(),
            lines=self._shipment.lines,
            bad_lines=self._shipment.bad_lines,
            seconds=time.monotonic() - self._start,
            failures=self._failures,
            stop=stop,
        )

    def _tell_bad_line(self, line: Line, error: EventError) -> None:
        tell(f"{line.place}: {error}")
        if not self._skip:
            raise _BadLineError

    def _look(self) -> Snapshot:
        stats = self._client.stats()
        rate = stats.delivered / (time.monotonic() - self._start)
        text = f"{stats.delivered:,} delivered, {rate:,.0f}/s, {stats.retries:,} retries"
        return Snapshot(done=self._shipment.bytes, total=self._size, text=text)
