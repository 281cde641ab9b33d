"""`dataart-mp spool`."""

import dataclasses
from pathlib import Path
from typing import Final

import click

from dataart_mp import Client
from dataart_mp.cli.client_options import client_config, client_options
from dataart_mp.cli.dry_run_client import DryRunClient
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import show, show_json, warn
from dataart_mp.cli.spool.listing import Listing, ListingError, count_events
from dataart_mp.cli.spool.replay import Replay
from dataart_mp.spool.dead_letters import DamagedLettersError, DeadLetters, Letters

_EPILOG: Final = """\b
Examples:
  dataart-mp spool ls /var/lib/app/spool
  dataart-mp spool show /var/lib/app/spool | jq .event.user_key
  dataart-mp spool replay /var/lib/app/spool
"""

_directory = click.argument(
    "spool_dir", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
_names = click.argument("names", metavar="[NAME]…", nargs=-1)


@click.group(epilog=_EPILOG)
def spool() -> None:
    """Inspect and resend events that clients gave up on.

    DIR is the `spool_dir` of the clients, which may be running. A NAME, as printed by `ls`, selects
    the events of one request.
    """


@spool.command("ls", epilog=_EPILOG)
@_directory
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_letters(spool_dir: Path, as_json: bool) -> None:
    """List dead letters, oldest first, and the numbers of parked and of pending events.

    STATUS is that of the platform's last response, which is shown below the NAME.
    """
    try:
        listing = Listing.read(spool_dir)
    except ListingError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        show_json(listing.as_json())
    else:
        show(listing)


@spool.command("show", epilog=_EPILOG)
@_directory
@_names
def show_letters(spool_dir: Path, names: tuple[str, ...]) -> None:
    """Print dead letters as JSON Lines: all, or those with a NAME.

    Damaged files are reported on standard error, and the exit code is 3.
    """
    is_damaged = False
    for letters in _selected(spool_dir, names):
        try:
            content = letters.read()
        except DamagedLettersError as error:
            warn(str(error))
            is_damaged = True
            continue
        for letter in content:
            show_json(letter)
    if is_damaged:
        click.get_current_context().exit(ExitCode.BAD_INPUT)


@spool.command(epilog=_EPILOG)
@_directory
@_names
@client_options
def replay(
    spool_dir: Path, names: tuple[str, ...], api_key_file: Path | None, **settings: object
) -> None:
    """Send dead letters again: all, or those with a NAME. Delivered ones are removed."""
    selected = _selected(spool_dir, names)
    config = dataclasses.replace(
        client_config(api_key_file, **settings),
        spool_dir=None,
        # The events have passed them already.
        sample_rate=1.0,
        default_metadata=None,
    )
    with Client(config) as client:
        sending = Replay(client, DryRunClient(config))
        for letters in selected:
            sending.send(letters)
    show(f"Delivered {count_events(sending.delivered)}; {sending.kept:,} left.")
    if sending.kept:
        click.get_current_context().exit(ExitCode.NOT_DELIVERED)


@spool.command(epilog=_EPILOG)
@_directory
@_names
@click.option("--all", "is_all", is_flag=True, help="Remove all dead letters.")
def purge(spool_dir: Path, names: tuple[str, ...], is_all: bool) -> None:
    """Remove dead letters permanently: those with a NAME, or --all."""
    if bool(names) == is_all:
        raise click.UsageError("give either NAMEs, as printed by `ls`, or --all")
    events = 0
    for letters in _selected(spool_dir, names):
        events += letters.count  # works for damaged files, too
        letters.remove()
    show(f"Removed {count_events(events)}.")


def _selected(spool_dir: Path, names: tuple[str, ...]) -> list[Letters]:
    found = {letters.name: letters for letters in DeadLetters(spool_dir)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise click.UsageError(f"no dead letters named {unknown[0]}; see `dataart-mp spool ls`")
    return [found[name] for name in names] if names else list(found.values())
