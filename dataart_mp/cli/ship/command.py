"""`dataart-mp ship`."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from dataart_mp.cli.client_options import (
    client_config,
    client_options,
    event_id_option,
    spool_option,
)
from dataart_mp.cli.exit_code import EXIT_CODES_HELP
from dataart_mp.cli.input.options import INPUT_OPTIONS, input_options, open_input
from dataart_mp.cli.message import PROGRAM, command_line, show, show_json, warn
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.ship.bad_rows import BadRows
from dataart_mp.cli.ship.checkpoint_lock import checkpoint_lock
from dataart_mp.cli.ship.dry_run import DryRunResult, dry_run
from dataart_mp.cli.ship.pace import Pace
from dataart_mp.cli.ship.result import Result
from dataart_mp.cli.ship.resumption import Resumption, default_checkpoint, key_of
from dataart_mp.cli.ship.run import Run

_UNUSED_KEY: Final = "not-used-in-a-dry-run"
_EPILOG: Final = f"""\b
Examples:
  export DATAART_API_KEY=…
  dataart-mp ship events.jsonl
  dataart-mp ship --resume events.jsonl.gz              # continues an interrupted run
  dataart-mp ship --dry-run --key what --user-key user --timestamp when --timezone UTC \\
    --metadata price:float,currency --set metadata.source=shop purchases.csv
  dataart-mp ship --identities --user-key id users.parquet
  zcat old/*.gz | dataart-mp ship --on-error skip --json -

\b
A line of JSON Lines is an action, or an identity if it has no "key":
  {{"key": "play", "user_key": "u1", "is_anonymous_user": false,
   "timestamp": "2021-05-04T10:11:12.5+02:00", "metadata": {{"song": 7}}}}
  {{"user_key": "u1", "metadata": {{"plan": "free"}}}}
Each is one line. is_anonymous_user, timestamp and metadata are optional.

\b
In CSV and Parquet, a column with the name of one of these fields is that field, unless an option
names another column. All other columns are metadata. An empty CSV cell is null.

\b
FILE.checkpoint records up to which line all events are settled: delivered, or rejected by the
platform. It is updated every second, and removed at the end unless --resume or --checkpoint was
given. --resume continues from the checkpoint; events that were not acknowledged are never skipped.
After Ctrl-C no event is sent twice. After a second Ctrl-C, --timeout, an outage or kill -9, events
that were read after the last checkpoint may be sent twice.

{EXIT_CODES_HELP}
"""


@click.command(epilog=_EPILOG)
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…|-",
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
@input_options
@client_options
@spool_option
@event_id_option
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    help="Action at a bad row: stop after delivering the rows before it, or skip it.  "
    "[default: fail; with --bad-rows, skip]",
)
@click.option(
    "--bad-rows",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write bad rows to, as JSON Lines of file, line, reason and row.",
)
@click.option("--resume", is_flag=True, help="Continue from the checkpoint, if there is one.")
@click.option("--restart", is_flag=True, help="Ignore the checkpoint and start over.")
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the checkpoint.  [default: FILE.checkpoint; none for standard input]",
)
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Check all rows and send nothing.")
@click.option(
    "--timeout",
    type=Seconds(),
    help="Seconds to wait for delivery after the last row.  [default: no limit]",
)
@click.option(
    "--rate-limit",
    type=click.FloatRange(0, min_open=True),
    metavar="EVENTS",
    help="Events to read per second, at most.  [default: no limit]",
)
@click.option("--quiet", is_flag=True, help="Show no progress, and the result only if it is bad.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def ship(
    files: tuple[str, ...],
    api_key_file: Path | None,
    on_error: str | None,
    bad_rows: Path | None,
    resume: bool,
    restart: bool,
    checkpoint: Path | None,
    is_dry_run: bool,
    timeout: float | None,
    rate_limit: float | None,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Ship the actions and identities in files; `-` is standard input.

    The files are JSON Lines or CSV, optionally compressed with gzip or zstd, or Parquet. Bad rows
    are reported on standard error, with file and line number.
    """
    _refuse_duplicates(files)
    _refuse_overwriting(files, bad_rows, checkpoint)
    if resume and restart:
        raise click.UsageError("--resume and --restart are mutually exclusive")
    source, columns = open_input(files, **{name: given.pop(name) for name in INPUT_OPTIONS})
    result: Result | DryRunResult
    if is_dry_run:
        config = client_config(None, **given, api_key=_UNUSED_KEY)
        with BadRows(bad_rows) as rows:
            result = dry_run(source, columns, config, rows, quiet=quiet)
    else:
        config = client_config(api_key_file, **given)
        skip = on_error == "skip" or (on_error is None and bad_rows is not None)
        with checkpoint_lock(checkpoint or default_checkpoint(files)):
            resumption = Resumption.plan(
                files, config.base_url, checkpoint=checkpoint, resume=resume, restart=restart
            )
            with BadRows(bad_rows, append=bool(resumption.start)) as rows:
                pace = None if rate_limit is None else Pace(rate_limit)
                run = Run(
                    source, columns, config, resumption, rows, skip=skip, pace=pace, quiet=quiet
                )
                result = run.run(timeout)
    if as_json:
        show_json(result.as_json())
    elif is_dry_run or not quiet or result.exit_code:
        show(result)
    if isinstance(result, Result) and result.is_unfinished:
        warn(f"to continue: {_resume_command()}")
    click.get_current_context().exit(result.exit_code)


def _refuse_duplicates(files: tuple[str, ...]) -> None:
    keys = [key_of(file) for file in files]
    for file, key in zip(files, keys, strict=True):
        if keys.count(key) > 1:
            raise click.UsageError(f"{file} is given twice")


def _refuse_overwriting(
    files: tuple[str, ...], bad_rows: Path | None, checkpoint: Path | None
) -> None:
    """Refuse an output that is one of the inputs, or another output."""
    written = {"--bad-rows": bad_rows, "--checkpoint": checkpoint}
    taken = {key_of(file): "is also an input file" for file in files}
    for option, path in written.items():
        if path is None:
            continue
        key = key_of(str(path))
        if key in taken:
            raise click.UsageError(f"{option}: {path} {taken[key]}; name another file")
        taken[key] = f"is also given as {option}"


def _resume_command() -> str:
    """Return the command line that was typed, with --resume; it never contains a secret."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--restart")]
    return command_line([PROGRAM, *words[:1], "--resume", *words[1:]])
