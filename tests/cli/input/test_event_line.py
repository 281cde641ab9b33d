"""A line of JSON becomes an action or an identity, or is refused with a reason."""

import pytest

from dataart_mp.cli.input.emitter import emit
from dataart_mp.cli.input.event_line import parse_event
from dataart_mp.cli.input.row import Position, Row, event_of
from dataart_mp.errors import EventError
from dataart_mp.table.column_map import ColumnMap
from dataart_mp.table.event import Action, Identity
from dataart_mp.testing import RecordingClient


def test_an_object_with_a_key_is_an_action() -> None:
    line = b'{"key":"play","user_key":"u","is_anonymous_user":true,"metadata":{"a":1}}'

    assert parse_event(line) == Action("play", "u", True, None, {"a": 1})


def test_an_object_without_a_key_is_an_identity() -> None:
    assert parse_event(b'{"user_key":"u","metadata":null}') == Identity("u", None)


@pytest.mark.parametrize("kind", [b"action", b"identity"])
def test_the_type_can_be_explicit(kind: bytes) -> None:
    key = b'"key":"play",' if kind == b"action" else b""

    event = parse_event(b'{"type":"%b",%b"user_key":"u"}' % (kind, key))

    assert type(event).__name__.encode().lower() == kind


def test_the_text_of_a_timestamp_is_kept() -> None:
    text = "2021-05-04T10:11:12.123456789+02:00"
    event = parse_event(b'{"key":"k","user_key":"u","timestamp":"%b"}' % text.encode())

    assert isinstance(event, Action)
    assert event.timestamp == text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "not JSON: "),
        (b'{"key":"\xff"}', "not JSON: str is not valid UTF-8"),
        (b"[1]", "must be an object"),
        (b"{}", "user_key: is missing"),
        (b'{"key":"k"}', "user_key: is missing"),
        (b'{"type":"action","user_key":"u"}', "key: is missing"),
        (b'{"type":"other","user_key":"u"}', 'type: must be "action" or "identity", not \'other\''),
        (b'{"type":["action"],"user_key":"u"}', 'type: must be "action" or "identity"'),
        (
            b'{"key":"k","user_key":"u","when":1}',
            "'when' is not a field of an action; its fields are key, ",
        ),
        (
            b'{"user_key":"u","b":1,"a":1}',
            "'a', 'b' are not fields of an identity; its fields are user_key, ",
        ),
        (
            b'{"type":"identity","key":"k","user_key":"u"}',
            "'key' is not a field of an identity; its fields are user_key, ",
        ),
        (b'{"key":"k","user_key":"u","timestamp":17}', "timestamp: must be RFC 3339 text"),
    ],
)
def test_a_line_that_is_not_an_event_is_refused_with_the_reason(line: bytes, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_event(line)

    assert str(caught.value).startswith(reason)


def test_an_event_is_emitted_to_a_client() -> None:
    client = RecordingClient()

    for event in (Action("play", "u", False, None, {"song": 7}), Identity("u", {"plan": "free"})):
        assert emit(event, client)

    assert [action.key for action in client.actions] == ["play"]
    assert [identity.metadata for identity in client.identities] == [{"plan": "free"}]


@pytest.mark.parametrize("line", [b"\n", b" \t\r\n", b""])
def test_an_empty_line_is_not_an_event(line: bytes) -> None:
    row = Row("x.jsonl", 1, Position(), line)
    assert event_of(row, ColumnMap()) is None
    assert event_of(row, ColumnMap(identities=True)) is None
