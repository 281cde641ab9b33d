"""Run a sink, which prints its URL on one line when it listens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dataart_mp.devsink import SinkSettings, run


def _parser() -> argparse.ArgumentParser:
    defaults = SinkSettings()
    parser = argparse.ArgumentParser(prog="python -m dataart_mp.devsink", description=__doc__)
    add = parser.add_argument
    add("--host", default=defaults.host, help="address to listen on (%(default)s)")
    add(
        "--port",
        default=defaults.port,
        type=int,
        help="port to listen on; 0: any free port (%(default)s)",
    )
    add("--api-key", help="the only accepted X-API-Key (any that is not empty)")
    add(
        "--keep",
        default=defaults.keep,
        type=int,
        help="number of items kept of each kind (%(default)s)",
    )
    add(
        "--keep-requests",
        default=defaults.keep_requests,
        type=int,
        help="number of requests kept (%(default)s)",
    )
    add(
        "--keep-seconds",
        default=defaults.keep_seconds,
        type=float,
        help="seconds for which they are kept (%(default)s)",
    )
    add("--database", type=Path, help="SQLite file to keep them in (memory)")
    add(
        "--id-field",
        default=defaults.id_field,
        help="metadata field that identifies an event (%(default)s)",
    )
    add(
        "--max-body-bytes",
        default=defaults.max_body_bytes,
        type=int,
        help="largest accepted body (%(default)s)",
    )
    add(
        "--keep-alive",
        default=defaults.keep_alive,
        type=float,
        help="seconds for which an idle connection stays open (%(default)s)",
    )
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
        parser.error(str(error))
    try:
        run(settings, on_ready=lambda url: print(url, flush=True))  # noqa: T201
    except (OSError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
