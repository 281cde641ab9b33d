"""`dataart-mp sink`."""

import os
from pathlib import Path
from typing import Any, Final

import click

from dataart_mp.devsink import SinkSettings, run
from dataart_mp.errors import DataArtError

_DEFAULTS: Final = SinkSettings()


@click.command(
    short_help="Run a local stand-in of the platform.",
    epilog="""\b
Examples:
  dataart-mp sink
  dataart-mp sink --port 9000 --journal events.jsonl
  curl http://127.0.0.1:8765/_sink/stats
""",
)
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option("--port", default=_DEFAULTS.port, show_default=True, help="0: any free one.")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the only accepted API key.  [default: any key is accepted]",
)
@click.option("--keep", default=_DEFAULTS.keep, show_default=True, help="Newest events to show.")
@click.option(
    "--keep-requests",
    default=_DEFAULTS.keep_requests,
    show_default=True,
    help="Newest requests to show.",
)
@click.option(
    "--keep-seconds",
    default=_DEFAULTS.keep_seconds,
    show_default=True,
    help="For how long they are shown.",
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps them.  [default: in memory]",
)
@click.option(
    "--id-field",
    default=_DEFAULTS.id_field,
    show_default=True,
    help="Field of an action's metadata by which to count arrivals.",
)
@click.option(
    "--max-body-bytes",
    default=_DEFAULTS.max_body_bytes,
    show_default=True,
    help="Largest accepted body.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File by which the counts outlive the sink.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="Name by which clients reach it, beside localhost and its address.",
)
@click.option("--allow-remote", is_flag=True, help="Let other machines in, too.")
def sink(api_key_file: Path | None, **given: Any) -> None:
    """Run a local stand-in of the platform, until Ctrl-C.

    Open its address in a browser: it shows what arrives, what came twice and what was wrong, and
    can be told to fail. Tests ask it under /_sink, which /_sink/openapi.json describes.
    """
    try:
        settings = SinkSettings(api_key=_key(api_key_file), **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        run(settings, on_ready=_tell)
    except ModuleNotFoundError as error:
        needed = f"the sink needs {error.name}: pip install 'dataart-mp[sink]'"
        raise DataArtError(needed) from None
    except ValueError as error:
        raise DataArtError(str(error)) from None
    except OSError as error:
        place = error.filename or f"{settings.host}:{settings.port}"
        # Not error.strerror: asyncio and socket add the address, in words of their own.
        raise DataArtError(f"{place}: {os.strerror(error.errno or 0)}") from None


def _key(file: Path | None) -> str | None:
    return None if file is None else file.read_text(encoding="utf-8").strip()


def _tell(url: str) -> None:
    click.echo(f"Listening on {url}")
    click.echo(f"  base_url for a client   {url}")
    click.echo(f"  what arrives, live      {url}/")
    click.echo(f"  for asserts in tests    {url}/_sink/stats")
    click.echo(f"  all that can be asked   {url}/_sink/openapi.json")
    click.echo("Ctrl-C ends it.")
