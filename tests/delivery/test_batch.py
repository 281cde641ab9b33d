"""The body of a batch is, byte for byte, what the platform's protocol specifies."""

import itertools
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.delivery.batch import Batch, section_of
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.transport import envelope

SENT = b"2021-05-04T10:11:13.000005+00:00"
MOMENT = datetime(2021, 5, 4, 12, 11, 12, 123456, tzinfo=timezone(timedelta(hours=2)))

ACTION = (
    b'{"key":"bought","user_key":"ann","is_anonymous_user":true,'
    b'"timestamp":"2021-05-04T12:11:12.123456+02:00","metadata":{"price":9.5,"note":"a\\nb"}}'
)
BARE_ACTION = (
    b'{"key":"left","user_key":"bob","is_anonymous_user":false,'
    b'"timestamp":"2021-05-04T12:11:12.123456+02:00","metadata":null}'
)


def records(*lengths: int) -> bytes:
    return b"".join(b'"%s"\n' % (b"x" * length) for length in lengths)


def batch(content: bytes) -> Batch:
    return Batch("arena-3-1", False, 0, content)


def test_a_body_of_actions_is_what_the_protocol_specifies() -> None:
    content = encode_action("bought", "ann", True, MOMENT, {"price": 9.5, "note": "a\nb"})
    content += encode_action("left", "bob", False, MOMENT, None)
    assert batch(content).path == "/events/send-actions"
    assert batch(content).body(SENT) == (
        b'{"timestamp":"2021-05-04T10:11:13.000005+00:00","actions":['
        + (ACTION + b"," + BARE_ACTION)
        + b"]}"
    )


def test_a_single_action_is_in_a_list_too() -> None:
    content = encode_action("left", "bob", False, MOMENT, None)
    body = json.loads(batch(content).body(SENT))
    assert body["actions"] == [json.loads(BARE_ACTION)]


def test_a_body_of_an_identity_is_what_the_protocol_specifies() -> None:
    content = encode_identity("ann", {"plan": "free", "age": 7})
    identity = Batch("key", True, 0, content)
    assert identity.path == "/users/identify"
    assert identity.body(SENT) == b'{"user_key":"ann","metadata":{"plan":"free","age":7}}'
    assert Batch("key", True, 0, encode_identity("bob", None)).body(SENT) == (
        b'{"user_key":"bob","metadata":null}'
    )


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.integers(min_value=0, max_value=50), min_size=1, max_size=30),
)
def test_a_body_is_at_most_as_long_as_its_records_and_the_envelope(
    now: datetime, lengths: list[int]
) -> None:
    content = records(*lengths)
    body = batch(content).body(now.isoformat().encode())
    assert len(body) <= len(content) + envelope.MAX_BYTES


@given(st.lists(st.integers(min_value=0, max_value=50), min_size=1, max_size=30))
def test_the_size_of_a_body_is_known_without_the_body(lengths: list[int]) -> None:
    content = records(*lengths)
    for size, body in [
        (envelope.size_of_body(len(content), SENT, is_identity=False), batch(content).body(SENT)),
        (envelope.size_of_body(3, b"", is_identity=True), Batch("k", True, 0, b"{}\n").body(SENT)),
    ]:
        assert size == len(body)


def test_max_bytes_of_the_envelope_is_exact() -> None:
    now = datetime.max.replace(tzinfo=UTC).isoformat().encode()
    assert len(batch(b"1\n").body(now)) == len(b"1\n") + envelope.MAX_BYTES - 1


@given(st.lists(st.integers(min_value=0, max_value=9), min_size=2, max_size=40))
def test_halves_hold_all_records_in_order_and_differ_by_at_most_one(lengths: list[int]) -> None:
    whole = batch(records(*lengths))
    first, second = whole.halves()
    assert first.content + second.content == whole.content
    assert (first.start, first.end, second.end) == (whole.start, second.start, whole.end)
    assert 0 <= second.count - first.count <= 1
    assert first.is_identity is second.is_identity is False


@given(st.lists(st.integers(min_value=0, max_value=9), min_size=1, max_size=40))
def test_a_batch_can_be_split_down_to_single_records_and_every_part_has_a_different_key(
    lengths: list[int],
) -> None:
    parts = list(all_parts(batch(records(*lengths))))
    singles = sorted((part for part in parts if part.count == 1), key=start)
    assert b"".join(part.content for part in singles) == records(*lengths)
    assert len({part.key for part in parts}) == len(parts) == 2 * len(lengths) - 1


def test_the_key_of_a_part_does_not_depend_on_how_it_was_split() -> None:
    whole = batch(records(1, 2, 3, 4))
    (_, last), content = whole.halves(), whole.content
    by_halves = last.halves()[1]
    by_progress = section_of("arena-3-1", False, by_halves.start, content[by_halves.start :])
    assert by_progress == by_halves
    assert by_halves.key == "arena-3-1+15-22"


def test_a_batch_with_a_whole_frame_has_the_key_of_the_frame() -> None:
    assert batch(records(1, 2)).key == "arena-3-1"


def test_a_key_can_be_a_header() -> None:
    keys = [part.key for part in all_parts(batch(records(*range(20))))]
    assert all(key.isascii() and key.isprintable() and " " not in key for key in keys)


def all_parts(whole: Batch) -> Any:
    yield whole
    if whole.count > 1:
        yield from itertools.chain.from_iterable(map(all_parts, whole.halves()))


def start(part: Batch) -> int:
    return part.start


def test_the_last_timestamp_is_that_of_the_last_action() -> None:
    first = encode_action("a", "u", timestamp=datetime(2021, 5, 4, tzinfo=UTC))
    metadata = {"timestamp": "2000-01-01"}
    second = encode_action('"timestamp":', "u", timestamp="2022-01-01T00:00:00Z", metadata=metadata)
    assert Batch("key", False, 0, first).last_timestamp == b"2021-05-04T00:00:00+00:00"
    assert Batch("key", False, 0, first + second).last_timestamp == b"2022-01-01T00:00:00Z"
