"""A user's type checker accepts correct use of the package, and reports errors."""

import textwrap
from pathlib import Path

import pytest
from mypy import api

PREAMBLE = """
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dataart_mp import context
from dataart_mp.client import Client
from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.failure import Failure
from dataart_mp.protocol import DataArtClient, Emitted
from dataart_mp.stats import Stats
from dataart_mp.testing import RecordingClient


def sign_up(client: DataArtClient, user: str) -> bool:
    return client.emit_action("signup", user, metadata={"plan": "free"})


class MyMock:
    def emit_action(
        self,
        key: str,
        user_key: str,
        is_anonymous_user: bool = False,
        timestamp: datetime | str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> bool:
        return True

    def emit_actions(self, actions: Iterable[Mapping[str, Any]]) -> Emitted:
        return Emitted(0)

    def identify(self, user_key: str, metadata: Mapping[str, Any] | None = None) -> bool:
        return True

    def flush(self, timeout: float | None = None) -> int:
        return 0

    def close(self, timeout: float | None = None) -> int:
        return 0

    def stats(self) -> Stats:
        return Stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None
"""

RIGHT = """
sign_up(RecordingClient(), "ann")
sign_up(MyMock(), "ann")

with RecordingClient() as recording:
    sign_up(recording, "ann")
    key: str = recording.actions[0].key
    recording.assert_emitted("signup", user_key="ann", metadata__contains={"plan": "free"})
RecordingClient(ClientConfig("key", sample_rate=0.5))


def on_failure(failure: Failure) -> None:
    print(failure.reason)


def scrub(event: dict[str, Any]) -> dict[str, Any] | None:
    return event if event.pop("email", None) else None


config = ClientConfig(
    "key",
    flush_interval=timedelta(seconds=5),
    block_timeout=5,
    http=HTTPOptions(ca_file=Path("ca.pem"), headers={"X-Team": "ads"}),
    on_failure=on_failure,
    before_send=scrub,
    sample_rate={"page-viewed": 0.1},
    default_metadata=lambda: {"app": "shop"},
)
with Client(config) as client:
    sign_up(client, "ann")
    with context.bind(request_id="r1"):
        queued: bool = client.emit_action_nowait("played", "ann")
    rows: list[dict[str, str]] = [{"key": "signup", "user_key": "ann"}]
    accepted: int = client.emit_actions(rows).accepted
    accepted, dropped = client.emit_actions({**row, "metadata": {"n": 1}} for row in rows)
changed: ClientConfig = replace(config, flush_interval=timedelta(seconds=1))
interval: float = config.flush_interval
timeout: float | None = config.block_timeout
workers: int = config.flush_num_workers
authorities: str | None = config.http.ca_file
"""

WRONG = [
    ("sign_up(object(), 'ann')", "arg-type"),
    ("sign_up(MyMock, 'ann')", "arg-type"),
    ("RecordingClient().emit_action(5, 'ann')", "arg-type"),
    ("RecordingClient().emit_action('signup', 'ann', timestamp=5)", "arg-type"),
    ("RecordingClient().emit_actions([('signup', 'ann')])", "list-item"),
    ("RecordingClient().emit_actions({'key': 'signup', 'user_key': 'ann'})", "dict-item"),
    ("RecordingClient().identify('ann', ['plan'])", "arg-type"),
    ("ClientConfig(5)", "arg-type"),
    ("ClientConfig('key', 'https://host')", "call-arg"),
    ("ClientConfig('key', flush_interval='5')", "arg-type"),
    ("ClientConfig('key', flush_num_workers=1.5)", "arg-type"),
    ("ClientConfig('key', overflow='explode')", "arg-type"),
    ("ClientConfig('key', flush_num_wrokers=1)", "call-arg"),
    ("ClientConfig('key', before_send=True)", "arg-type"),
    ("ClientConfig('key', sample_rate='0.5')", "arg-type"),
    ("RecordingClient().assert_emitted('signup', plan='free')", "call-arg"),
    ("ClientConfig('key').flush_interval = 5.0", "misc"),
    ("replace(ClientConfig('key'), flush_interval='5')", "arg-type"),
    ("replace(ClientConfig('key'), flush_intreval=5)", "call-arg"),
    ("HTTPOptions(compression='br')", "arg-type"),
]


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Shared by all tests of this file: reading the stubs of the standard library takes long.
    return tmp_path_factory.getbasetemp() / "mypy"


def check(code: str, directory: Path, cache: Path) -> list[str]:
    """Type-check a user's module with `mypy --strict`, and return the messages."""
    module = directory / "user.py"
    module.write_text(PREAMBLE + textwrap.dedent(code))
    flags = ["--strict", "--no-error-summary", "--config-file="]
    output, error, _ = api.run([*flags, "--cache-dir", str(cache), str(module)])
    assert not error
    return output.splitlines()


def test_a_custom_mock_and_a_recording_client_are_accepted_as_a_dataart_client(
    tmp_path: Path, cache: Path
) -> None:
    assert check(RIGHT, tmp_path, cache) == []


def test_only_the_wrong_lines_are_reported(tmp_path: Path, cache: Path) -> None:
    messages = check("\n".join(line for line, _ in WRONG), tmp_path, cache)
    first = PREAMBLE.count("\n") + 1
    found = {
        (int(message.split(":")[1]) - first, message.rpartition("[")[2].rstrip("]"))
        for message in messages
        if ": error:" in message
    }
    assert found == {(index, code) for index, (_, code) in enumerate(WRONG)}


def test_an_editor_shows_the_type_that_a_setting_accepts(tmp_path: Path, cache: Path) -> None:
    (shown,) = check("reveal_type(ClientConfig.__init__)", tmp_path, cache)
    assert "flush_interval: float | datetime.timedelta =" in shown
    assert "Setting" not in shown
