"""A recording client validates as `Client` does, and keeps what the platform would receive."""

import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from dataart_mp import Client, ClientConfig
from dataart_mp.errors import ActionsError, ClosedError, EventError, short_repr
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.protocol import DataArtClient
from dataart_mp.stats import Stats
from dataart_mp.testing import Action, Identity, RecordingClient
from dataart_mp.transport import envelope

MOMENT = datetime(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)


@pytest.fixture
def client() -> RecordingClient:
    return RecordingClient()


def test_an_action_is_recorded_as_the_platform_would_receive_it(client: RecordingClient) -> None:
    assert client.emit_action("signup", "ann", True, MOMENT, {"tags": {"new"}, "at": (1, 2)})
    assert client.actions == [
        Action("signup", "ann", True, MOMENT, {"tags": ["new"], "at": [1, 2]}),
    ]


def test_an_identity_is_recorded_as_the_platform_would_receive_it(client: RecordingClient) -> None:
    assert client.identify("ann", {"plan": "free"})
    assert client.identify("bob")
    assert client.identities == [Identity("ann", {"plan": "free"}), Identity("bob", None)]


def test_an_action_without_a_timestamp_gets_the_current_time(client: RecordingClient) -> None:
    before = datetime.now(UTC)
    client.emit_action("signup", "ann")
    assert before <= client.actions[0].timestamp <= datetime.now(UTC)


def test_events_are_recorded_in_order(client: RecordingClient) -> None:
    for key in "abc":
        client.emit_action(key, "ann")
    assert [action.key for action in client.actions] == ["a", "b", "c"]


def test_recorded_events_do_not_change_with_the_caller_s_objects(client: RecordingClient) -> None:
    metadata = {"seats": [1]}
    client.emit_action("signup", "ann", metadata=metadata)
    metadata["seats"].append(2)
    client.actions.clear()
    assert client.actions[0].metadata == {"seats": [1]}


LARGE = {"text": "a" * ClientConfig.max_request_bytes}
ACTION = {"key": "signup", "user_key": "ann"}

REFUSED: list[tuple[str, tuple[Any, ...]]] = [
    *[
        ("emit_action", arguments)
        for arguments in [
            ("", "ann"),
            ("signup", ""),
            ("signup", 7),
            (b"signup", "ann"),
            (None, None),
            ("signup", "ann", None),
            ("signup", "ann", 1),
            ("signup", "ann", "yes"),
            ("signup", "ann", False, "yesterday"),
            ("signup", "ann", False, "2021-05-04T10:11:12"),
            ("signup", "ann", False, 1620123072),
            ("signup", "ann", False, None, {"raw": b"x"}),
            ("signup", "ann", False, None, [1]),
            ("signup", "ann", False, None, {"n": 2**64}),
            ("signup", "ann", False, None, {"raw": orjson.Fragment(b'"a\n"')}),
            ("signup", "ann", False, None, LARGE),
        ]
    ],
    *[
        ("identify", arguments)
        for arguments in [("",), (7,), ("ann", {"raw": b"x"}), ("ann", [1]), ("ann", LARGE)]
    ],
    *[
        ("emit_actions", (actions,))
        for actions in [
            [{"key": "signup"}],
            [{**ACTION, "song": 1}],
            [{**ACTION, "key": ""}],
            [{**ACTION, "metadata": LARGE}],
            [{**ACTION, "is_anonymous_user": 1, "timestamp": None, "metadata": None}],
            ["signup"],
            [None],
            ACTION,
            7,
            None,
        ]
    ],
]


@pytest.fixture(scope="module")
def real() -> Iterator[Client]:
    """A client that sends nothing, because it accepts nothing."""
    client = Client(ClientConfig("key", base_url="http://127.0.0.1:1"))
    yield client
    assert replace(client.stats(), concurrency=0) == Stats()  # a worker may have started
    client.close()


def error_of(client: DataArtClient, method: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - compared below
        getattr(client, method)(*arguments)
    return type(caught.value), str(caught.value), getattr(caught.value, "path", None)


@pytest.mark.parametrize(("method", "arguments"), REFUSED, ids=lambda part: short_repr(part, 60))
def test_what_the_real_client_refuses_is_refused_with_the_same_error(
    client: RecordingClient, real: Client, method: str, arguments: tuple[Any, ...]
) -> None:
    assert error_of(client, method, arguments) == error_of(real, method, arguments)
    assert (client.actions, client.identities, client.stats()) == ([], [], Stats())
    assert client.emit_action("signup", "ann"), "the client is not closed"


@pytest.mark.parametrize("timeout", [math.nan, math.inf, -1, -0.001, "1", True, 10**400, []])
def test_an_invalid_timeout_is_refused_also_by_a_closed_client(
    client: RecordingClient, timeout: Any
) -> None:
    for _ in range(2):
        for wait in (client.flush, client.close):
            with pytest.raises(ValueError, match=r"^timeout=.*: must be seconds"):
                wait(timeout)
        client.close(0)


def test_a_closed_client_refuses_as_the_real_one_does(client: RecordingClient) -> None:
    with Client(ClientConfig("key", base_url="http://127.0.0.1:1")) as real:
        pass
    client.close()
    calls: list[tuple[str, tuple[Any, ...]]] = [
        *REFUSED,  # an invalid event is invalid first
        ("emit_action", ("signup", "ann")),
        ("identify", ("ann",)),
        ("emit_actions", ([ACTION],)),
        ("emit_actions", ([],)),
        ("flush", ()),
        ("flush", (1.0,)),
    ]
    for method, arguments in calls:
        kind, text, path = error_of(client, method, arguments)
        expected = error_of(real, method, arguments)
        if expected[0] is ClosedError:  # its text may be that of the queue
            assert kind is ClosedError, (method, arguments)
        else:
            assert (kind, text, path) == expected
    assert client.close() == real.close() == 0
    with client as same:
        assert same is client


def test_an_event_as_large_as_a_request_is_recorded() -> None:
    client = RecordingClient(max_request_bytes=1024)
    size = (
        1024
        - envelope.MAX_BYTES
        - len(encode_action("a", "ann", metadata={"t": ""}, timestamp=MOMENT))
    )
    assert client.emit_action("a", "ann", timestamp=MOMENT, metadata={"t": "x" * size})
    with pytest.raises(EventError, match="shorten its metadata, or raise max_request_bytes"):
        client.emit_action("a", "ann", timestamp=MOMENT, metadata={"t": "x" * (size + 1)})
    assert len(client.actions) == 1


def test_of_many_actions_only_those_that_are_too_large_are_refused(
    client: RecordingClient,
) -> None:
    def made(number: int) -> dict[str, Any]:
        metadata = LARGE if number in (0, 3, 4, 600) else None
        return {**ACTION, "key": f"k{number}", "metadata": metadata}

    with pytest.raises(ActionsError) as caught:
        client.emit_actions([made(number) for number in range(601)])
    assert caught.value.accepted == len(client.actions) == client.stats().accepted == 597
    assert [str(error).partition(":")[0] for error in caught.value.errors] == [
        "actions[0]",
        "actions[3]",
        "actions[4]",
        "actions[600]",
    ]


def test_a_fragment_with_a_raw_line_break_is_refused(client: RecordingClient) -> None:
    for text in (b'{"a":\r1}', b'{"a":\n1}'):
        metadata = {"raw": orjson.Fragment(text)}
        with pytest.raises(ActionsError, match="raw line break"):
            client.emit_actions([{**ACTION, "metadata": metadata}] * 3)
        with pytest.raises(EventError, match="raw line break"):
            client.identify("ann", metadata)
    assert (client.actions, client.identities) == ([], [])


def test_nothing_is_ever_pending(client: RecordingClient) -> None:
    client.emit_action("signup", "ann")
    assert client.flush() == 0
    assert client.flush(timeout=1.0) == 0
    assert client.close(timeout=1.0) == 0


def test_a_closed_client_refuses_events_but_keeps_recorded_ones(
    client: RecordingClient,
) -> None:
    client.emit_action("signup", "ann")
    assert client.close() == 0
    assert client.close() == 0
    with pytest.raises(ClosedError):
        client.emit_action("signup", "bob")
    with pytest.raises(ClosedError):
        client.identify("bob")
    with pytest.raises(ClosedError):
        client.flush()
    assert [action.user_key for action in client.actions] == ["ann"]


def test_leaving_the_with_block_closes(client: RecordingClient) -> None:
    with client as same:
        assert same is client
        same.identify("ann")
    with pytest.raises(ClosedError):
        client.identify("ann")


def test_stats_count_all_events_as_delivered(client: RecordingClient) -> None:
    client.emit_action("signup", "ann", timestamp=MOMENT)
    client.identify("ann")
    size = len(encode_action("signup", "ann", timestamp=MOMENT)) + len(encode_identity("ann"))
    assert client.stats() == Stats(accepted=2, delivered=2, bytes=size)
    assert client.stats().balanced


def test_clear_removes_all_recorded_events(client: RecordingClient) -> None:
    client.emit_action("signup", "ann")
    client.identify("ann")
    client.clear()
    assert (client.actions, client.identities, client.stats()) == ([], [], Stats())
    client.identify("bob")
    assert client.stats().accepted == 1


def test_the_repr_shows_the_state(client: RecordingClient) -> None:
    client.emit_action("signup", "ann")
    assert repr(client) == "<RecordingClient open | actions 1 | identities 0>"
    client.close()
    assert repr(client) == "<RecordingClient closed | actions 1 | identities 0>"


def test_events_of_concurrent_threads_are_all_recorded(client: RecordingClient) -> None:
    def emit() -> None:
        for _ in range(200):
            client.emit_action("signup", "ann")
            client.identify("ann")

    threads = [threading.Thread(target=emit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(client.actions), len(client.identities)) == (1600, 1600)
    assert client.stats().accepted == 3200
    assert client.stats().balanced


def test_two_clients_do_not_affect_each_other() -> None:
    one, other = RecordingClient(), RecordingClient()
    one.identify("ann")
    one.close()
    other.identify("bob")
    assert other.identities == [Identity("bob", None)]


def test_a_recording_client_is_a_dataart_client(client: RecordingClient) -> None:
    assert isinstance(client, DataArtClient)
    assert not isinstance(object(), DataArtClient)
