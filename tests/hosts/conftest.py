"""What starts the hosts, and what they ship to."""

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.hosts.hosted import CLIENT, Host, StartHost


@pytest.fixture(scope="session")
def _audience() -> Iterator[SinkProcess]:
    with SinkProcess() as sink:
        yield sink


@pytest.fixture
def audience(_audience: SinkProcess) -> SinkProcess:
    """A sink that has seen nothing yet."""
    _audience.reset()
    return _audience


@pytest.fixture
def port() -> Iterator[int]:
    """A port that stays ours, and that a server may listen on."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]


@pytest.fixture
def host(tmp_path: Path, audience: SinkProcess) -> Iterator[StartHost]:
    """Starts a command in a folder with these files."""
    started: list[Host] = []

    def start(files: dict[str, str], *command: object, **options: Any) -> Host:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        started.append(Host(command, tmp_path, audience, **options))
        return started[-1]

    yield start
    for each in started:
        each.destroy()


@pytest.fixture
def script(host: StartHost) -> Callable[..., Host]:
    """Starts an application without a server: the client, and what the test adds to it."""

    def start(text: str, **options: Any) -> Host:
        return host({"app.py": CLIENT + text}, sys.executable, "-X", "dev", "app.py", **options)

    return start
