"""The group of all commands, and how the user sees their errors."""

import contextlib
import logging
import os
import sys
from typing import Any

import click

from dataart_mp import __version__
from dataart_mp.cli.bench.command import bench
from dataart_mp.cli.completion import completion
from dataart_mp.cli.demo.command import demo
from dataart_mp.cli.doctor.command import doctor
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.flights import flights
from dataart_mp.cli.message import PROGRAM, warn
from dataart_mp.cli.ship.command import ship
from dataart_mp.cli.sink import sink
from dataart_mp.cli.spool.command import spool
from dataart_mp.cli.version import version
from dataart_mp.errors import DataArtError


class _App(click.Group):
    """A group that turns every expected error into a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataArtError as error:
            warn(str(error))
            ctx.exit(ExitCode.USAGE)
        except BrokenPipeError:
            _discard_output()
            ctx.exit(ExitCode.BROKEN_PIPE)
        except OSError as error:  # a full disk, an unreadable file, …
            warn(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            _discard_output()
            ctx.exit(ExitCode.USAGE)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)


def _discard_output() -> None:
    """Redirect buffered output to /dev/null: else the interpreter's exit fails on flushing it."""
    with contextlib.suppress(OSError):  # no descriptor is free
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


class _LogHandler(logging.Handler):
    """Shows the client's log records as the messages of a command, above a progress bar too."""

    def emit(self, record: logging.LogRecord) -> None:
        # The first and last line of a traceback are the message and the exception.
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
    """Ship events to the DataArt platform, or to a local stand-in that shows them."""


for _command in (ship, doctor, sink, demo, spool, flights, bench, completion, version):
    app.add_command(_command)


def run() -> int:
    """Run the command line; ends the process with SystemExit, as click does."""
    logging.getLogger("dataart_mp").addHandler(_LogHandler(logging.WARNING))
    app(prog_name=PROGRAM)
    return ExitCode.OK
