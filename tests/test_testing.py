"""A recording client validates as `Client` does, and keeps what the platform would receive."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp.errors import ClosedError, EventError
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.protocol import DataArtClient
from dataart_mp.stats import Stats
from dataart_mp.testing import Action, Identity, RecordingClient

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


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "ann"),
        ("signup", ""),
        ("signup", "ann", None),
        ("signup", "ann", False, "yesterday"),
        ("signup", "ann", False, None, {"raw": b"x"}),
        ("signup", "ann", False, None, [1]),
    ],
    ids=repr,
)
def test_an_action_that_the_real_client_refuses_is_refused(
    client: RecordingClient, arguments: Any
) -> None:
    with pytest.raises(EventError) as real:
        encode_action(*arguments)
    with pytest.raises(EventError) as recorded:
        client.emit_action(*arguments)
    assert (str(recorded.value), recorded.value.path) == (str(real.value), real.value.path)
    assert client.actions == []
    assert client.stats() == Stats()


def test_an_identity_that_the_real_client_refuses_is_refused(
    client: RecordingClient,
) -> None:
    with pytest.raises(EventError, match=r"^metadata\.raw: bytes"):
        client.identify("ann", {"raw": b"x"})
    assert client.identities == []


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
    assert [action.user_key for action in client.actions] == ["ann"]
    assert client.flush() == 0


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
