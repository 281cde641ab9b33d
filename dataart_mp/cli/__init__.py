"""The command line: `dataart-mp ship`, `doctor`, `sink`, `demo`, `spool`, `bench`, ….

    app               the group of all commands, and how their errors are shown
    ship/             ship files                     sink         run the local sink
    doctor/           check a configuration          flights      print real events
    spool/            inspect and resend             completion   print a completion script
    bench/            measure a load                 version      print the version
    demo/             ship flights, fail, audit
    ────────────────────────────────────────────────────────────────────────────────────
    nycflights/       the events of `demo` and `flights`
    input/            files ─► rows ─► events
    client_options, dry_run_client, progress, seconds, stop_signals
    exit_code, message, standard_streams

Each command is a package or a module. Imports go down only: a command imports what is below the
line, never another command.
"""

import importlib.util
import sys

from dataart_mp.cli.standard_streams import prepare_streams

# Copies of values in exit_code, which is not imported before the extra is known to be installed.
_USAGE = 2
_INTERRUPTED = 130
_REQUIRED = ("click", "rich")


def main() -> int:
    """Run the command that the process's arguments name.

    Returns:
        The exit code; see `dataart_mp.cli.exit_code`.
    """
    prepare_streams()
    missing = [name for name in _REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"dataart-mp: the command line needs {' and '.join(missing)}: "
            "pip install 'dataart-mp[cli]'\n"
        )
        return _USAGE
    try:
        # Imported here so that this module can be imported without the extra.
        from dataart_mp.cli.app import run

        return run()
    except KeyboardInterrupt:  # before a command handles it
        return _INTERRUPTED
