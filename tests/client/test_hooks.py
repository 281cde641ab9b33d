"""Hooks: what `before_send`, `sample_rate`, `default_metadata` and the context do to events."""

import itertools
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import freezegun
import pytest

from dataart_mp import (
    Client,
    ClientConfig,
    ClosedError,
    ConfigError,
    DataArtClient,
    EventError,
    context,
)
from dataart_mp.config.hooks import Event
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.testing import RecordingClient
from tests.client.tools import TINY
from tests.support import Configure, wait_until

Make = Callable[..., DataArtClient]


@pytest.fixture(params=["real", "recording"])
def make(request: pytest.FixtureRequest) -> Any:
    """Creates clients with these hooks: a real one, or a recording one."""
    clients: list[DataArtClient] = []

    def made(**settings: Any) -> DataArtClient:
        config = ClientConfig("key", base_url=url, **settings)
        clients.append(Client(config) if request.param == "real" else RecordingClient(config))
        return clients[-1]

    url = request.getfixturevalue("platform").url if request.param == "real" else "http://h"
    yield made
    for client in clients:
        client.close()


def sent(client: DataArtClient, platform: SinkProcess) -> list[dict[str, Any]]:
    """Return the actions that arrived, by key, with what a hook may change."""
    assert client.flush() == 0
    if isinstance(client, RecordingClient):
        events = [vars(action) for action in client.actions]
    else:
        events = platform.events()
    fields = ("key", "user_key", "is_anonymous_user", "metadata")
    return sorted(
        ({name: event[name] for name in fields} for event in events), key=lambda e: str(e["key"])
    )


def metadata_sent(client: DataArtClient, platform: SinkProcess) -> list[Any]:
    return [event["metadata"] for event in sent(client, platform)]


def scrub(event: Event) -> Event | None:
    if event.get("key") == "internal":
        return None
    event["metadata"].pop("email", None)
    event["metadata"].get("user", {}).pop("email", None)
    return event


def unwell(event: Event) -> Event:
    raise ValueError(f"the secret {event['metadata']}")


# before_send


def test_before_send_changes_and_drops_actions(make: Make, platform: SinkProcess) -> None:
    client = make(before_send=scrub)
    nested = {"email": "ann@example.com", "user": {"email": "x", "id": 7}}
    assert client.emit_action("play", "ann", metadata=nested)
    assert not client.emit_action("internal", "ann")
    accepted, dropped = client.emit_actions(
        {"key": key, "user_key": "bob", "metadata": nested} for key in ("internal", "stop")
    )
    assert (accepted, dropped) == (2, 1)
    assert metadata_sent(client, platform) == [{"user": {"id": 7}}] * 2
    assert nested == {"email": "ann@example.com", "user": {"email": "x", "id": 7}}
    stats = client.stats()
    assert stats.balanced
    assert (stats.accepted, stats.delivered, stats.dropped) == (4, 2, {"before_send": 2})


def test_before_send_sees_the_event_as_plain_json_values(make: Make) -> None:
    seen: list[Event] = []

    def see(event: Event) -> Event:
        seen.append(event)
        return event

    client = make(before_send=see)
    client.emit_action("play", "ann", True, "2021-05-04T10:11:12.5+02:00", {"tags": ("a", {"b"})})
    client.emit_action("play", "ann")
    client.identify("ann", {"plan": "free"})
    assert seen[0] == {
        "key": "play",
        "user_key": "ann",
        "is_anonymous_user": True,
        "timestamp": "2021-05-04T10:11:12.5+02:00",
        "metadata": {"tags": ["a", ["b"]]},
    }
    assert seen[1]["metadata"] == {}
    assert isinstance(seen[1]["timestamp"], str)
    assert seen[2] == {"user_key": "ann", "metadata": {"plan": "free"}}


def test_metadata_that_is_none_stays_none(make: Make, platform: SinkProcess) -> None:
    client = make(before_send=scrub)
    client.emit_action("play", "ann")
    assert metadata_sent(client, platform) == [None]


def test_before_send_sees_identities_too(make: Make, platform: SinkProcess) -> None:
    client = make(before_send=lambda event: None if event["user_key"] == "bob" else scrub(event))
    assert client.identify("ann", {"email": "ann@example.com", "plan": "free"})
    assert not client.identify("bob")
    assert client.flush() == 0
    if isinstance(client, RecordingClient):
        assert [vars(one) for one in client.identities] == [
            {"user_key": "ann", "metadata": {"plan": "free"}}
        ]
    else:
        assert platform.stats()["identities"] == 1
    assert client.stats().dropped == {"before_send": 1}


def test_before_send_may_return_another_event(make: Make, platform: SinkProcess) -> None:
    client = make(before_send=lambda event: {"key": "other", "user_key": event["user_key"]})
    client.emit_action("play", "ann", True, metadata={"song": 7})
    assert sent(client, platform) == [
        {"key": "other", "user_key": "ann", "is_anonymous_user": False, "metadata": None}
    ]


def test_an_exception_drops_the_event_and_is_logged_without_its_content(
    make: Make, platform: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    client = make(before_send=unwell)
    for _ in range(100):
        assert not client.emit_action("play", "ann", metadata={"password": "hunter2"})
    assert client.emit_actions([{"key": "play", "user_key": "ann"}]) == (1, 1)
    assert not client.identify("ann")
    assert sent(client, platform) == []
    assert client.stats().dropped == {"before_send raised": 102}
    assert client.stats().balanced
    client.close()
    text = caplog.text
    assert "1 event dropped: before_send raised ValueError" in text
    assert f"{__file__}:" in text
    assert "in unwell" in text
    assert "hunter2" not in text
    assert "secret" not in text
    assert len(caplog.records) <= 2


def test_what_interrupts_the_process_passes_through_before_send(make: Make) -> None:
    def interrupted(event: Event) -> Event:
        raise KeyboardInterrupt

    client = make(before_send=interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.emit_action("play", "ann")
    assert client.stats().accepted == 0


RETURNED: list[tuple[object, str]] = [
    ([1], "before_send returned an object of type list; return the event as a dict, or None"),
    (True, "before_send returned an object of type bool; return"),
    ({"key": "a"}, "user_key: is missing in the event that before_send returned"),
    ({"key": "a", "user_key": "b", "song": 7}, "before_send returned an event with 'song', which"),
    ({"key": "a", "user_key": ""}, "user_key: str ('') is refused; must not be empty"),
    (
        {"key": "a", "user_key": "b", "metadata": {"x": [b"\0"]}},
        "metadata.x[0]: bytes (b'\\x00', 1 bytes) cannot be encoded; decode it or encode it as "
        "base64 text (in the event that before_send returned)",
    ),
    ({"key": "a", "user_key": "b", "timestamp": "soon"}, "timestamp:"),
]


@pytest.mark.parametrize(("returned", "message"), RETURNED)
def test_what_before_send_returns_is_validated_and_the_error_names_the_field(
    make: Make, returned: Any, message: str
) -> None:
    client = make(before_send=lambda event: returned)
    with pytest.raises(EventError) as caught:
        client.emit_action("play", "ann")
    assert str(caught.value).startswith(message)
    with pytest.raises(EventError, match=r"^actions\[0\]"):
        client.emit_actions([{"key": "play", "user_key": "ann"}])
    assert client.stats().accepted == 0


def test_an_invalid_event_is_refused_before_before_send_sees_it(make: Make) -> None:
    client = make(before_send=unwell)
    with pytest.raises(EventError, match="user_key"):
        client.emit_action("play", "")
    with pytest.raises(EventError, match=r"metadata\.raw"):
        client.emit_action("play", "ann", metadata={"raw": b"\0"})
    assert client.stats().accepted == 0


def test_the_size_of_the_event_that_before_send_returns_counts(
    make: Make, platform: SinkProcess
) -> None:
    def shorten(event: Event) -> Event:
        if event["key"] == "cut":
            event["metadata"]["text"] = event["metadata"]["text"][:10]
        return event

    client = make(before_send=shorten, max_request_bytes=2048)
    large = {"text": "x" * 4000}
    assert client.emit_action("cut", "ann", metadata=large)
    with pytest.raises(EventError, match="a request holds"):
        client.emit_action("whole", "ann", metadata=large)
    assert metadata_sent(client, platform) == [{"text": "x" * 10}]


def test_an_event_that_before_send_emits_does_not_call_it_again(
    make: Make, platform: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    results = []

    def emit(event: Event) -> Event:
        results.append(client.emit_action("inner", "ann"))
        return event

    client = make(before_send=emit)
    assert client.emit_action("outer", "ann")
    assert results == [False]
    assert [event["key"] for event in sent(client, platform)] == ["outer"]
    assert client.stats().dropped == {"before_send raised": 1}
    assert "for an event that before_send itself emits" in caplog.text


# sample_rate


def test_sampled_out_actions_are_counted_and_identities_are_never_sampled_out(
    make: Make, platform: SinkProcess
) -> None:
    client = make(sample_rate={"tick": 0.5, "never": 0})
    users = [f"user-{number}" for number in range(100)]
    kept = [user for user in users if client.emit_action("tick", user)]
    assert 25 < len(kept) < 75
    again = client.emit_actions({"key": "tick", "user_key": user} for user in users)
    assert again == (100, 100 - len(kept))
    assert not client.emit_action("never", "ann")
    assert client.emit_action("buy", "ann")
    assert client.identify("ann")
    events = sent(client, platform)
    assert {event["user_key"] for event in events if event["key"] == "tick"} == set(kept)
    stats = client.stats()
    assert stats.balanced
    assert stats.dropped == {"sampled": 201 - 2 * len(kept)}
    assert stats.delivered == 2 * len(kept) + 2


def test_invalid_keys_of_a_sampled_action_are_refused(make: Make) -> None:
    client = make(sample_rate=0)
    for key, user_key in (("", "ann"), ("tick", ""), (7, "ann"), ("tick", None)):
        with pytest.raises(EventError):
            client.emit_action(key, user_key)  # type: ignore[arg-type]
    assert client.stats().accepted == 0


def test_what_is_sampled_out_never_reaches_before_send(make: Make) -> None:
    client = make(sample_rate=0, before_send=unwell)
    assert not client.emit_action("tick", "ann")
    assert client.stats().dropped == {"sampled": 1}


# default_metadata


def test_default_metadata_is_in_each_action_and_in_no_identity(
    make: Make, platform: SinkProcess
) -> None:
    client = make(default_metadata={"app": "shop", "at": {"zone"}})
    client.emit_action("a", "ann")
    client.emit_action("b", "ann", metadata={"app": "own"})
    client.emit_actions([{"key": "c", "user_key": "ann", "metadata": {"song": 7}}])
    client.identify("ann", {"plan": "free"})
    assert metadata_sent(client, platform) == [
        {"app": "shop", "at": ["zone"]},
        {"app": "own", "at": ["zone"]},
        {"app": "shop", "at": ["zone"], "song": 7},
    ]
    if isinstance(client, RecordingClient):
        assert client.identities[0].metadata == {"plan": "free"}


def test_a_function_makes_default_metadata_for_each_action(
    make: Make, platform: SinkProcess
) -> None:
    numbers = iter(range(10))
    client = make(default_metadata=lambda: {"number": next(numbers)})
    client.emit_action("a", "ann")
    client.emit_action("b", "ann")
    assert metadata_sent(client, platform) == [{"number": 0}, {"number": 1}]


def test_an_action_is_sent_without_default_metadata_if_its_function_raises(
    make: Make, platform: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    def tenant() -> Mapping[str, str]:
        raise LookupError("hunter2")

    client = make(default_metadata=tenant)
    for _ in range(10):
        assert client.emit_action("a", "ann", metadata={"song": 7})
    assert metadata_sent(client, platform) == [{"song": 7}] * 10
    (record,) = caplog.records
    assert "1 event emitted without default_metadata, which raised LookupError" in record.message
    assert "hunter2" not in record.message


@pytest.mark.parametrize("returned", [None, ["app"], "app"])
def test_a_function_that_returns_no_dict_is_an_error_of_its_name(make: Make, returned: Any) -> None:
    client = make(default_metadata=lambda: returned)
    with pytest.raises(EventError, match=r"^default_metadata: the function returned .*return a "):
        client.emit_action("a", "ann")


def test_default_metadata_that_cannot_be_sent_is_refused_by_the_constructor(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"^default_metadata\.raw: bytes"):
        make(default_metadata={"raw": b"\0"})


@pytest.mark.parametrize("metadata", [[1], "text", 7])
def test_metadata_of_another_type_is_refused_as_without_hooks(make: Make, metadata: Any) -> None:
    client = make(default_metadata={"app": "shop"})
    plain = make()
    with pytest.raises(EventError) as caught:
        client.emit_action("a", "ann", metadata=metadata)
    with pytest.raises(EventError) as expected:
        plain.emit_action("a", "ann", metadata=metadata)
    assert str(caught.value) == str(expected.value)


def test_a_closed_client_refuses_events_that_a_hook_would_drop(make: Make) -> None:
    client = make(sample_rate=0)
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.emit_action("a", "ann")
    assert client.stats().accepted == 0


# Context


def test_a_client_that_was_created_before_the_first_bind_uses_what_is_bound(
    platform: SinkProcess,
) -> None:
    """In a new process, because the first bind of this one may be long ago."""
    code = f"""
from dataart_mp import Client, ClientConfig, context
import dataart_mp.native

client = Client(ClientConfig("key", base_url={platform.url!r}))
emit = client.emit_action
emit("a", "ann", metadata={{"n": 1}})
assert (client._appender is not None) == dataart_mp.native.compiled, "nothing is bound yet"
with context.bind(request="r1"):
    emit("b", "ann")
    client.emit_actions([{{"key": "c", "user_key": "ann"}}])
emit("d", "ann", metadata={{"n": 2}})
assert client.close() == 0
"""
    subprocess.run([sys.executable, "-X", "dev", "-c", code], check=True, timeout=60)
    found = {event["key"]: event["metadata"] for event in platform.events()}
    request = {"request": "r1"}
    assert found == {"a": {"n": 1}, "b": request, "c": request, "d": {"n": 2}}


# Processes and threads


def test_what_hooks_drop_is_counted_over_all_processes_and_threads(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(sample_rate={"never": 0}, before_send=scrub)) as client:
        client.emit_action("play", "ann")

        def emit() -> None:
            for _ in range(200):
                client.emit_action("never", "ann")
                client.emit_action("internal", "ann")
                client.emit_action("play", "ann", metadata={"email": "x"})

        threads = [threading.Thread(target=emit) for _ in range(4)]
        children = [multiprocessing.get_context("fork").Process(target=emit) for _ in range(2)]
        for child, thread in itertools.zip_longest(children, threads):
            if child is not None:
                child.start()
            thread.start()
        for each in threads:
            each.join()
        for child in children:
            child.join()
        wait_until(lambda: client.stats().pending == 0)  # of the children, too
        stats = client.stats()
    assert stats.balanced
    assert stats.dropped == {"sampled": 1200, "before_send": 1200}
    assert stats.delivered == sink.stats()["actions"] == 1201


def test_counts_of_a_killed_process_remain(config: Configure) -> None:
    with Client(config(sample_rate=0)) as client:
        pid = os.fork()
        if not pid:
            for _ in range(50):
                client.emit_action("never", "ann")
            os.kill(os.getpid(), 9)
        os.waitpid(pid, 0)
        client.emit_action("never", "ann")
        assert client.stats().dropped == {"sampled": 51}
        assert client.stats().balanced


def _emit_in_child(client: Client) -> None:
    client.emit_action("internal", "ann")
    client.emit_action("play", "ann", metadata={"email": "ann@example.com"})


def test_a_spawned_child_has_the_hooks(config: Configure, sink: SinkProcess) -> None:
    with Client(config(before_send=scrub)) as client:
        child = multiprocessing.get_context("spawn").Process(target=_emit_in_child, args=(client,))
        child.start()
        child.join()
        assert child.exitcode == 0
    sink.wait_for(lambda stats: stats["actions"] == 1)
    assert [event["metadata"] for event in sink.events()] == [{}]
    assert client.stats().dropped == {"before_send": 1}


def test_a_hook_that_cannot_be_passed_to_a_spawned_child_is_refused(config: Configure) -> None:
    with Client(config(before_send=lambda event: event)) as client:
        child = multiprocessing.get_context("spawn").Process(target=_emit_in_child, args=(client,))
        with pytest.raises(ConfigError, match=r"^before_send=.*define it at the top of a module"):
            child.start()


def test_a_custom_logger_level_hides_nothing_of_the_balance(
    config: Configure, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "dataart_mp")
    with Client(config(before_send=unwell)) as client, context.bind(a=1):
        client.emit_action("play", "ann")
        assert client.stats().dropped == {"before_send raised": 1}


# emit_action_nowait, and time


def test_hooks_apply_to_calls_that_never_wait(config: Configure, sink: SinkProcess) -> None:
    with Client(config(before_send=scrub, sample_rate={"never": 0})) as client:
        assert client.emit_action_nowait("play", "ann", metadata={"email": "x", "song": 7})
        assert not client.emit_action_nowait("internal", "ann")
        assert not client.emit_action_nowait("never", "ann")
        assert client.flush() == 0
        assert client.stats().dropped == {"before_send": 1, "sampled": 1}
    assert [event["metadata"] for event in sink.events()] == [{"song": 7}]


def test_a_call_that_never_waits_drops_and_counts_in_spite_of_overflow(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "hang"})
    with Client(config(overflow="raise", **TINY)) as client:
        accepted = sum(client.emit_action_nowait("tick", "ann") for _ in range(100))
        assert 6 <= accepted < 100
        assert client.stats().dropped == {"buffer full": 100 - accepted}
        with pytest.raises(EventError, match="user_key"):
            client.emit_action_nowait("tick", "")
        sink.clear_faults()
        assert client.flush(30) == 0
        assert client.stats().balanced
    with pytest.raises(ClosedError):
        client.emit_action_nowait("tick", "ann")


@pytest.mark.parametrize("hooks", [{"before_send": scrub}, {"default_metadata": {"a": 1}}], ids=str)
def test_a_test_that_freezes_the_time_freezes_timestamps_of_events_with_hooks(
    config: Configure, sink: SinkProcess, hooks: dict[str, Any]
) -> None:
    with Client(config(**hooks)) as client:
        client.emit_action("first", "ann")  # opens a frame, so that the next call may be in C
        with freezegun.freeze_time("2021-05-04T10:11:12Z"):
            client.emit_action("frozen", "ann")
            client.emit_actions([{"key": "frozen", "user_key": "ann"}])
    times = [event["timestamp"] for event in sink.events(key="frozen")]
    assert times == ["2021-05-04T10:11:12+00:00"] * 2


def test_equal_events_get_the_same_id_unless_they_have_one(
    make: Make, platform: SinkProcess
) -> None:
    client = make(event_id="_id")
    moment = "2021-05-04T10:11:12Z"
    for key in ("a", "a", "b"):
        client.emit_action(key, "ann", timestamp=moment, metadata={"n": 1})
    client.emit_action("c", "ann", metadata={"_id": 7})
    first, second, other, own = metadata_sent(client, platform)
    assert first == second != other
    assert {len(metadata["_id"]) for metadata in (first, other)} == {32}
    assert own == {"_id": 7}
