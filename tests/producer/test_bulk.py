"""`emit_actions` treats each of many actions as if it had been emitted alone."""

import itertools
import json
import pickle
import queue
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataart_mp import clock
from dataart_mp.errors import ActionsError, BufferFullError, ClosedError, EventError
from dataart_mp.producer.bulk import Bulk
from dataart_mp.producer.encoder import encode_action, encode_events
from dataart_mp.producer.usual import as_events
from dataart_mp.protocol import Emitted
from dataart_mp.queue.frame_writer import Taken
from dataart_mp.testing import RecordingClient

MOMENT = datetime(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)
TEXT = "2021-05-04T10:11:12.123456+00:00"
EAST = timezone(timedelta(hours=2))


def action(**fields: object) -> dict[str, Any]:
    usual = {
        "key": "k",
        "user_key": "u",
        "is_anonymous_user": False,
        "timestamp": MOMENT,
        "metadata": {"n": 1},
    }
    return {**usual, **fields}


class FakeQueue:
    """Takes records, a few at a time, until it is full."""

    def __init__(self, at_once: int = 3, room: int = 10**9, capacity: int = 10**9) -> None:
        self.records: list[bytes] = []
        self.takes: list[int] = []
        self.dropped = 0
        self.drops = False
        self._at_once, self._room, self._capacity = at_once, room, capacity

    def take(self, lines: memoryview, count: int) -> Taken:
        records = bytes(lines).splitlines(keepends=True)
        assert len(records) == count > 0
        if len(records[0]) > self._capacity:
            raise EventError("the event is too large")
        if len(self.records) >= self._room:
            raise queue.Full
        fitting = itertools.takewhile(lambda record: len(record) <= self._capacity, records)
        records = [*fitting][: min(self._at_once, self._room - len(self.records))]
        self.records += records
        self.takes.append(len(records))
        return Taken(len(records), sum(map(len, records)), room=0)

    def drop(self, full: queue.Full, count: int) -> None:
        if not self.drops:
            raise BufferFullError("full") from full
        self.dropped += count

    def emit(self, actions: Any, portion: int = 3) -> Emitted:
        return Bulk(actions, portion, self.take, self.drop).run()

    def events(self) -> list[Any]:
        return [json.loads(record) for record in self.records]


@pytest.fixture
def fake_queue() -> FakeQueue:
    return FakeQueue()


def numbers(fake_queue: FakeQueue) -> list[int]:
    return [event["metadata"]["n"] for event in fake_queue.events()]


def numbered(*places: int) -> list[dict[str, Any]]:
    return [action(metadata={"n": place}) for place in places]


# --- encoding ------------------------------------------------------------------------------------

UNUSUAL: list[Any] = [
    action(),
    action(timestamp=TEXT),
    action(timestamp="2021-05-04T10:11:12+02:00"),
    action(timestamp=MOMENT.astimezone(EAST)),
    action(metadata=None),
    action(metadata=MappingProxyType({"a": {1, 2}})),
    action(metadata={"seam": [{"a": 1}, {"key": "b"}], 7: 8}),
    action(metadata={"text": '},{"key":', "array": np.arange(3)}),
    action(metadata={"raw": orjson.Fragment(b'{"a":1}')}),
    dict(reversed(action().items())),
    OrderedDict(action()),
    MappingProxyType(action()),
    {"key": "k", "user_key": "u", "timestamp": MOMENT},
    {"user_key": "u", "key": "k", "timestamp": TEXT, "metadata": {}},
]


@pytest.mark.parametrize("size", [1, 2, 5, len(UNUSUAL)])
def test_each_action_is_encoded_as_emit_action_does_it(fake_queue: FakeQueue, size: int) -> None:
    mixed = [UNUSUAL[start : start + size] for start in range(len(UNUSUAL))]
    uniform = [[each] * size for each in UNUSUAL]
    for actions in mixed + uniform:
        fake_queue.records.clear()
        fake_queue.emit(actions)
        assert fake_queue.records == [encode_action(**each) for each in actions]


def test_a_group_of_the_usual_form_is_encoded_together() -> None:
    """Otherwise the test above would compare `encode_action` with itself."""
    incomplete = {"user_key": "u", "key": "k"}
    assert as_events([action()] * 2) == [action()] * 2
    (event,) = as_events([incomplete]) or []
    assert list(event) == list(action())
    moment = event.pop("timestamp")
    assert event == {**incomplete, "is_anonymous_user": False, "metadata": None}
    assert datetime.now(UTC) - timedelta(minutes=1) < moment <= datetime.now(UTC)
    mixed = [action(), {"user_key": "u", "key": "k", "timestamp": TEXT}, action(timestamp=None)]
    assert [list(event) for event in as_events(mixed) or []] == [list(action())] * 3
    assert as_events([action(), action(price=5)]) is None
    assert encode_events([action()] * 3) == encode_action(**action()) * 3


def test_metadata_that_looks_like_a_record_boundary_is_not_split() -> None:
    seam = action(metadata={"seam": [{"a": 1}, {"key": "b"}]})
    assert encode_events([action(), seam]) is None
    assert encode_events([action(metadata={"text": '},{"key":'})] * 2) is not None


@pytest.mark.parametrize("text", [b'"a\0b"', b'"a\nb"'])
def test_records_are_never_encoded_together_if_one_has_a_raw_line_break_or_nul(text: bytes) -> None:
    assert encode_events([action(), action(metadata={"raw": orjson.Fragment(text)})]) is None


VALUES = st.one_of(
    st.sampled_from(["k", "", 5, None, True, False, MOMENT, MOMENT.astimezone(EAST), TEXT]),
    st.sampled_from(["2021-02-30T10:11:12Z", "soon", {"a": 1}, {"a": {1}}, {"a": b"x"}, [1]]),
    st.sampled_from([{"s": [{"a": 1}, {"key": 2}]}, {"f": orjson.Fragment(b"[\n]")}, {"f": "\0"}]),
)
ACTIONS = st.one_of(
    st.just(action()),
    st.builds(lambda name, value: action(**{name: value}), st.sampled_from([*action()]), VALUES),
    st.dictionaries(st.sampled_from([*action(), "price"]), VALUES),
    VALUES,
)


def encode_alone(each: Any) -> bytes | str | None:
    """Return the record or the error; None for a value that is not a set of arguments."""
    if not isinstance(each, Mapping) or not {"key", "user_key"} <= set(each) <= set(action()):
        return None
    try:
        return encode_action(**each)
    except EventError as error:
        return str(error)


def without_now(record: bytes, each: Any) -> Any:
    event = json.loads(record)
    return {**event, "timestamp": each.get("timestamp") and event["timestamp"]}


@settings(max_examples=150)
@given(st.lists(ACTIONS, max_size=6))
def test_each_action_is_accepted_or_refused_as_if_emitted_alone(
    actions: list[Any],
) -> None:
    fake_queue = FakeQueue()
    errors: tuple[EventError, ...] = ()
    try:
        fake_queue.emit(actions)
    except ActionsError as error:
        errors = error.errors
    expected = [encode_alone(each) for each in actions]
    accepted = [(r, a) for r, a in zip(expected, actions, strict=True) if isinstance(r, bytes)]
    for got, (record, each) in zip(fake_queue.records, accepted, strict=True):
        assert without_now(got, each) == without_now(record, each)
    reported = {f"actions[{i}].{text}" for i, text in enumerate(expected) if isinstance(text, str)}
    assert reported <= set(map(str, errors))
    assert len(fake_queue.records) + len(errors) == len(actions)


# --- refused actions -----------------------------------------------------------------------------


def test_an_error_names_the_action_and_the_path_and_the_others_are_accepted(
    fake_queue: FakeQueue,
) -> None:
    actions = numbered(*range(700))
    actions[3]["metadata"] = {"price": b"x"}
    actions[300]["key"] = ""
    with pytest.raises(ActionsError) as caught:
        fake_queue.emit(actions)
    error = caught.value
    assert str(error) == (
        "actions[3].metadata.price: bytes (b'x', 1 bytes) cannot be encoded; decode it or encode "
        "it as base64 text (and 1 more); 698 others were accepted"
    )
    assert error.path == "actions[3].metadata.price"
    assert [each.path for each in error.errors] == [error.path, "actions[300].key"]
    assert (error.accepted, error.dropped, error.finished) == (698, 0, True)
    assert numbers(fake_queue) == [place for place in range(700) if place not in (3, 300)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("k", "u"), r"actions[0]: tuple (('k', 'u')) is not an action; pass a dict"),
        ({"key": "k"}, "actions[0].user_key: is missing"),
        (
            action(price=5),
            "actions[0]: 'price' is not a field of an action; the fields are key, user_key",
        ),
        (action(timestamp="2021-02-30T00:00:00Z"), "actions[0].timestamp: str ('2021-02-30T"),
        (action(is_anonymous_user=0), "actions[0].is_anonymous_user: int (0) is refused"),
    ],
    ids=["tuple", "missing", "unknown", "timestamp", "bool"],
)
def test_an_invalid_action_is_refused_with_a_fix(
    fake_queue: FakeQueue, wrong: object, message: str
) -> None:
    with pytest.raises(ActionsError) as caught:
        fake_queue.emit([wrong, action()])
    assert str(caught.value).startswith(message)
    assert len(fake_queue.records) == 1


def test_a_record_too_large_for_a_frame_is_refused_and_the_others_are_accepted() -> None:
    fake_queue = FakeQueue(capacity=300)
    actions = numbered(*range(9))
    actions[4]["metadata"]["text"] = "x" * 300
    with pytest.raises(ActionsError, match=r"^actions\[4\]: the event is too large; 8 others"):
        fake_queue.emit(actions)
    assert numbers(fake_queue) == [0, 1, 2, 3, 5, 6, 7, 8]


def test_reading_stops_after_a_hundred_refused_actions(fake_queue: FakeQueue) -> None:
    with pytest.raises(ActionsError, match=r"; stopped after \d+ actions$") as caught:
        fake_queue.emit({} for _ in itertools.count())
    assert not caught.value.finished
    assert 100 <= len(caught.value.errors) < 100 + 256


def test_the_errors_survive_pickling() -> None:
    refused = EventError("a: b", "a")
    error = ActionsError("c", "p", (refused,), accepted=2, dropped=3, finished=False)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.accepted, again.dropped) == ("c", "p", 2, 3)
    assert (again.finished, [str(each) for each in again.errors]) == (False, ["a: b"])
    full = pickle.loads(pickle.dumps(BufferFullError("full", 2, ({"key": "k"},))))
    assert (str(full), full.accepted, full.rest) == ("full", 2, ({"key": "k"},))


# --- iterables -----------------------------------------------------------------------------------


def test_an_empty_iterable_emits_nothing(fake_queue: FakeQueue) -> None:
    assert fake_queue.emit([]) == fake_queue.emit(iter(())) == (0, 0)
    assert fake_queue.takes == []


def test_an_exception_of_the_iterable_is_raised_after_all_actions_before_it_are_accepted(
    fake_queue: FakeQueue,
) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from numbered(*range(400))
        raise LookupError("the source failed")

    with pytest.raises(LookupError, match="the source failed"):
        fake_queue.emit(broken())
    assert numbers(fake_queue) == [*range(400)]


def test_refused_actions_are_reported_even_if_the_iterable_raises(fake_queue: FakeQueue) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield action(key="")
        raise LookupError

    with pytest.raises(LookupError) as caught:
        fake_queue.emit(broken())
    (note,) = caught.value.__notes__
    assert note.startswith("Also refused: actions[0].key: str ('') is refused;")


def test_an_infinite_iterable_is_read_as_events_are_accepted(fake_queue: FakeQueue) -> None:
    """At most one group is read ahead, so memory is bounded."""
    ahead = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal ahead
        for number in itertools.count():
            ahead = max(ahead, number - len(fake_queue.records))
            if number == 3000:
                raise KeyboardInterrupt
            yield action(metadata={"n": number})

    with pytest.raises(KeyboardInterrupt):
        fake_queue.emit(endless())
    assert numbers(fake_queue) == [*range(3000)]
    assert 0 < ahead < 256


def test_actions_that_arrive_slowly_do_not_wait_for_each_other(
    fake_queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the first ones arrived fast."""
    now = 0.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    waiting: list[int] = []

    def slowly() -> Iterator[dict[str, Any]]:
        nonlocal now
        for number in range(600):
            if number >= 300:
                now += 1.0
                waiting.append(number - len(fake_queue.records))
            yield action(metadata={"n": number})

    fake_queue.emit(slowly())
    assert numbers(fake_queue) == [*range(600)]
    assert max(waiting) < 256
    assert set(waiting[256:]) == {0}


def test_events_may_be_emitted_while_the_iterable_is_read() -> None:
    client = RecordingClient()

    def emitting() -> Iterator[dict[str, Any]]:
        for number in range(5):
            client.emit_action("inner", "u", metadata={"n": number})
            yield action(key="outer")

    assert client.emit_actions(emitting()) == Emitted(5)
    keys = sorted(each.key for each in client.actions)
    assert keys == ["inner"] * 5 + ["outer"] * 5


# --- a full buffer -------------------------------------------------------------------------------


def test_a_full_buffer_error_holds_the_number_accepted_and_the_rest() -> None:
    fake_queue = FakeQueue(room=500)
    actions = numbered(*range(2000))
    actions[7]["key"] = ""
    source = iter(actions)
    with pytest.raises(BufferFullError) as caught:
        fake_queue.emit(source)
    assert caught.value.accepted == 500
    assert numbers(fake_queue) == [*range(7), *range(8, 501)]
    left = [*caught.value.rest, *source]
    assert [each["metadata"]["n"] for each in left] == [*range(501, 2000)]


def test_a_full_buffer_drops_and_counts_what_it_cannot_hold() -> None:
    fake_queue = FakeQueue(room=500)
    fake_queue.drops = True
    assert fake_queue.emit(numbered(*range(2000))) == Emitted(accepted=2000, dropped=1500)
    assert fake_queue.dropped == 1500


def test_accepted_includes_the_dropped_actions_when_others_are_refused() -> None:
    fake_queue = FakeQueue(room=500)
    fake_queue.drops = True
    actions = numbered(*range(2000))
    actions[7]["key"] = ""
    message = "; 1,999 others were accepted, 1,499 of them dropped$"
    with pytest.raises(ActionsError, match=message) as caught:
        fake_queue.emit(actions)
    assert (caught.value.accepted, caught.value.dropped) == (1999, 1499)
    assert len(fake_queue.records) == 500


# --- the client for tests ------------------------------------------------------------------------


def test_a_recording_client_records_as_if_emitted_one_by_one() -> None:
    one, many = RecordingClient(), RecordingClient()
    actions = [action(metadata={"tags": {"new"}}), action(timestamp=TEXT, is_anonymous_user=True)]
    for each in actions:
        one.emit_action(**each)
    assert many.emit_actions(actions) == Emitted(2)
    assert (many.actions, many.stats()) == (one.actions, one.stats())


def test_a_recording_client_refuses_as_the_real_one_does() -> None:
    client = RecordingClient()
    with pytest.raises(ActionsError, match=r"^actions\[1\]\.metadata\.raw: bytes"):
        client.emit_actions([action(), action(metadata={"raw": b"x"}), action()])
    assert len(client.actions) == 2
    client.close()
    with pytest.raises(ClosedError):
        client.emit_actions([])
