"""The command line as a user runs it: the installed script, in a pipe or in a terminal."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from conftest import environment

SCRIPT = str(Path(sys.executable).parent / "dataart-mp")
FLIGHTS = Path(__file__).parents[1] / "data" / "flights.jsonl"

# Runs a shell command in a terminal of its own, whose keyboard is our standard input.
_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"

Environment = Mapping[str, str]


def run(
    *arguments: object, stdin: bytes = b"", env: Environment | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dataart-mp` to its end, in pipes."""
    done = subprocess.run(
        [SCRIPT, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=90,
        check=False,
        env=environment() if env is None else env,
        cwd=cwd,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def start(
    *arguments: object, env: Environment | None = None, stdin: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    """Start `dataart-mp` in pipes."""
    return subprocess.Popen(
        [SCRIPT, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment() if env is None else env,
    )


def start_in_terminal(command: str, env: Environment) -> subprocess.Popen[bytes]:
    """Start a shell command in a terminal: what it shows is on `stdout`, keys go to `stdin`."""
    return subprocess.Popen(
        [sys.executable, "-c", _TERMINAL, "/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**env, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
