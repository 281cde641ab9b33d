"""The command line: `dataart-mp ship`, `doctor`, `sink`, `demo`, `spool`, `bench`, ….

    commands/   what can be typed: each file reads options, and writes the result
    checkup/    what `doctor` looks at
    …           the nouns beside them do the work, and know nothing of options

A row's way through `ship`: source ─► line, csv_rows, parquet_rows ─► row ─► column_map ─► event ─►
shipment ─► client. A run holds them together; a checkpointer follows it; what comes of it is a
result, and its exit code. The demo's: archive ─► flights ─► trial (client and sink) ─► audit.
That of `bench`: load, in a fresh process ─► samples of a measurement.
"""

import importlib.util
import sys

# As in exit_code, which is not imported before the extra is known to be there.
_USAGE = 2
_INTERRUPTED = 130
_NEEDED = ("click", "rich")


def main() -> int:
    """Run the command that the process's arguments name.

    Returns:
        The exit code; see `dataart_mp.cli.exit_code`.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"dataart-mp: the command line needs {' and '.join(missing)}: "
            "pip install 'dataart-mp[cli]'\n"
        )
        return _USAGE
    try:
        # Not at the top: without the extra, this module alone can be imported.
        from dataart_mp.cli.app import run

        return run()
    except KeyboardInterrupt:  # before a command has taken over
        return _INTERRUPTED
