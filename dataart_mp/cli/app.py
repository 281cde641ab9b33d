"""The group of all commands, and what a user sees when one fails."""

import contextlib
import logging
import os
import sys
from typing import Any

import click

from dataart_mp import __version__
from dataart_mp.cli.commands.bench import bench
from dataart_mp.cli.commands.completion import completion
from dataart_mp.cli.commands.demo import demo
from dataart_mp.cli.commands.doctor import doctor
from dataart_mp.cli.commands.flights import flights
from dataart_mp.cli.commands.ship import ship
from dataart_mp.cli.commands.sink import sink
from dataart_mp.cli.commands.spool import spool
from dataart_mp.cli.commands.version import version
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import PROGRAM, warn
from dataart_mp.errors import DataArtError


class _App(click.Group):
    """A group whose commands end with a message and a code, whatever a user did wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataArtError as error:
            warn(str(error))
            ctx.exit(ExitCode.USAGE)
        except BrokenPipeError:
            _discard_output()
            ctx.exit(ExitCode.BROKEN_PIPE)
        except OSError as error:  # a full disk, a file that may not be read, …
            warn(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            _discard_output()
            ctx.exit(ExitCode.USAGE)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)


def _discard_output() -> None:
    """Let what is still buffered go nowhere: the interpreter's exit would trip over it."""
    with contextlib.suppress(OSError):  # no descriptor is free: then let it trip
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Log(logging.Handler):
    """Tells what the client has to say as the commands do, above a progress bar too."""

    def emit(self, record: logging.LogRecord) -> None:
        # Of a traceback, what it is about and how it ended.
        first, *rest = self.format(record).splitlines()
        warn(f"{first} … {rest[-1]}" if rest else first)


@click.group(
    cls=_App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Example:
  {PROGRAM} sink &
  export DATAART_API_KEY=any DATAART_BASE_URL=http://127.0.0.1:8765
  {PROGRAM} flights --sample 3000 | {PROGRAM} ship -
""",
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def app() -> None:
    """Ship events to the DataArt platform, or see them arrive in a local stand-in of it."""


for _command in (ship, doctor, sink, demo, spool, flights, bench, completion, version):
    app.add_command(_command)


def run() -> int:
    """Run the command line; ends the process by SystemExit, as click does."""
    logging.getLogger("dataart_mp").addHandler(_Log(logging.WARNING))
    app(prog_name=PROGRAM)
    return ExitCode.OK
