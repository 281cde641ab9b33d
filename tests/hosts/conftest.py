"""Fixtures that start applications in real hosts."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.hosts.host import CLIENT, Host, StartHost, StartScript


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is reserved for this test; a server may listen on it."""
    with socket.socket() as reservation:
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind(("127.0.0.1", 0))
        yield reservation.getsockname()[1]


@pytest.fixture
def host(tmp_path: Path, platform: SinkProcess) -> Iterator[StartHost]:
    """Writes files into a folder, and starts a command there."""
    started: list[Host] = []

    def start(files: dict[str, str], *command: object, **options: Any) -> Host:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        started.append(Host(command, tmp_path, platform, **options))
        return started[-1]

    yield start
    for each in started:
        each.destroy()


@pytest.fixture
def script(host: StartHost) -> StartScript:
    """Starts a script that creates a client and then runs the given text."""

    def start(text: str, **options: Any) -> Host:
        return host({"app.py": CLIENT + text}, sys.executable, "-X", "dev", "app.py", **options)

    return start
