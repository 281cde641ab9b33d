"""`dataart-mp agent`."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Final

import click

from dataart_mp import Client, ClientConfig
from dataart_mp.cli.client_options import client_config, client_options
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import report
from dataart_mp.cli.seconds import Seconds
from dataart_mp.cli.stop_signals import StopSignals
from dataart_mp.config.environment import PREFIX, variable
from dataart_mp.errors import ConfigError

_LOOK_SECONDS: Final = 5.0
_BUFFER: Final = "flush_buffer_size"
_FRAMES: Final = 64
"""The buffer holds parked batches only while they are sent, so it need not be large."""


@click.command(
    epilog="""\b
Examples:
  DATAART_API_KEY=… dataart-mp agent /var/lib/app/spool
  dataart-mp agent /spool --api-key-file /run/secrets/dataart
\b
Exit codes:
  0    stopped by SIGTERM
  2    wrong usage or configuration: the spool cannot be used, for example
  130  stopped by Ctrl-C
""",
)
@click.argument("spool_dir", metavar="SPOOL_DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--timeout",
    type=Seconds(),
    default=5.0,
    show_default=True,
    help="Seconds for requests in flight after SIGTERM or Ctrl-C.",
)
@client_options
def agent(spool_dir: Path, timeout: float, api_key_file: Path | None, **settings: object) -> None:
    """Keep running, and deliver what clients of SPOOL_DIR leave behind, until SIGTERM.

    These are the events of clients whose processes have all ended, and batches that such clients
    have parked. The clients must run as the same user. Clients that are alive are not affected,
    and any number of agents may share a spool. The agent may be killed at any time: the next one,
    or the next client, continues.
    """
    config = _config(spool_dir, api_key_file, settings)
    client: Client | None = None
    with StopSignals() as signals:
        try:
            client = Client(config)
            report(f"agent: delivering what clients leave behind in {spool_dir}")
            _run(client)
        except KeyboardInterrupt:
            report("agent: stopping")
            if client is not None:
                _close(client, timeout)
    stopped = signals.exit_code
    click.get_current_context().exit(
        ExitCode.OK if stopped is ExitCode.TERMINATED else ExitCode.INTERRUPTED
    )


def _config(
    spool_dir: Path, api_key_file: Path | None, settings: dict[str, object]
) -> ClientConfig:
    if settings.get(_BUFFER) is None and not os.environ.get(variable(PREFIX, _BUFFER)):
        settings[_BUFFER] = _FRAMES
    config = client_config(api_key_file, **settings)
    try:
        return dataclasses.replace(config, spool_dir=spool_dir.absolute())
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _run(client: Client) -> None:
    """Report what is delivered of parked batches, until an exception."""
    delivered = 0
    while True:
        time.sleep(_LOOK_SECONDS)
        now = client.stats().delivered
        if now > delivered:
            noun = "event" if now - delivered == 1 else "events"
            report(f"agent: delivered {now - delivered:,} {noun} that an ended client had parked")
            delivered = now


def _close(client: Client, timeout: float) -> None:
    """Let the workers end; a second signal ends this process at once, and they continue."""
    try:
        deadline = time.monotonic() + timeout
        while client.stats().in_flight and time.monotonic() < deadline:
            time.sleep(0.02)
        client.close(0)
    except KeyboardInterrupt:
        return
