"""Runs the command line: the installed script, or a process that is forked from one like it."""

import atexit
import contextlib
import functools
import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import pytest

from dataart_mp import cli
from tests.support import environment
from tests.template import Template

SCRIPT = str(Path(sys.executable).parent / "dataart-mp")
FLIGHTS = Path(__file__).parents[1] / "data" / "flights.jsonl"

# Runs a shell command in a new terminal, with our standard input as its keyboard.
_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"

_PROGRESS = re.compile(rb"^(?:Shipping|Checking) +[0-9.]+ s  .*\n", re.MULTILINE)

_READ_AT_START = re.compile("DATAART_MP_|LANG|LC_|LD_|MALLOC_|OPENSSL_|PYTHON|TZ")
_SECONDS = 90.0

Environment = Mapping[str, str]

needs_tmux = pytest.mark.skipif(
    shutil.which("tmux") is None or shutil.which("bash") is None,
    reason="tmux or bash is not installed: apt-get install tmux bash",
)


def _at_start(env: Environment) -> Environment:
    """Return the variables that Python, its libraries or the package read when they start."""
    return {name: text for name, text in env.items() if _READ_AT_START.match(name)}


_OURS = _at_start(environment())


def offline() -> dict[str, str]:
    """Return an environment in which pip has no network."""
    return environment(PIP_CONFIG_FILE="/dev/null", PIP_NO_INDEX="1", PIP_FIND_LINKS="")


def run(
    *arguments: object, stdin: bytes = b"", env: Environment | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dataart-mp` in pipes, and wait for its end.

    It is forked from a template, unless its environment is one that affects how Python starts.

    Returns:
        What it has written, without the lines of progress that a slow machine causes.
    """
    env = environment() if env is None else env
    words = [SCRIPT, *map(str, arguments)]
    can_fork = hasattr(os, "pidfd_open") and _at_start(env) == _OURS
    code, output, errors = (_run_forked if can_fork else _run_script)(words, stdin, env, cwd)
    return subprocess.CompletedProcess(
        words, code, output.decode(), without_progress(errors).decode()
    )


def without_progress(errors: bytes) -> bytes:
    """Omit the lines of progress, which a command that takes two seconds writes."""
    return _PROGRESS.sub(b"", errors)


def _run_script(
    words: list[str], stdin: bytes, env: Environment, cwd: Path | None
) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        words, input=stdin, capture_output=True, timeout=_SECONDS, check=False, env=env, cwd=cwd
    )
    return done.returncode, done.stdout, done.stderr


def _run_forked(
    words: list[str], stdin: bytes, env: Environment, cwd: Path | None
) -> tuple[int, bytes, bytes]:
    (theirs_in, our_in), *pipes = (os.pipe() for _ in range(4))
    theirs_out, theirs_err, status = (write for _, write in pipes)
    streams = {0: theirs_in, 1: theirs_out, 2: theirs_err}
    group = _template().fork(words, streams, env=env, cwd=cwd or Path.cwd(), status=status)
    for number in (*streams.values(), status):
        os.close(number)
    with ThreadPoolExecutor(len(pipes)) as pool:
        reads = [pool.submit(_read_all, read) for read, _ in pipes]
        with contextlib.suppress(BrokenPipeError), os.fdopen(our_in, "wb") as file:
            file.write(stdin)
        try:
            output, errors, ended = (read.result(_SECONDS) for read in reads)
        except TimeoutError:
            os.killpg(group, signal.SIGKILL)
            raise
    return os.waitstatus_to_exitcode(int(ended)), output, errors


def _read_all(number: int) -> bytes:
    with os.fdopen(number, "rb") as file:
        return file.read()


@functools.cache
def _template() -> Template:
    """Return the process that has imported all commands, and ends with this one."""
    modules = [each.name for each in pkgutil.walk_packages(cli.__path__, "dataart_mp.cli.")]
    modules.remove("dataart_mp.cli.__main__")
    template = Template("dataart_mp.cli:main", *modules)
    atexit.register(template.close)
    return template


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
        path = f"{Path(SCRIPT).parent}:{env['PATH']}"
        # The user's own shell may be one that allows no login, as that of a service.
        self._env = {**env, "PS1": "$ ", "PATH": path, "SHELL": "/bin/sh"}
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
