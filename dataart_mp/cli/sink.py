"""`dataart-mp sink`."""

import errno
import os
import socket
from pathlib import Path
from typing import Any, Final

import click

from dataart_mp.cli.message import show
from dataart_mp.devsink import SinkSettings, run
from dataart_mp.errors import DataArtError

_DEFAULTS: Final = SinkSettings()
_PORTS_TRIED: Final = 100
_LAST_PORT: Final = 65535


@click.command(
    epilog="""\b
Examples:
  dataart-mp sink
  dataart-mp sink --port 9000 --journal events.jsonl
  curl http://127.0.0.1:8765/_sink/stats
""",
)
@click.option("--host", default=_DEFAULTS.host, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=_DEFAULTS.port,
    show_default=True,
    help="Port to listen on; 0 chooses a free port.",
)
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File that contains the only accepted API key.  [default: any key is accepted]",
)
@click.option(
    "--keep", default=_DEFAULTS.keep, show_default=True, help="Number of newest events to keep."
)
@click.option(
    "--keep-requests",
    default=_DEFAULTS.keep_requests,
    show_default=True,
    help="Number of newest requests to keep.",
)
@click.option(
    "--keep-seconds",
    default=_DEFAULTS.keep_seconds,
    show_default=True,
    help="Seconds for which events and requests are kept.",
)
@click.option(
    "--search-seconds",
    default=_DEFAULTS.search_seconds,
    show_default=True,
    help="Longest time for a search, in seconds.",
)
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that stores events and requests.  [default: in memory]",
)
@click.option(
    "--id-field",
    default=_DEFAULTS.id_field,
    show_default=True,
    help="Metadata field that identifies an action when arrivals are counted.",
)
@click.option(
    "--max-body-bytes",
    default=_DEFAULTS.max_body_bytes,
    show_default=True,
    help="Size of the largest accepted request body.",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that preserves the counts across restarts.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="Host name that clients may use, besides localhost and the address.",
)
@click.option("--allow-remote", is_flag=True, help="Accept connections from other machines.")
def sink(api_key_file: Path | None, **given: Any) -> None:
    """Run a local stand-in for the platform until Ctrl-C.

    Open its address in a browser to see events, duplicates and refused requests as they arrive, and
    to inject faults. Tests use the API under /_sink, which /_sink/openapi.json describes.
    """
    try:
        settings = SinkSettings(api_key=_key(api_key_file), **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        run(settings, on_ready=_show_addresses)
    except ModuleNotFoundError as error:
        problem = f"the sink needs {error.name}: pip install 'dataart-mp[sink]'"
        raise DataArtError(problem) from None
    except ValueError as error:
        raise DataArtError(str(error)) from None
    except OSError as error:
        place = error.filename or f"{settings.host}:{settings.port}"
        # Not error.strerror: asyncio and socket add the address to it in different ways.
        problem = f"{place}: {os.strerror(error.errno or 0)}"
        if error.errno == errno.EADDRINUSE:
            problem += f"; {_other_port(settings)}"
        raise DataArtError(problem) from None


def _other_port(settings: SinkSettings) -> str:
    """Return the advice to use a port that is free at this moment."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    for port in range(settings.port + 1, min(settings.port + _PORTS_TRIED, _LAST_PORT) + 1):
        try:
            socket.create_server((settings.host, port), family=family).close()
        except OSError:
            continue
        return f"another program uses the port, perhaps another sink; use --port {port}"
    return "use --port 0, which chooses a free port"


def _key(file: Path | None) -> str | None:
    return None if file is None else file.read_text(encoding="utf-8").strip()


def _show_addresses(url: str) -> None:
    show(f"Listening on {url}")
    show(f"  base_url of a client    {url}")
    show(f"  live page               {url}/")
    show(f"  counts for tests        {url}/_sink/stats")
    show(f"  API description         {url}/_sink/openapi.json")
    show("Press Ctrl-C to stop.")
