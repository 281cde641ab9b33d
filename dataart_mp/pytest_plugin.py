"""The plugin for pytest, which finds it by its entry point: fixtures for an application's tests.

    def test_a_signup_is_recorded(dataart_client, assert_emitted):
        sign_up(dataart_client, "ann")
        assert_emitted("signed-up", user_key="ann", metadata__contains={"plan": "free"})

Importing it imports nothing of the package but `errors`; a test run that uses no fixture pays for
nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dataart_mp.config import ClientConfig
    from dataart_mp.devsink import SinkProcess
    from dataart_mp.testing import RecordingClient

_ARRIVAL_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_NO_SOURCE: Final = (
    "this test uses neither dataart_client nor dataart_sink, of which assert_emitted lists the "
    "actions; pass one of them to the code under test"
)


class AssertEmitted(Protocol):
    """The type of the fixture `assert_emitted`."""

    def __call__(
        self,
        key: str,
        *,
        user_key: Any = ...,
        is_anonymous_user: Any = ...,
        timestamp: Any = ...,
        metadata: Any = ...,
        metadata__contains: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> dict[str, Any]:
        """Check that an action was emitted; return the first one, as a dict."""
        ...


@pytest.fixture
def dataart_config() -> ClientConfig | None:
    """The settings of `dataart_client`; define it to test with the hooks of an application."""
    return None


@pytest.fixture
def dataart_client(dataart_config: ClientConfig | None) -> RecordingClient:
    """A client that records events, and refuses what the real client refuses."""
    from dataart_mp.testing import RecordingClient

    return RecordingClient(dataart_config)


@pytest.fixture(scope="session")
def _dataart_sink_process() -> Iterator[SinkProcess]:
    from dataart_mp.devsink import SinkProcess

    with SinkProcess() as sink:
        yield sink


@pytest.fixture
def dataart_sink(_dataart_sink_process: SinkProcess) -> SinkProcess:
    """A local sink that has received nothing; pass `dataart_sink.url` to the client as `base_url`.

    One sink serves all tests of the run, one after another. It needs the extra `sink`.
    """
    _dataart_sink_process.reset()
    return _dataart_sink_process


@pytest.fixture
def assert_emitted(request: pytest.FixtureRequest) -> AssertEmitted:
    """Checks that an action was recorded by `dataart_client`, or has arrived at `dataart_sink`.

    It looks at whichever of both the test uses. It waits up to 10 seconds for an action to arrive
    at the sink. The arguments are those of `RecordingClient.assert_emitted`.
    """
    from dataart_mp import clock
    from dataart_mp.expectation import ANYTHING, check, expect_action

    has_source = bool({"dataart_client", "dataart_sink"} & {*request.fixturenames})
    events, waits = _emitted(request)

    def assert_emitted(
        key: str,
        *,
        user_key: Any = ANYTHING,
        is_anonymous_user: Any = ANYTHING,
        timestamp: Any = ANYTHING,
        metadata: Any = ANYTHING,
        metadata__contains: Mapping[str, Any] | None = None,
        times: int | None = None,
    ) -> dict[str, Any]:
        __tracebackhide__ = True
        expectation = expect_action(
            key,
            user_key=user_key,
            is_anonymous_user=is_anonymous_user,
            timestamp=timestamp,
            metadata=metadata,
            metadata__contains=metadata__contains,
        )
        deadline = clock.monotonic() + (_ARRIVAL_SECONDS if waits else 0.0)
        wanted = 1 if times is None else times
        while len(expectation.find(emitted := events())) < wanted and clock.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        try:
            found = check(expectation, emitted, times)
        except AssertionError as error:
            if not has_source and not emitted:
                error.add_note(_NO_SOURCE)
            raise
        return dict(found[0]) if found else {}

    return assert_emitted


def _emitted(request: pytest.FixtureRequest) -> tuple[Callable[[], list[Mapping[str, Any]]], bool]:
    """Return what lists the emitted actions, and whether they may arrive later."""
    sinks = ["dataart_sink"] if "dataart_sink" in request.fixturenames else []
    clients = ["dataart_client"] if "dataart_client" in request.fixturenames or not sinks else []
    sources = [request.getfixturevalue(name) for name in (*clients, *sinks)]

    def events() -> list[Mapping[str, Any]]:
        listed: list[Mapping[str, Any]] = []
        for source in sources:
            listed += map(vars, source.actions) if hasattr(source, "actions") else source.events()
        return listed

    return events, bool(sinks)
