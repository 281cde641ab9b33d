"""`Client.emit_action` in C looks, and behaves, as the method that it replaces."""

import gc
import inspect
import json
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_type_hints
from unittest import mock

import pytest
from freezegun import freeze_time

import dataart_mp
from dataart_mp import Client, ClientConfig, native
from dataart_mp.errors import EventError
from tests.native.emitting import Emitter, needs_c, numbered
from tests.queue.internals import idle_writers
from tests.queue.tools import queue_of

pytestmark = needs_c


@pytest.fixture
def emitter() -> Iterator[Emitter]:
    with queue_of(4, 1 << 16, records=1000) as queue:
        emitter = Emitter(queue)
        emitter.make_room()
        yield emitter


def emitted(emitter: Emitter, *arguments: Any, **named: Any) -> dict[str, Any]:
    """Return what C has emitted for these arguments."""
    record = emitter.record_of(lambda: emitter.emit(*arguments, **named))
    assert record is not None, "it was not emitted in C"
    fields: dict[str, Any] = json.loads(record)
    return fields


def test_it_has_the_name_the_signature_and_the_documentation_of_the_method() -> None:
    method: Any = Client.emit_action
    function = method.__wrapped__
    assert inspect.isfunction(function)
    assert inspect.signature(method) == inspect.signature(function)
    assert list(inspect.signature(method).parameters)[:3] == ["self", "key", "user_key"]
    assert (method.__name__, method.__qualname__) == ("emit_action", "Client.emit_action")
    assert method.__doc__ == function.__doc__
    assert get_type_hints(method)["return"] is bool
    assert inspect.isroutine(method)


def test_a_bound_method_has_the_signature_without_self() -> None:
    client = Client.__new__(Client)
    assert next(iter(inspect.signature(client.emit_action).parameters)) == "key"
    assert client.emit_action.__self__ is client  # type: ignore[attr-defined]


def test_arguments_are_passed_by_position_and_by_name(emitter: Emitter) -> None:
    moment = datetime(2021, 5, 4, tzinfo=UTC)
    expected = {
        "key": "k",
        "user_key": "u",
        "is_anonymous_user": True,
        "timestamp": moment.isoformat(),
        "metadata": {"a": 1},
    }
    arguments = {**expected, "timestamp": moment}
    assert emitted(emitter, *arguments.values()) == expected
    assert emitted(emitter, **arguments) == expected
    assert emitted(emitter, **dict(reversed(arguments.items()))) == expected
    assert emitted(emitter, "k", "u", metadata={"a": 1}, timestamp=moment) == {
        **expected,
        "is_anonymous_user": False,
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), {}),
        (("k",), {}),
        (("k", "u", False, None, None, None), {}),
        (("k", "u"), {"key": "k"}),
        (("k", "u"), {"song": 1}),
    ],
)
def test_wrong_arguments_raise_the_error_of_a_python_function(
    arguments: tuple[Any, ...], named: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match=r"Client\.emit_action\(\)"):
        Client.__new__(Client).emit_action(*arguments, **named)


def test_it_cannot_be_called_without_a_client() -> None:
    with pytest.raises(TypeError, match="argument"):
        Client.emit_action()  # type: ignore[call-arg]


def test_an_event_without_a_timestamp_is_of_now(emitter: Emitter) -> None:
    before = datetime.now(UTC)
    moment = datetime.fromisoformat(emitted(emitter, "k", "u")["timestamp"])
    assert before <= moment <= datetime.now(UTC)


def test_a_test_that_freezes_the_time_freezes_timestamps(emitter: Emitter) -> None:
    with freeze_time("2012-01-14 12:00:01"):
        emitter.emit("k", "u")
        assert emitter.emit_bulk([{"key": "k", "user_key": "u"}], 0, datetime.now(UTC)) == 0
    (writer,) = idle_writers(emitter.queue)
    assert b"2012-01-14T12:00:01+00:00" in emitter.queue.arena.memory[: writer.position]


def test_a_subclass_may_override_it() -> None:
    class Loud(Client):
        def emit_action(self, key: str, *arguments: Any, **named: Any) -> bool:
            return super().emit_action(key.upper(), *arguments, **named)

    client = Loud(ClientConfig("k", base_url="http://localhost:9"))
    try:
        client.emit_action("a", "u")
        client.emit_action("b", "u")
        content = client._queue.arena.content(0, 0, 1000)
    finally:
        client.close(0)
    assert b'"key":"A"' in content
    assert b'"key":"B"' in content


def test_a_test_may_replace_it() -> None:
    with mock.patch.object(Client, "emit_action", return_value=True) as replaced:
        assert Client.__new__(Client).emit_action("k", "u")
    replaced.assert_called_once_with("k", "u")


def test_emitting_leaks_no_memory_and_no_reference(emitter: Emitter) -> None:
    """Neither in C, nor when an event is refused, nor when frames change."""
    metadata = {"text": "é" * 10, "float": 1.5, "list": [1, {"a": None}]}
    timestamp = datetime(2021, 5, 4, tzinfo=UTC)
    watched: list[Any] = [metadata, timestamp, emitter, emitter._appender]

    def emit_many() -> list[int]:
        for _ in range(500):
            emitter.emit("key", "user", True, timestamp, metadata)
            emitter.emit("key", "user", metadata=metadata)
            emitter.emit_bulk([numbered(1), {"key": "k", "user_key": "u", "metadata": metadata}, 3])
            with suppress(EventError):
                emitter.emit("key", "user", False, timestamp, {"text": "\ud800", "more": metadata})
            with suppress(TypeError):
                emitter.emit("key")
            emitter.make_room()
        gc.collect()
        return [sys.getrefcount(value) for value in watched]

    before = emit_many()
    growths = []
    tracemalloc.start()
    try:
        emit_many()
        for _ in range(3):
            traced, _ = tracemalloc.get_traced_memory()
            counts = emit_many()
            growths.append(tracemalloc.get_traced_memory()[0] - traced)
    finally:
        tracemalloc.stop()
    assert counts == before
    assert min(growths) < 20_000, "less than 8 bytes for each call"


def test_the_public_flag_says_that_it_is_in_use() -> None:
    assert dataart_mp.compiled is native.compiled is True
