"""The encoder turns an event into one line of JSON, or raises an error that names the place."""

import json
import threading
from collections import UserString
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.errors import ActionsError, EventError
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.testing import RecordingClient
from tests.producer.encoding import arrived, assert_is_one_line, attempt, refusal, refused
from tests.producer.samples import (
    INVALID,
    JSON,
    MOMENT,
    Event,
    Lazy,
    Mixed,
    Text,
    Translated,
)


def test_an_action_is_one_line_with_its_fields_in_the_order_of_the_protocol() -> None:
    record = encode_action("signup", "ann", True, MOMENT, {"plan": "free", "seats": 2})
    assert record == (
        b'{"key":"signup","user_key":"ann","is_anonymous_user":true,'
        b'"timestamp":"2021-05-04T10:11:12.123456+00:00",'
        b'"metadata":{"plan":"free","seats":2}}\n'
    )


def test_an_identity_is_one_line_with_its_fields_in_the_order_of_the_protocol() -> None:
    assert encode_identity("ann", {"plan": "free"}) == (
        b'{"user_key":"ann","metadata":{"plan":"free"}}\n'
    )


def test_missing_metadata_is_null() -> None:
    assert encode_identity("ann") == b'{"user_key":"ann","metadata":null}\n'
    assert json.loads(encode_action("k", "u"))["metadata"] is None


def test_empty_metadata_stays_an_empty_object() -> None:
    assert encode_identity("ann", {}) == b'{"user_key":"ann","metadata":{}}\n'


def test_line_breaks_and_nul_in_text_are_escaped() -> None:
    text = "a\nb\r\nc\0d\u2028e\u0085"
    record = encode_action(text, text, False, MOMENT, {text: text})
    assert_is_one_line(record)
    event = json.loads(record)
    assert (event["key"], event["user_key"], event["metadata"]) == (text, text, {text: text})


KEYS = st.text(min_size=1)
ANY_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "Cc"]))
    | st.binary()
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.times(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.builds(Path, st.text(st.characters(exclude_characters="\0"))),
    lambda children: (
        st.lists(children)
        | st.lists(children).map(tuple)
        | st.dictionaries(
            st.text(st.characters()) | st.integers() | st.none() | st.binary(), children
        )
        | st.frozensets(st.integers() | st.text() | st.binary())
    ),
)


@given(KEYS, KEYS, st.booleans(), st.dictionaries(st.text(), JSON, max_size=5))
def test_any_json_value_arrives_unchanged_on_exactly_one_line(
    key: str, user_key: str, is_anonymous_user: bool, metadata: dict[str, Any]
) -> None:
    record = encode_action(key, user_key, is_anonymous_user, MOMENT, metadata)
    assert_is_one_line(record)
    assert json.loads(record) == {
        "key": key,
        "user_key": user_key,
        "is_anonymous_user": is_anonymous_user,
        "timestamp": "2021-05-04T10:11:12.123456+00:00",
        "metadata": metadata,
    }


@given(ANY_VALUE, ANY_VALUE, ANY_VALUE, ANY_VALUE, ANY_VALUE)
def test_an_action_of_any_values_is_one_line_of_json_or_an_error_that_names_an_argument(
    key: object, user_key: object, is_anonymous_user: object, timestamp: object, value: object
) -> None:
    names = ("key", "user_key", "is_anonymous_user", "timestamp", "metadata")
    metadata = {"value": value}
    valid = ("k", "u", False, MOMENT, metadata)
    for arguments in ((key, user_key, is_anonymous_user, timestamp, metadata), valid):
        outcome = attempt(encode_action, *arguments)
        if isinstance(outcome, EventError):
            assert str(outcome.path).startswith(names)
            assert str(outcome).startswith(f"{outcome.path}: ")
        else:
            assert_is_one_line(outcome)
            assert list(json.loads(outcome)) == list(names)


@given(ANY_VALUE, ANY_VALUE)
def test_an_identity_of_any_values_is_one_line_of_json_or_an_error(
    user_key: object, metadata: object
) -> None:
    outcome = attempt(encode_identity, user_key, metadata)
    if isinstance(outcome, EventError):
        assert str(outcome.path).startswith(("user_key", "metadata"))
    else:
        assert_is_one_line(outcome)
        assert list(json.loads(outcome)) == ["user_key", "metadata"]


# --- keys -------------------------------------------------------------------------------------


TEXTS = {
    "a subclass": Text("signup"),
    "an enum": Event.SIGNUP,
    "an enum of another kind": Mixed.SIGNUP,
    "numpy": np.str_("signup"),
    "a UserString": UserString("signup"),
    "a proxy": Lazy("signup"),
    "a proxy of a subclass": Lazy(Text("signup")),
    "a subclass that is evaluated late": Translated("signup"),
}


@pytest.mark.parametrize("key", TEXTS.values(), ids=TEXTS)
def test_a_key_may_be_any_kind_of_text(key: str) -> None:
    action = json.loads(encode_action(key, key, False, MOMENT))
    assert (action["key"], action["user_key"]) == ("signup", "signup")
    assert json.loads(encode_identity(key))["user_key"] == "signup"
    client = RecordingClient()
    client.emit_actions([{"key": key, "user_key": key}] * 2)
    assert [(each.key, each.user_key) for each in client.actions] == [("signup", "signup")] * 2


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_of_any_kind_in_metadata_becomes_text(text: object) -> None:
    assert arrived(text) == "signup"
    assert arrived([{"deep": (text,)}]) == [{"deep": ["signup"]}]
    assert arrived({text: 1}) == {"signup": 1}
    with_other_key = {1: {text: text}}
    assert arrived(with_other_key) == {"1": {"signup": "signup"}}


def test_a_proxy_without_text_is_refused() -> None:
    class Bare:
        __class__ = property(lambda self: str)

    assert refusal(Bare(), "u").path == "key"
    assert refused({"a": Bare()}).path == "metadata.a"


@pytest.mark.parametrize(
    "key", ["", Text(""), UserString(""), Lazy(""), Lazy(5), None, 5, b"k", ["k"], True]
)
def test_a_key_that_is_empty_or_not_text_is_refused_by_name(key: object) -> None:
    assert refusal(key, "u").path == "key"
    assert refusal("k", key).path == "user_key"
    with pytest.raises(EventError) as caught:
        encode_identity(key)
    assert caught.value.path == "user_key"


def test_a_refused_key_is_shown_with_its_type_and_a_fix() -> None:
    assert str(refusal("k", 5)) == "user_key: int (5) is refused; pass text, such as str(value)"


def test_a_lone_surrogate_in_a_key_is_refused_by_name() -> None:
    assert refusal("k\ud800", "u").path == "key"
    assert refusal("k", "\udfff").path == "user_key"


@pytest.mark.parametrize("value", [0, 1, None, "false", np.False_, Text("x")])
def test_is_anonymous_user_must_be_a_bool(value: object) -> None:
    error = refusal("k", "u", value)
    assert error.path == "is_anonymous_user"
    assert "pass True or False" in str(error)


# --- interrupts, fragments, changing metadata -------------------------------------------------


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_during_a_conversion_is_raised_unchanged(
    interrupt: type[BaseException],
) -> None:
    class Slow:
        def model_dump(self, mode: str) -> dict[str, Any]:
            raise interrupt

    with pytest.raises(interrupt):
        encode_action("k", "u", False, MOMENT, {"a": Slow()})


INVALID_FRAGMENTS: list[bytes | str] = [
    b"{\n}",
    b"{\r}",
    b'"\0"',
    b'"a\0b"',
    b'"a\nb"',
    b"1\n",
    b"",
    b"{",
    b"nul",
    b"1 2",
    b'"\xff"',
    b"1,2",
    b'{"a":1}},{"key":"k"',
    "\ud800",
]


@pytest.mark.parametrize("text", INVALID_FRAGMENTS)
def test_a_fragment_that_is_not_json_on_one_line_is_refused(text: bytes | str) -> None:
    error = refused({"a": [orjson.Fragment(text)]})
    assert error.path == "metadata.a[0]"
    assert "orjson.loads" in str(error)
    with pytest.raises(EventError):
        encode_identity("u", {"a": orjson.Fragment(text)})
    with pytest.raises(ActionsError) as refusals:
        RecordingClient().emit_actions(
            [{"key": "k", "user_key": "u", "metadata": {"a": orjson.Fragment(text)}}] * 2
        )
    assert [each.path for each in refusals.value.errors] == [
        "actions[0].metadata.a",
        "actions[1].metadata.a",
    ]


def test_a_fragment_on_one_line_is_sent_unchanged() -> None:
    assert arrived(orjson.Fragment(b'{"a": [1, 2]}')) == {"a": [1, 2]}


def test_a_value_is_converted_once_even_if_another_one_is_refused() -> None:
    class Counting:
        calls = 0

        def model_dump(self, mode: str) -> object:
            Counting.calls += 1
            return {"a": 1}

    error = refused({"a": Counting(), "text": "\ud800"})
    assert error.path == "metadata.text"
    assert Counting.calls == 1


def test_metadata_that_another_thread_changes_never_breaks_a_record() -> None:
    metadata: dict[str, Any] = {str(i): {i} for i in range(50)}
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            metadata["new"] = {1}
            metadata.pop("new", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(2000):
            outcome = attempt(encode_action, "k", "u", False, MOMENT, metadata)
            if isinstance(outcome, EventError):
                assert str(outcome.path).startswith("metadata")
            else:
                assert_is_one_line(outcome)
    finally:
        is_over.set()
        thread.join()


def test_a_refused_event_does_not_affect_the_next() -> None:
    good = encode_identity("u", {"a": 1})
    refused({"a": INVALID})
    assert encode_identity("u", {"a": 1}) == good
