"""What the tests of the worker share; a plugin of the test modules."""

from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from worker_servers import KEY, Handle, RawServer, SenderTo, Serve

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.worker.sender import Sender


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that do what the test says."""
    servers: list[RawServer] = []

    def start(handle: Handle, **options: Any) -> RawServer:
        servers.append(RawServer(handle, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def sender_to() -> Iterator[SenderTo]:
    """Makes senders to a URL; their connections end with the test."""
    senders: list[Sender] = []

    def make(url: str, *, settings: dict[str, Any] = {}, **http: Any) -> Sender:  # noqa: B006
        options = HTTPOptions(**{"connect_timeout": 5.0, "read_timeout": 5.0, **http})
        config = ClientConfig(**{"api_key": KEY, "base_url": url, "http": options, **settings})
        senders.append(Sender(config, 4, "dataart_mp/test"))
        return senders[-1]

    yield make
    for sender in senders:
        sender._pool.clear()


@pytest.fixture(scope="session")
def _platform() -> Iterator[SinkProcess]:
    with SinkProcess() as sink:
        yield sink


@pytest.fixture
def platform(_platform: SinkProcess) -> SinkProcess:
    """A sink that has seen nothing yet."""
    _platform.reset()
    return _platform


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A private authority that only the tests trust."""
    return trustme.CA()
