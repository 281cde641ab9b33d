"""What all tests share: a sink of their own, and applications that run as a user's would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dataart_mp import Client, ClientConfig
from dataart_mp.devsink.process import SinkProcess

WAIT_SECONDS = 30.0


@pytest.fixture(autouse=True)
def _every_client_balances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a test does with a client: when it is closed, no record is unaccounted for."""
    close = Client.close

    def close_and_check(client: Client, timeout: float | None = None) -> int:
        left = close(client, timeout)
        stats = client.stats()
        assert stats.balanced, stats
        return left

    monkeypatch.setattr(Client, "close", close_and_check)


def pytest_configure() -> None:
    """As in the foreground: a shell starts what it runs in the background deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def sink() -> Iterator[SinkProcess]:
    with SinkProcess() as process:
        yield process
        process.kill()  # nobody needs its balance any more, and a stop in order takes longer


@pytest.fixture
def config(sink: SinkProcess) -> Callable[..., ClientConfig]:
    """Makes a configuration that ships to the sink, and doesn't wait long for anything."""

    def make(**settings: Any) -> ClientConfig:
        defaults = {
            "api_key": "test-key",
            "base_url": sink.url,
            "flush_backoff_ratio": 0.05,
            "flush_num_workers": 4,
            "flush_num_processes": 2,
        }
        return ClientConfig(**{**defaults, **settings})

    return make


@pytest.fixture
def client(config: Callable[..., ClientConfig]) -> Iterator[Client]:
    with Client(config()) as made:
        yield made


@pytest.fixture
def env(sink: SinkProcess) -> dict[str, str]:
    """What a user has exported to ship to the sink, and to not wait long for anything."""
    return environment(
        DATAART_API_KEY="secret-key",
        DATAART_BASE_URL=sink.url,
        DATAART_FLUSH_BACKOFF_RATIO="0.05",
        DATAART_FLUSH_NUM_RETRIES="2",
    )


@pytest.fixture
def app(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the text of a script as an application of its own, and waits for its end."""

    def run(text: str, *arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        script = tmp_path / "app.py"
        script.write_text(text)
        return subprocess.run(
            [sys.executable, "-X", "dev", str(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    return run


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
