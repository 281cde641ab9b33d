"""A key in a file can be rotated without a restart, and is never shown."""

import json
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dataart_mp import Client, ClientConfig, ConfigError
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.errors import short_repr
from dataart_mp.transport.envelope import PATHS
from dataart_mp.transport.response import Response
from tests.client.tools import emit
from tests.support import Configure, wait_until, workers_of
from tests.transport.servers import Peer, SenderTo, Serve

OLD, NEW = "old-and-very-secret-key", "new-and-very-secret-key"


@pytest.fixture
def sink(platform: SinkProcess) -> SinkProcess:
    """One sink for all tests, because starting one takes longer than most of them."""
    return platform


class Platform:
    """A server that accepts one key, and quotes any other one."""

    def __init__(self, serve: Serve, accepted: str) -> None:
        self.accepted = [accepted]
        self.keys: list[str] = []
        self.arrived = 0
        self.url = serve(self._handle).url

    def _handle(self, peer: Peer) -> None:
        while (request := peer.request()) is not None:
            key = request.headers["x-api-key"]
            self.keys.append(key)
            if key in self.accepted:
                self.arrived += len(json.loads(request.body)["actions"])
                peer.respond(200)
            else:
                peer.respond(401, f"unknown key {key}".encode())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "key"
    made.write_text(f"{OLD}\n")
    return made


@pytest.fixture
def from_file(config: Configure, file: Path) -> ClientConfig:
    return replace(config(flush_interval=0.1), api_key="", api_key_file=file)


def put(file: Path, key: str) -> None:
    """Replace a file in one step, as Kubernetes does."""
    new = file.with_name("key.new")
    new.write_text(key)
    new.rename(file)


def test_a_key_that_is_rotated_at_the_platform_first_is_read_when_it_is_refused(
    from_file: ClientConfig, file: Path, serve: Serve
) -> None:
    platform = Platform(serve, accepted=OLD)
    config = replace(from_file, base_url=platform.url, flush_backoff_ratio=60.0)
    with Client(config) as client:
        emit(client, 0, 40)
        assert client.flush(20) == 0
        platform.accepted = [NEW]
        emit(client, 40, 40)
        wait_until(lambda: client.stats().last_error is not None)
        stats = client.stats()
        assert stats.last_error == "status 401, 'unknown key ***'"
        workers = workers_of(client)
        put(file, NEW)
        wait_until(lambda: client.stats().delivered == 80, 10)  # it does not wait for the backoff
        assert {*workers} <= {*workers_of(client)}, "without a restart"
    assert platform.arrived == 80


def test_a_key_that_is_rotated_in_the_file_first_causes_no_refused_request(
    from_file: ClientConfig, file: Path, serve: Serve
) -> None:
    platform = Platform(serve, accepted=OLD)
    with Client(replace(from_file, base_url=platform.url)) as client:
        emit(client, 0, 20)
        assert client.flush(20) == 0
        platform.accepted.append(NEW)
        put(file, NEW)

        def has_used_it() -> bool:
            emit(client, 20, 1)
            return client.flush(20) == 0 and NEW in platform.keys

        wait_until(has_used_it)
        assert client.stats().last_error is None
    assert platform.arrived == client.stats().delivered


def test_a_file_that_is_missing_for_a_while_costs_nothing(
    from_file: ClientConfig, file: Path, serve: Serve
) -> None:
    platform = Platform(serve, accepted=OLD)
    with Client(replace(from_file, base_url=platform.url)) as client:
        emit(client, 0, 20)
        assert client.flush(20) == 0
        file.unlink()
        wait_until(lambda: "No such file" in (client.stats().last_error or ""))
        emit(client, 20, 20)
        assert client.flush(20) == 0, "the old key is still used"
        put(file, OLD)
    assert platform.arrived == 40


def test_the_key_is_in_no_repr_and_in_no_argument_or_environment_of_a_worker(
    from_file: ClientConfig, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    platform = Platform(serve, accepted=NEW)
    assert OLD not in repr(from_file)
    with Client(replace(from_file, base_url=platform.url, flush_num_retries=1)) as client:
        emit(client, 0, 1)
        wait_until(lambda: client.stats().failed == 1)
        for worker in map(psutil.Process, workers_of(client)):
            assert OLD not in " ".join(worker.cmdline())
            assert OLD not in str(worker.environ())
        assert OLD not in str(client.stats())
        assert OLD not in repr(client.stats())
    assert OLD not in caplog.text
    assert "unknown key ***" in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory; correct the path"),
        (b"", "is empty; write the key to it"),
        (b" \n", "is empty; write the key to it"),
        (b"\xff\xfe", "is not text; write the key to it"),
        (b"one\ntwo", "its key must be printable Latin-1 text"),
        (b"x" * 9000, "is too large for a key"),
    ],
)
def test_a_file_that_holds_no_key_is_refused_by_name(
    file: Path, content: bytes | None, problem: str
) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        Client(ClientConfig(api_key_file=file))
    names = (repr(str(file)), short_repr(str(file)))  # the directory's may be long
    assert str(error.value).startswith(tuple(f"api_key_file={name}: " for name in names))
    assert problem in str(error.value)
    assert "two" not in str(error.value)


def test_the_key_comes_from_one_place(file: Path) -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        ClientConfig()
    with pytest.raises(ConfigError, match="mutually exclusive"):
        ClientConfig("key", api_key_file=file)
    variables = {"DATAART_API_KEY_FILE": str(file)}
    assert ClientConfig.from_env(variables).read_api_key() == OLD
    assert ClientConfig.from_env(variables, api_key="key").read_api_key() == "key"
    both = {**variables, "DATAART_API_KEY": "key"}
    assert ClientConfig.from_env(both, api_key_file=file).read_api_key() == OLD
    with pytest.raises(ConfigError, match="mutually exclusive"):
        ClientConfig.from_env(both)


def test_old_and_new_keys_are_masked_in_responses(
    sender_to: SenderTo, serve: Serve, file: Path
) -> None:
    server = serve(lambda peer: peer.respond_to_all(401, f"{OLD} is not {NEW}".encode()))
    sender = sender_to(server.url, settings={"api_key": "", "api_key_file": file})
    put(file, NEW)
    assert sender.post(PATHS[0], b"{}", "k") == Response(401, "*** is not ***")
    assert sender.check_key()
    assert not sender.check_key()
    assert server.requests[-1].headers["x-api-key"] == OLD
    sender.post(PATHS[0], b"{}", "k")
    assert server.requests[-1].headers["x-api-key"] == NEW
