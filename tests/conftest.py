"""Fixtures for all tests: a sink, servers, senders, and applications that run as a user's would."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trustme

from dataart_mp import Client, ClientConfig, HTTPOptions
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer import bound
from dataart_mp.transport.sender import Sender
from tests.forked_sink import ForkedSink, sink_template
from tests.forked_worker import spawn_from, worker_template
from tests.support import App, Configure, environment
from tests.template import Template
from tests.transport.servers import KEY, Handle, RawServer, SenderTo, Serve

_AFFECTS_PROGRAMS = re.compile(
    r"\w+_proxy|(FORCE|NO)_COLOR|CLICOLOR\w*|COLUMNS|LINES", re.IGNORECASE
)


@pytest.fixture(autouse=True)
def _every_client_balances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check in every test that the counters of a client balance when it is closed."""
    close = Client.close

    def close_and_check(client: Client, timeout: float | None = None) -> int:
        pending = close(client, timeout)
        stats = client.stats()
        assert stats.balanced, stats
        return pending

    monkeypatch.setattr(Client, "close", close_and_check)


@pytest.fixture(autouse=True)
def _context_is_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `context.bind` in one test not take the hot path in C from the clients of the next."""
    monkeypatch.setattr(bound, "_used", threading.Event())


def pytest_configure(config: pytest.Config) -> None:
    """Prepare for a loaded machine, and for a shell in the background, which ignores SIGINT.

    The variables of the user have no effect on what is tested: settings of a client, proxies, and
    what makes a program write colours into pipes or lines of another width.
    """
    variables = pytest.MonkeyPatch()
    config.add_cleanup(variables.undo)
    for name in os.environ.keys() - environment().keys():
        variables.delenv(name)
    for name in [each for each in os.environ if _AFFECTS_PROGRAMS.fullmatch(each)]:
        variables.delenv(name)
    hypothesis.settings.register_profile("no deadline", deadline=None)
    hypothesis.settings.load_profile("no deadline")
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _sink_template() -> Iterator[Template]:
    with sink_template() as template:
        yield template


@pytest.fixture
def sink(request: pytest.FixtureRequest) -> Iterator[SinkProcess]:
    process = SinkProcess()
    if hasattr(os, "pidfd_open"):  # on Linux
        process = ForkedSink(request.getfixturevalue("_sink_template"))
    with process:
        yield process
        process.kill()  # faster than a graceful stop, whose final counters no test needs


@pytest.fixture(scope="session")
def _worker_template() -> Iterator[Template]:
    with worker_template() as template:
        yield template


@pytest.fixture
def quick_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets clients of this process start workers in a tenth of the time."""
    if hasattr(os, "pidfd_open"):  # on Linux
        template = request.getfixturevalue("_worker_template")
        monkeypatch.setattr(os, "posix_spawn", spawn_from(template))


@pytest.fixture
def config(sink: SinkProcess, quick_workers: None) -> Configure:
    """Creates a configuration that ships to the sink by one worker, with short waits."""

    def make(**settings: Any) -> ClientConfig:
        defaults = {
            "api_key": "test-key",
            "base_url": sink.url,
            "flush_backoff_ratio": 0.05,
            "flush_num_workers": 4,
            "flush_num_processes": 1,
        }
        return ClientConfig(**{**defaults, **settings})

    return make


@pytest.fixture
def client(config: Configure) -> Iterator[Client]:
    with Client(config()) as client:
        yield client


@pytest.fixture
def env(sink: SinkProcess) -> dict[str, str]:
    """Environment variables of a user that ship to the sink by one worker, with short waits."""
    return environment(
        DATAART_API_KEY="secret-key",
        DATAART_BASE_URL=sink.url,
        DATAART_FLUSH_BACKOFF_RATIO="0.05",
        DATAART_FLUSH_NUM_PROCESSES="1",
        DATAART_FLUSH_NUM_RETRIES="2",
    )


@pytest.fixture
def app(tmp_path: Path) -> App:
    """Runs the text of a script as a separate application, and waits for its end."""

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


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers whose behaviour the test defines."""
    servers: list[RawServer] = []

    def start(handle: Handle, **options: Any) -> RawServer:
        servers.append(RawServer(handle, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def sender_class() -> type[Sender]:
    """The class of the senders that `sender_to` creates."""
    return Sender


@pytest.fixture
def sender_to(sender_class: type[Sender]) -> Iterator[SenderTo]:
    """Creates senders to a URL; their connections are closed after the test."""
    senders: list[Sender] = []

    def make(
        url: str,
        *,
        settings: dict[str, Any] = {},  # noqa: B006
        connections: int = 4,
        **http: Any,
    ) -> Sender:
        options = HTTPOptions(**{"connect_timeout": 5.0, "read_timeout": 5.0, **http})
        config = ClientConfig(**{"api_key": KEY, "base_url": url, "http": options, **settings})
        senders.append(sender_class(config, connections, "dataart_mp/test"))
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
    """A sink that has received nothing."""
    _platform.reset()
    return _platform


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A private certificate authority that only the tests trust."""
    return trustme.CA()
