"""The internals of uvicorn that the sink uses exist, and behave as http/uvicorn_seam.py says."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from dataart_mp.devsink.http import body, limits
from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.http.uvicorn_seam import ON_REFUSED, SinkProtocol, connection_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MOVED = f"uvicorn {uvicorn.__version__} has no %s: adapt dataart_mp/devsink/http/uvicorn_seam.py"

HOOKS: list[tuple[type, str, list[str]]] = [
    (HttpToolsProtocol, "connection_made", ["self", "transport"]),
    (HttpToolsProtocol, "connection_lost", ["self", "exc"]),
    (HttpToolsProtocol, "data_received", ["self", "data"]),
    (HttpToolsProtocol, "on_message_begin", ["self"]),
    (HttpToolsProtocol, "on_body", ["self", "body"]),
    (HttpToolsProtocol, "on_headers_complete", ["self"]),
    (HttpToolsProtocol, "send_400_response", ["self", "msg"]),
    (uvicorn.Server, "startup", ["self", "sockets"]),
    (uvicorn.Server, "shutdown", ["self", "sockets"]),
    (uvicorn.Server, "capture_signals", ["self"]),
]
ATTRIBUTES: list[tuple[type, str]] = [
    (HttpToolsProtocol, "transport"),
    (HttpToolsProtocol, "loop"),
    (HttpToolsProtocol, "url"),
    (HttpToolsProtocol, "headers"),
    (HttpToolsProtocol, "connections"),
    (HttpToolsProtocol, "scope"),
    (HttpToolsProtocol, "cycle"),
    (HttpToolsProtocol, "app_state"),
    (RequestResponseCycle, "disconnected"),
    (RequestResponseCycle, "response_complete"),
    (RequestResponseCycle, "message_event"),
    (uvicorn.Server, "should_exit"),
    (uvicorn.Server, "server_state"),
    (ServerState, "connections"),
]


@pytest.mark.parametrize(("owner", "name", "parameters"), HOOKS)
def test_every_hook_exists_with_its_parameters(
    owner: type, name: str, parameters: list[str]
) -> None:
    label = f"{owner.__name__}.{name}({', '.join(parameters)})"
    hook = getattr(owner, name, None)
    assert hook is not None, MOVED % label
    assert list(inspect.signature(hook).parameters) == parameters, MOVED % label


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES)
def test_every_attribute_is_set_by_its_class(owner: type, name: str) -> None:
    assert f"self.{name}" in inspect.getsource(owner), MOVED % f"{owner.__name__}.{name}"


def transport() -> Mock:
    mock = Mock(spec=asyncio.Transport)
    mock.get_extra_info.return_value = None
    mock.is_closing.return_value = False
    return mock


def served(data: bytes, app: Any) -> tuple[Mock, list[tuple[int, str]]]:
    """Feed bytes to the protocol on an event loop; return its transport and what was refused."""
    refused: list[tuple[int, str]] = []
    mock = transport()

    async def feed() -> None:
        config = uvicorn.Config(app, http=SinkProtocol, lifespan="off", log_config=None)
        config.load()
        state: dict[str, Any] = {
            ON_REFUSED: lambda number, error: refused.append((number, error.field))
        }
        protocol = SinkProtocol(config, ServerState(), state)
        protocol.connection_made(mock)
        protocol.data_received(data)
        await asyncio.sleep(0.05)
        protocol.connection_lost(None)

    logging.getLogger("uvicorn.error").disabled = True
    try:
        asyncio.run(feed())
    finally:
        logging.getLogger("uvicorn.error").disabled = False
    return mock, refused


def test_a_request_can_close_its_connection_without_a_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        connection_of(scope).close()

    mock, refused = served(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", app)
    mock.abort.assert_called_once_with()
    mock.write.assert_not_called()
    assert refused == []


def test_the_messages_of_a_request_have_body_and_more_body() -> None:
    messages = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        connection_of(scope).close()

    served(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", app)
    assert messages == [{"type": "http.request", "body": b"{}", "more_body": False}]


def test_bytes_that_are_not_http_are_reported_with_the_number_of_their_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("this is not a request")

    mock, refused = served(b"\x16\x03\x01\x02\r\n\r\n", app)
    assert [field for _, field in refused] == ["request"]
    assert mock.write.call_args.args[0].startswith(b"HTTP/1.1 400 ")


HANGING = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


async def no_response(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def test_a_head_that_does_not_end_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.01)
    mock, refused = served(b"POST / HTTP/1.1\r\nX: a", no_response)
    assert mock.write.call_args.args[0].startswith(b"HTTP/1.1 408 ")
    mock.write_eof.assert_called_once_with()
    assert [field for _, field in refused] == ["head"]


def test_a_connection_that_sends_nothing_is_closed_and_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.01)
    mock, refused = served(b"", no_response)
    mock.close.assert_called()
    mock.write.assert_not_called()
    assert refused == []


@pytest.mark.parametrize("next_head", [b"", b"POST / HTTP/1.1\r\nX: a"])
def test_a_head_has_time_as_long_as_earlier_responses_take(
    monkeypatch: pytest.MonkeyPatch, next_head: bytes
) -> None:
    monkeypatch.setattr(limits, "HEAD_SECONDS", 0.01)
    mock, refused = served(HANGING + next_head, no_response)
    mock.write.assert_not_called()
    mock.abort.assert_not_called()
    assert refused == []


def test_a_body_that_does_not_end_in_time_is_a_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_SECONDS", 0.01)
    errors = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await body.read_body(receive, 9, 100)
        except RejectionError as error:
            errors.append((error.status, error.field))
        connection_of(scope).close()

    served(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{}", app)
    assert errors == [(408, "body")]
