"""Runs the command line as a user does: the installed script, in pipes or in a terminal."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.support import environment

SCRIPT = str(Path(sys.executable).parent / "dataart-mp")
FLIGHTS = Path(__file__).parents[1] / "data" / "flights.jsonl"

# Runs a shell command in a new terminal, with our standard input as its keyboard.
_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"

_PROGRESS = re.compile(r"^(?:Shipping|Checking) +[0-9.]+ s  .*\n", re.MULTILINE)

Environment = Mapping[str, str]

needs_tmux = pytest.mark.skipif(
    shutil.which("tmux") is None or shutil.which("bash") is None,
    reason="tmux or bash is not installed: apt-get install tmux bash",
)


def offline() -> dict[str, str]:
    """Return an environment in which pip has no network."""
    return environment(PIP_CONFIG_FILE="/dev/null", PIP_NO_INDEX="1", PIP_FIND_LINKS="")


def run(
    *arguments: object, stdin: bytes = b"", env: Environment | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dataart-mp` in pipes, and wait for its end.

    Returns:
        What it has written, without the lines of progress that a slow machine causes.
    """
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
        done.args, done.returncode, done.stdout.decode(), _PROGRESS.sub("", done.stderr.decode())
    )


def run_limited(limit: str, *arguments: str, env: Environment) -> subprocess.CompletedProcess[str]:
    """Run `dataart-mp` in pipes under a limit of `ulimit`, such as `-n 12`."""
    return subprocess.run(
        ["/bin/sh", "-c", f'ulimit {limit}; exec "$@"', "sh", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=env,
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
    """Start a shell command in a terminal; `stdout` is its screen, and `stdin` its keyboard."""
    return subprocess.Popen(
        [sys.executable, "-c", _TERMINAL, "/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**env, "TERM": "xterm-256color", "COLUMNS": "100"},
    )


class Tmux:
    """A terminal that runs a shell, and whose screen can be read; a context manager.

    Args:
        env: The environment of the shell.
        cwd: The working directory of the shell.
    """

    def __init__(self, env: Environment, cwd: Path) -> None:
        self._socket = str(cwd / "tmux")
        self._env = {**env, "PS1": "$ ", "PATH": f"{Path(SCRIPT).parent}:{env['PATH']}"}
        self._cwd = cwd

    def __enter__(self) -> Self:
        size = ("-x", "100", "-y", "30")
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "bash --norc --noprofile")
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server")

    def type(self, *keys: str) -> None:
        """Press keys: text, or names such as `Enter`, `Tab` and `C-c`."""
        self._tmux("send-keys", "--", *keys)

    @property
    def screen(self) -> str:
        """The text on the screen."""
        return self._tmux("capture-pane", "-p").rstrip()

    def _tmux(self, *arguments: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env=self._env,
            cwd=self._cwd,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout
