"""What tests share: an environment, waiting for facts, and looks at processes."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from dataart_mp import Client

WAIT_SECONDS = 30.0


def environment(**variables: str) -> dict[str, str]:
    """Ours, without what would configure a client, and with these variables."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith("DATAART_")}
    return {**ours, **variables}


def wait_until(reached: Callable[[], object], seconds: float = WAIT_SECONDS) -> None:
    """Wait for a fact; fail when it doesn't come about."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


def workers_of(client: Client) -> list[int]:
    """The process ids of the client's workers."""
    return client._engine.workers()


def arena_of(pid: int) -> str:
    """Which arena a worker has mapped: the inode of its file."""
    return _arenas(pid).pop()


def holders(arena: str) -> set[int]:
    """The processes that have an arena mapped."""
    return {pid for pid in psutil.pids() if arena in _arenas(pid)}


def _arenas(pid: int) -> set[str]:
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:  # it has gone
        return set()
    return {line.split()[4] for line in lines if "memfd:dataart_mp" in line}


def all_gone(pids: list[int]) -> bool:
    """Whether none of these processes is there, not as a zombie either."""
    return not any(psutil.pid_exists(pid) for pid in pids)


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/dev/fd").iterdir())
