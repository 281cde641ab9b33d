"""Run a sink, which prints its URL on one line when it listens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from dataart_mp.devsink import SinkSettings, run
from dataart_mp.devsink.log import printable

# Options with a default: name, type, help.
_OPTIONS: Final = (
    ("host", str, "address to listen on"),
    ("port", int, "port to listen on; 0: any free port"),
    ("keep", int, "number of items kept of each kind"),
    ("keep-requests", int, "number of requests kept"),
    ("keep-seconds", float, "seconds for which they are kept"),
    ("search-seconds", float, "longest time for a search, in seconds"),
    ("id-field", str, "metadata field that identifies an event"),
    ("max-body-bytes", int, "largest accepted body"),
    ("keep-alive", float, "seconds for which an idle connection stays open"),
)


def _parser() -> argparse.ArgumentParser:
    defaults = SinkSettings()
    parser = argparse.ArgumentParser(prog="python -m dataart_mp.devsink", description=__doc__)
    add = parser.add_argument
    for name, type_, help_ in _OPTIONS:
        default = getattr(defaults, name.replace("-", "_"))
        add(f"--{name}", default=default, type=type_, help=f"{help_} (%(default)s)")
    add("--api-key", help="the only accepted X-API-Key (any that is not empty)")
    add("--database", type=Path, help="SQLite file to keep items and requests in (memory)")
    add("--journal", type=Path, help="file from which a restarted sink restores its counts")
    add(
        "--allow-host",
        dest="allow_hosts",
        action="append",
        default=[],
        help="further accepted host name",
    )
    add("--allow-remote", action="store_true", help="allow addresses other than loopback")
    add("--until-eof", action="store_true", help="also stop at the end of standard input")
    return parser


def main() -> int:
    """Run a sink until it is stopped.

    Returns:
        The exit code. 0: stopped; 1: the address or a file cannot be used; 2: wrong usage.
    """
    parser = _parser()
    given = vars(parser.parse_args())
    try:
        settings = SinkSettings(**given | {"allow_hosts": tuple(given["allow_hosts"])})
    except ValueError as error:
        parser.error(printable(str(error)))
    try:
        run(settings, on_ready=lambda url: print(url, flush=True))  # noqa: T201
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {printable(str(error))}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
