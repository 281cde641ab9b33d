"""`dataart-mp ship`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import click

from dataart_mp.cli.bad_rows import BadRows
from dataart_mp.cli.checkpoint_lock import checkpoint_lock
from dataart_mp.cli.exit_code import EXIT_CODES_HELP
from dataart_mp.cli.input_options import INPUT_OPTIONS, input_options, read_input
from dataart_mp.cli.message import PROGRAM, warn
from dataart_mp.cli.rehearsal import RehearsalResult, rehearse
from dataart_mp.cli.result import Result
from dataart_mp.cli.resumption import Resumption, beside, key_of
from dataart_mp.cli.run import Run
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.settings import client_config, client_options

_EPILOG: Final = f"""\b
Examples:
  export DATAART_API_KEY=…
  dataart-mp ship events.jsonl
  dataart-mp ship --resume events.jsonl.gz              # goes on after an interruption
  dataart-mp ship --dry-run --key what --user-key user --timestamp when --timezone UTC \\
    --metadata price:float,currency --set metadata.source=shop purchases.csv
  dataart-mp ship --identities --user-key id users.parquet
  zcat old/*.gz | dataart-mp ship --on-error skip --json -

\b
A line of JSON Lines is an action, or, without "key", an identity:
  {{"key": "play", "user_key": "u1", "is_anonymous_user": false,
   "timestamp": "2021-05-04T10:11:12.5+02:00", "metadata": {{"song": 7}}}}
  {{"user_key": "u1", "metadata": {{"plan": "free"}}}}
(each on one line; is_anonymous_user, timestamp and metadata may be left out)

\b
A column of CSV or Parquet that is named as one of these fields is that field; the options below
name others. All that is left is metadata. An empty cell of CSV is null.

\b
FILE.checkpoint says up to which line all is settled: delivered, or refused by the platform for
good. It is written every second, and removed at the end, unless --resume or --checkpoint asked for
it. --resume begins there: what was not acknowledged is never skipped. After Ctrl-C nothing is sent
twice; after a second Ctrl-C, --timeout, an outage or kill -9 at most what was read since the last
checkpoint.

{EXIT_CODES_HELP}
"""


@click.command(short_help="Ship the events of JSON Lines, CSV and Parquet files.", epilog=_EPILOG)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…|-",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@input_options
@client_options
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    help="At a bad row: stop (what stands before it is delivered), or go on with the next.  "
    "[default: fail; with --bad-rows, skip]",
)
@click.option(
    "--bad-rows",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for bad rows, as JSON Lines: file, line, reason, row.",
)
@click.option("--resume", is_flag=True, help="Go on where the checkpoint says, if there is one.")
@click.option("--restart", is_flag=True, help="Begin anew, though there is a checkpoint.")
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The checkpoint.  [default: FILE.checkpoint, none for standard input]",
)
@click.option("--dry-run", is_flag=True, help="Check every row, and send nothing.")
@click.option(
    "--timeout",
    type=Seconds(),
    help="Seconds to wait for delivery after the last row.  [default: until all is settled]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def ship(
    files: tuple[str, ...],
    api_key_file: Path | None,
    on_error: str | None,
    bad_rows: Path | None,
    resume: bool,
    restart: bool,
    checkpoint: Path | None,
    dry_run: bool,
    timeout: float | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Ship the actions and identities of files; `-` is standard input.

    JSON Lines, CSV and Parquet, the former two also compressed by gzip or zstd. Bad rows are told
    on standard error, with file and line number.
    """
    _refuse_twice(files)
    _refuse_overwriting(files, bad_rows, checkpoint)
    if resume and restart:
        raise click.UsageError("--resume goes on, --restart begins anew: one of them is too much")
    source, columns = read_input(files, **{name: given.pop(name) for name in INPUT_OPTIONS})
    result: Result | RehearsalResult
    if dry_run:
        config = client_config(None, **given, api_key="none-is-needed")
        with BadRows(bad_rows) as noted:
            result = rehearse(source, columns, config, noted)
    else:
        config = client_config(api_key_file, **given)
        skip = on_error == "skip" or (on_error is None and bad_rows is not None)
        with checkpoint_lock(checkpoint or beside(files)):
            resumption = Resumption.plan(
                files, config.base_url, checkpoint=checkpoint, resume=resume, restart=restart
            )
            with BadRows(bad_rows, append=bool(resumption.start)) as noted:
                result = Run(source, columns, config, resumption, noted, skip=skip).run(timeout)
    click.echo(json.dumps(result.as_json()) if as_json else result)
    if isinstance(result, Result) and result.is_unfinished:
        warn(f"to go on: {_command_to_go_on()}")
    click.get_current_context().exit(result.exit_code)


def _refuse_twice(files: tuple[str, ...]) -> None:
    keys = [key_of(file) for file in files]
    for file, key in zip(files, keys, strict=True):
        if keys.count(key) > 1:
            raise click.UsageError(f"{file} is there twice")


def _refuse_overwriting(
    files: tuple[str, ...], bad_rows: Path | None, checkpoint: Path | None
) -> None:
    """Of what is written, nothing may take the place of what is read."""
    written = {"--bad-rows": bad_rows, "--checkpoint": checkpoint}
    taken = {key_of(file): "is to be shipped" for file in files}
    for option, path in written.items():
        if path is None:
            continue
        key = key_of(str(path))
        if key in taken:
            raise click.UsageError(f"{option}: {path} {taken[key]}; name another file")
        taken[key] = f"is what {option} names, too"


def _command_to_go_on() -> str:
    """What was typed, and --resume; no secret is ever typed."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--restart")]
    return shlex.join([PROGRAM, *words[:1], "--resume", *words[1:]])
