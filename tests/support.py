"""Shared helpers: environments, scripts, waiting for conditions, and the state of processes.

Tests reach the internals of a client only through this module.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from dataart_mp import Client, ClientConfig
from dataart_mp.config.environment import without_settings
from dataart_mp.queue.arena import WAITING

WAIT_SECONDS = 30.0

Configure = Callable[..., ClientConfig]
"""The fixture `config`: creates a configuration."""

App = Callable[..., subprocess.CompletedProcess[str]]
"""The fixture `app`: runs a script as an application."""

SCRIPT = """
import os, signal, sys, threading, time
from dataart_mp import Client, ClientConfig

def workers_of(client):
    return client._engine.workers()
"""
"""The first lines of a script that runs as an application."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment without variables that configure a client, plus these."""
    return {**without_settings(os.environ), **variables}


def wait_until(reached: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait until a condition holds; fail if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not reached within {seconds} s"
        time.sleep(0.01)


def slow_python(folder: Path, then: str = f'exec {sys.executable} "$@"') -> tuple[Path, Path]:
    """Make a Python interpreter that starts slowly, as on an overloaded machine.

    Args:
        folder: Where it is made.
        then: What it does as soon as it may, as a shell command.

    Returns:
        Its path, and that of the file for whose creation it waits.
    """
    python, may_start = folder / "python-slow", folder / "may start"
    python.write_text(f'#!/bin/sh\nwhile [ ! -e "{may_start}" ]; do sleep 0.1; done\n{then}')
    python.chmod(0o700)
    return python, may_start


def stop(pid: int) -> None:
    """Stop a process by SIGSTOP, and wait until all its threads have stopped.

    A thread that is not stopped yet may still claim frames.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid))


def is_stopped(pid: int) -> bool:
    """Whether all threads of a process have stopped, or it has ended."""
    states: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            states.append(task.read_text().rpartition(") ")[2][0])
    return set(states) <= {*"TZX"}


def workers_of(client: Client) -> list[int]:
    """Return the process ids of the client's workers."""
    return client._engine.workers()


def waiting_frames(client: Client) -> list[int]:
    """Return the numbers of the client's frames that wait for a retry."""
    return [*client._queue.arena.all_in(WAITING)]


def arena_of(pid: int) -> str:
    """Return the arena that a worker has mapped: the inode of its file."""
    return _arenas(pid).pop()


def holders(arena: str) -> set[int]:
    """Return the processes that have an arena mapped."""
    return {pid for pid in psutil.pids() if arena in _arenas(pid)}


def _arenas(pid: int) -> set[str]:
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:  # the process has ended
        return set()
    return {line.split()[4] for line in lines if "memfd:dataart_mp" in line}


def all_gone(pids: list[int]) -> bool:
    """Whether none of these processes exists, not even as a zombie."""
    return not any(psutil.pid_exists(pid) for pid in pids)


def has_ipv6() -> bool:
    """Whether this machine has the loopback address of IPv6; a container often has none."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def open_descriptors() -> int:
    """Return the number of open descriptors of this process."""
    return sum(1 for _ in Path("/dev/fd").iterdir())
