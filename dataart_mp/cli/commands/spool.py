"""`dataart-mp spool`."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from dataart_mp import Client
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import warn
from dataart_mp.cli.rehearsal import Rehearsal
from dataart_mp.cli.replay import Replay
from dataart_mp.cli.settings import client_config, client_options
from dataart_mp.spool.dead_letters import DamagedLettersError, DeadLetters, Letters
from dataart_mp.spool.parking_lot import ParkingError, ParkingLot

_EPILOG: Final = """\b
Example:
  dataart-mp spool ls /var/lib/app/spool
  dataart-mp spool show /var/lib/app/spool | jq .event.user_key
  dataart-mp spool replay /var/lib/app/spool
"""

_TOLD: Final = ("time", "reason", "status", "kind", "attempts")

_directory = click.argument(
    "spool_dir", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
_names = click.argument("names", metavar="[NAME]…", nargs=-1)


@click.group(short_help="List, show, replay, purge dead letters.", epilog=_EPILOG)
def spool() -> None:
    """See to what the clients of a spool have given up on; they may run meanwhile.

    DIR is their `spool_dir`; a NAME, which `ls` tells, stands for the events of one request.
    """


@spool.command("ls", epilog=_EPILOG)
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_letters(spool_dir: Path, as_json: bool) -> None:
    """List what was given up on, the oldest first; and say what waits for the platform."""
    rows = [_row(letters) for letters in DeadLetters(spool_dir)]
    events = sum(row["events"] for row in rows)
    parked = _parked(spool_dir)
    if as_json:
        click.echo(json.dumps({"events": events, "letters": rows, "parked": parked}))
        return
    for row in rows:
        click.echo(_line(row))
    click.echo(f"{_events(events)} in {_requests(len(rows))}.")
    if parked["requests"]:
        what = f"{_events(parked['events'])} in {_requests(parked['requests'])}"
        click.echo(f"Parked since {parked['since']}: {what}, sent when the platform answers again.")


@spool.command(epilog=_EPILOG)
@_directory
@_names
def show(spool_dir: Path, names: tuple[str, ...]) -> None:
    """Print letters as JSON Lines: all, or those of the NAMEs.

    Of damaged ones it is told what is wrong; the exit code is 3 then.
    """
    damaged = False
    for letters in _chosen(spool_dir, names):
        try:
            content = letters.read()
        except DamagedLettersError as error:
            warn(str(error))
            damaged = True
            continue
        for letter in content:
            click.echo(json.dumps(letter))
    if damaged:
        click.get_current_context().exit(ExitCode.BAD_INPUT)


@spool.command(epilog=_EPILOG)
@_directory
@_names
@client_options
def replay(
    spool_dir: Path, names: tuple[str, ...], api_key_file: Path | None, **settings: object
) -> None:
    """Send them again: all, or those of the NAMEs. What is delivered is removed."""
    chosen = _chosen(spool_dir, names)
    config = dataclasses.replace(client_config(api_key_file, **settings), spool_dir=None)
    with Client(config) as client:
        replaying = Replay(client, Rehearsal(config))
        for letters in chosen:
            replaying.take(letters)
    click.echo(f"Delivered {_events(replaying.delivered)}; {replaying.kept:,} left.")
    if replaying.kept:
        click.get_current_context().exit(ExitCode.NOT_DELIVERED)


@spool.command(epilog=_EPILOG)
@_directory
@_names
@click.option("--all", "everything", is_flag=True, help="Remove them all.")
def purge(spool_dir: Path, names: tuple[str, ...], everything: bool) -> None:
    """Remove them for good: those of the NAMEs, or --all."""
    if bool(names) == everything:
        raise click.UsageError("give the NAMEs that `ls` tells, or --all")
    events = 0
    for letters in _chosen(spool_dir, names):
        events += letters.count  # they may be damaged
        letters.remove()
    click.echo(f"Removed {_events(events)}.")


def _chosen(spool_dir: Path, names: tuple[str, ...]) -> list[Letters]:
    present = {letters.name: letters for letters in DeadLetters(spool_dir)}
    unknown = [name for name in names if name not in present]
    if unknown:
        raise click.UsageError(f"no letters of the name {unknown[0]}; see `dataart-mp spool ls`")
    return [present[name] for name in names] if names else list(present.values())


def _row(letters: Letters) -> dict[str, Any]:
    first: dict[str, Any] = {}
    damaged = None
    try:
        content = letters.read()
        first = content[0] if content else {}
    except DamagedLettersError as error:
        damaged = str(error)
    told = {field: first.get(field) for field in _TOLD}
    return {"name": letters.name, **told, "events": letters.count, "damaged": damaged}


def _line(row: dict[str, Any]) -> str:
    if row["damaged"]:
        return "{name}  damaged: {damaged}".format(**row)
    status = "no answer" if row["status"] is None else f"status {row['status']}"
    return "{name}  {time}  {events:,} {kind}  {reason}".format(**row) + f", {status}"


def _parked(spool_dir: Path) -> dict[str, Any]:
    lot = ParkingLot(spool_dir, max_bytes=0)
    try:
        batches = lot.batches() if lot.exists else []
    except ParkingError as error:
        raise click.ClickException(f"what is parked cannot be read: {error}") from error
    finally:
        lot.close()
    since = datetime.fromtimestamp(batches[0].since / 1e9, UTC) if batches else None
    return {
        "events": sum(batch.count for batch in batches),
        "requests": len(batches),
        "bytes": sum(batch.size for batch in batches),
        "since": since and since.isoformat(timespec="seconds"),
    }


def _events(number: int) -> str:
    return "1 event" if number == 1 else f"{number:,} events"


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number:,} requests"
