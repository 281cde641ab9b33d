"""The group of all commands, and how the user sees their errors.

The module of a command is imported when the command runs: most need more than `--help` does.
"""

import importlib
import logging
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any, Final

import click

from dataart_mp import __version__
from dataart_mp.cli.exit_code import ExitCode
from dataart_mp.cli.message import PROGRAM, printable, report, warn
from dataart_mp.cli.standard_streams import discard
from dataart_mp.errors import DataArtError

_COMMANDS: Final = {
    "agent": ("agent", "Deliver what clients leave behind in a spool."),
    "bench": ("bench.command", "Load a platform with events and measure it."),
    "completion": ("completion", "Print a script for shell completion."),
    "demo": ("demo.command", "Ship a year of flights to a failing sink, and audit the result."),
    "doctor": ("doctor.command", "Find out why events are not delivered."),
    "flights": ("flights", "Print real events, in the format that ship reads."),
    "ship": ("ship.command", "Ship the events in JSON Lines, CSV and Parquet files."),
    "sink": ("sink", "Run a local stand-in for the platform."),
    "spool": ("spool.command", "List, show, replay and purge dead letters."),
    "status": ("status.command", "Show running clients, and what clients left in a spool."),
    "version": ("version", "Print the versions of dataart-mp, Python and the operating system."),
}
"""The name of each command, with its module below `dataart_mp.cli` and its line in `--help`."""


class _Listed(click.Command):
    """A command as `--help` and completion list it, before its module is imported.

    Args:
        name: Its name, which is also that of its function.
        module: Its module below `dataart_mp.cli`.
        summary: Its line in `--help`.
    """

    def __init__(self, name: str, module: str, summary: str) -> None:
        super().__init__(name, short_help=summary)
        self._module = module

    def load(self) -> click.Command:
        """Import the command."""
        module = importlib.import_module(f"dataart_mp.cli.{self._module}")
        command: click.Command = getattr(module, self.name or "")
        return command


class _App(click.Group):
    """A group that turns every expected error into a message and an exit code."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, _Listed) else command, rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DataArtError as error:
            warn(str(error))
            ctx.exit(ExitCode.USAGE)
        except BrokenPipeError:
            discard(sys.stdout)
            ctx.exit(ExitCode.BROKEN_PIPE)
        except OSError as error:  # a full disk, an unreadable file, …
            warn(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            discard(sys.stdout)
            ctx.exit(ExitCode.USAGE)
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the command line; a usage error may quote a file name or any other argument."""
        try:
            result = super().main(*arguments, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            _printable_error(error).show()
            result = error.exit_code
        except click.Abort:
            result = ExitCode.INTERRUPTED
        if options.get("standalone_mode", True):
            sys.exit(result)
        return result


# Without arguments, newer releases of click raise an error that shows the help.
_MANY_LINES: Final[tuple[type[click.ClickException], ...]] = tuple(
    getattr(click.exceptions, name)
    for name in ("MissingParameter", "NoArgsIsHelpError")
    if hasattr(click.exceptions, name)
)


def _printable_error(error: click.ClickException) -> click.ClickException:
    if isinstance(error, _MANY_LINES):  # they quote nothing
        return error
    text = printable(error.format_message())
    if isinstance(error, click.UsageError):
        return click.UsageError(text, error.ctx)
    return click.ClickException(text)


def _show_warning(message: Warning | str, *_: object) -> None:
    """Show a warning without its source line, as a message of the command."""
    warn(str(message))


def _show_exception(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """Show the traceback of a programming error, each line with its control characters escaped."""
    for line in "".join(traceback.format_exception(kind, error, trace)).splitlines():
        report(line)


def _show_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    _show_exception(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)


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


for _name, (_module, _summary) in _COMMANDS.items():
    app.add_command(_Listed(_name, _module, _summary))


def run() -> int:
    """Run the command line; ends the process with SystemExit, as click does."""
    logging.getLogger("dataart_mp").addHandler(_LogHandler(logging.WARNING))
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    sys.excepthook = _show_exception
    threading.excepthook = _show_thread_exception
    app(prog_name=PROGRAM)
    return ExitCode.OK
