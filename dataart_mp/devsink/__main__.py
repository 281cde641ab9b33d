"""`python -m dataart_mp.devsink`: a sink that prints its URL, on one line, when it listens."""

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
    add("--port", default=defaults.port, type=int, help="0: any free one (%(default)s)")
    add("--api-key", help="the only accepted X-API-Key (any that is not empty)")
    add("--keep", default=defaults.keep, type=int, help="items kept of each kind (%(default)s)")
    add("--keep-requests", default=defaults.keep_requests, type=int, help="(%(default)s)")
    add("--keep-seconds", default=defaults.keep_seconds, type=float, help="(%(default)s)")
    add("--database", type=Path, help="SQLite file that keeps them (memory)")
    add("--id-field", default=defaults.id_field, help="metadata field to audit (%(default)s)")
    add("--max-body-bytes", default=defaults.max_body_bytes, type=int, help="(%(default)s)")
    add("--keep-alive", default=defaults.keep_alive, type=float, help="seconds (%(default)s)")
    add("--journal", type=Path, help="file by which counts outlive the sink")
    add("--allow-host", dest="allow_hosts", action="append", default=[], help="name of the sink")
    add("--allow-remote", action="store_true", help="listen on other addresses than loopback")
    add("--until-eof", action="store_true", help="stop at the end of standard input, too")
    return parser


def main() -> int:
    """Serve until told to stop.

    Returns:
        The exit code: 0 stopped, 1 the address or the journal cannot be used, 2 wrong usage.
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
