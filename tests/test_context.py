"""Metadata that is bound in a context is in its actions, and in no others."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest

from dataart_mp import ClientConfig, EventError, context
from dataart_mp.testing import RecordingClient


@pytest.fixture(autouse=True)
def _unbound() -> Iterator[None]:
    yield
    context.clear()


@pytest.fixture
def client() -> RecordingClient:
    return RecordingClient()


def emitted(client: RecordingClient) -> list[object]:
    return [action.metadata for action in client.actions]


def test_what_is_bound_is_in_each_action_until_it_is_unbound(client: RecordingClient) -> None:
    context.bind(request="r1", tenant="acme")
    client.emit_action("a", "ann")
    client.emit_actions([{"key": "b", "user_key": "ann"}])
    context.unbind("request", "unknown")
    client.emit_action("c", "ann")
    context.clear()
    client.emit_action("d", "ann")
    both = {"request": "r1", "tenant": "acme"}
    assert emitted(client) == [both, both, {"tenant": "acme"}, None]


def test_a_with_block_restores_what_was_bound_before(client: RecordingClient) -> None:
    context.bind(a=1, b=2)
    with context.bind(b=3, c=4):
        context.bind(d=5)  # is not undone, because this block did not bind it
        client.emit_action("inside", "ann")
    assert context.bound() == {"a": 1, "b": 2, "d": 5}
    assert emitted(client) == [{"a": 1, "b": 3, "c": 4, "d": 5}]


def test_a_with_block_restores_after_an_exception() -> None:
    with pytest.raises(KeyError), context.bind(a=1):
        raise KeyError
    assert context.bound() == {}


def test_the_call_takes_precedence_over_the_context_and_that_over_the_default() -> None:
    config = ClientConfig("key", default_metadata={"a": "default", "b": "default", "c": "default"})
    client = RecordingClient(config)
    with context.bind(b="bound", c="bound"):
        client.emit_action("play", "ann", metadata={"c": "call"})
    assert emitted(client) == [{"a": "default", "b": "bound", "c": "call"}]


def test_an_identity_gets_nothing_because_it_describes_a_user(client: RecordingClient) -> None:
    with context.bind(request="r1"):
        client.identify("ann", {"plan": "free"})
    assert client.identities[0].metadata == {"plan": "free"}


def test_the_caller_s_metadata_is_not_changed(client: RecordingClient) -> None:
    metadata = {"song": 7}
    with context.bind(request="r1"):
        client.emit_action("play", "ann", metadata=metadata)
    assert metadata == {"song": 7}


def test_later_changes_of_a_bound_value_have_no_effect(client: RecordingClient) -> None:
    tags = ["a"]
    with context.bind(tags=tags):
        tags.append("b")
        client.emit_action("play", "ann")
    assert emitted(client) == [{"tags": ["a"]}]


@pytest.mark.parametrize("value", [b"raw", {"deep": [object()]}, 2**64, "\ud800"])
def test_a_value_that_cannot_be_sent_is_refused_where_it_is_bound(value: object) -> None:
    with pytest.raises(EventError) as caught:
        context.bind(good=1, request=value)
    assert str(caught.value).startswith("request")
    assert context.bound() == {}


def test_a_changed_copy_of_what_is_bound_does_not_change_it() -> None:
    with context.bind(a=1):
        context.bound()["a"] = 2
        assert context.bound() == {"a": 1}


def test_each_asyncio_task_has_its_own_and_inherits_that_of_its_creator(
    client: RecordingClient,
) -> None:
    async def handle(number: int) -> None:
        with context.bind(request=number):
            await asyncio.sleep(0)
            client.emit_action("play", "ann", metadata={"number": number})

    async def serve() -> None:
        context.bind(server="s1")
        await asyncio.gather(*map(handle, range(20)))

    asyncio.run(serve())
    assert context.bound() == {}
    expected = [{"server": "s1", "request": n, "number": n} for n in range(20)]
    assert sorted(client.actions, key=lambda action: action.metadata["number"]) == client.actions  # type: ignore[index]
    assert emitted(client) == expected


def test_a_thread_begins_with_nothing_unless_it_runs_in_a_copy(client: RecordingClient) -> None:
    context.bind(request="r1")
    copy = contextvars.copy_context()
    for run in (
        lambda: contextvars.Context().run(client.emit_action, "a", "ann"),
        lambda: copy.run(client.emit_action, "b", "ann"),
    ):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert emitted(client) == [None, {"request": "r1"}]
