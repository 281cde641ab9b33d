"""An event becomes one line of JSON, or an error that names the place; nothing in between."""

# ruff: noqa: DTZ001 - naive datetimes are under test

import collections
import enum
import json
import math
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer import encoder
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.producer.locate import locate

on_any_machine = settings(deadline=None)  # a busy one is slow, and that is no fault of the code

MOMENT = datetime(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)


def decoded(metadata: object) -> Any:
    """What arrives of some metadata."""
    record = encode_action("k", "u", False, MOMENT, metadata)
    assert_is_one_line(record)
    return json.loads(record)["metadata"]


def arrived(value: object) -> Any:
    """What arrives of one value within metadata."""
    return decoded({"value": value})["value"]


def timestamp_of(timestamp: object) -> str:
    """What arrives of a timestamp, to the letter."""
    text = json.loads(encode_action("k", "u", False, timestamp, None))["timestamp"]
    assert isinstance(text, str)
    return text


def refusal(*arguments: object, **named: object) -> EventError:
    with pytest.raises(EventError) as caught:
        encode_action(*arguments, **named)  # type: ignore[arg-type, unused-ignore]
    return caught.value


def refused(metadata: object) -> EventError:
    return refusal("k", "u", False, MOMENT, metadata)


def attempt(encode: Callable[..., bytes], *arguments: object) -> bytes | EventError:
    try:
        return encode(*arguments)
    except EventError as error:
        return error


def assert_is_one_line(record: bytes) -> None:
    assert record.find(b"\n") == len(record) - 1
    assert b"\0" not in record


# --- the record --------------------------------------------------------------------------------


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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
KEYS = st.text(min_size=1)
ANYTHING = st.recursive(
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


@on_any_machine
@given(KEYS, KEYS, st.booleans(), st.dictionaries(st.text(), JSON, max_size=5))
def test_whatever_json_can_hold_arrives_as_it_was_on_exactly_one_line(
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


@on_any_machine
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_an_event_of_anything_is_one_line_of_json_or_an_error_that_names_an_argument(
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


@on_any_machine
@given(ANYTHING, ANYTHING)
def test_an_identity_of_anything_is_one_line_of_json_or_an_error(
    user_key: object, metadata: object
) -> None:
    outcome = attempt(encode_identity, user_key, metadata)
    if isinstance(outcome, EventError):
        assert str(outcome.path).startswith(("user_key", "metadata"))
    else:
        assert_is_one_line(outcome)
        assert list(json.loads(outcome)) == ["user_key", "metadata"]


# --- keys --------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Event(enum.StrEnum):
    SIGNUP = "signup"


@pytest.mark.parametrize("key", [Text("signup"), Event.SIGNUP, np.str_("signup")], ids=repr)
def test_a_key_may_be_any_kind_of_text(key: str) -> None:
    action = json.loads(encode_action(key, key, False, MOMENT))
    assert (action["key"], action["user_key"]) == ("signup", "signup")
    assert json.loads(encode_identity(key))["user_key"] == "signup"


@pytest.mark.parametrize("key", ["", Text(""), None, 5, b"k", ["k"], True])
def test_a_key_that_is_empty_or_no_text_is_refused_by_name(key: object) -> None:
    assert refusal(key, "u").path == "key"
    assert refusal("k", key).path == "user_key"
    with pytest.raises(EventError) as caught:
        encode_identity(key)
    assert caught.value.path == "user_key"


def test_a_refused_key_is_shown_with_its_type_and_a_remedy() -> None:
    assert str(refusal("k", 5)) == "user_key: int (5) is refused; pass text, such as str(value)"


def test_a_lone_surrogate_in_a_key_is_refused_by_name() -> None:
    assert refusal("k\ud800", "u").path == "key"
    assert refusal("k", "\udfff").path == "user_key"


@pytest.mark.parametrize("value", [0, 1, None, "false", np.False_, Text("x")])
def test_is_anonymous_user_must_be_a_bool(value: object) -> None:
    error = refusal("k", "u", value)
    assert error.path == "is_anonymous_user"
    assert "pass True or False" in str(error)


# --- timestamps --------------------------------------------------------------------------------


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_no_timestamp_is_now() -> None:
    before = datetime.now(UTC)
    timestamp = datetime.fromisoformat(timestamp_of(None))
    assert before <= timestamp <= datetime.now(UTC)
    assert timestamp.utcoffset() == timedelta(0)


def test_a_clock_that_a_test_has_frozen_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Frozen":
            return cls(2000, 1, 1, tzinfo=tz)

    monkeypatch.setattr(encoder, "datetime", Frozen)
    assert timestamp_of(None) == "2000-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        (UTC, "+00:00"),
        (timezone(timedelta(hours=-3, minutes=-30)), "-03:30"),
        (ZoneInfo("Europe/Berlin"), "+02:00"),
        (ZoneInfo("UTC"), "+00:00"),
    ],
    ids=str,
)
def test_an_aware_datetime_is_sent_as_it_is(zone: tzinfo, offset: str) -> None:
    moment = datetime(2021, 5, 4, 10, 11, 12, 5, tzinfo=zone)
    assert timestamp_of(moment) == f"2021-05-04T10:11:12.000005{offset}"


@pytest.mark.usefixtures("berlin")
def test_a_naive_timestamp_is_local_time_and_gets_its_offset() -> None:
    assert timestamp_of(datetime(2021, 5, 4, 10, 11)) == "2021-05-04T10:11:00+02:00"
    assert timestamp_of(datetime(2021, 1, 4, 10, 11)) == "2021-01-04T10:11:00+01:00"


@pytest.mark.usefixtures("berlin")
def test_fold_tells_the_two_hours_of_a_clock_that_is_set_back_apart() -> None:
    assert timestamp_of(datetime(2021, 10, 31, 2, 30)) == "2021-10-31T02:30:00+02:00"
    assert timestamp_of(datetime(2021, 10, 31, 2, 30, fold=1)) == "2021-10-31T02:30:00+01:00"


@pytest.mark.usefixtures("berlin")
def test_a_zone_that_knows_no_offset_makes_a_timestamp_naive() -> None:
    class Nowhere(tzinfo):
        def dst(self, dt: datetime | None) -> None:
            return None

        def tzname(self, dt: datetime | None) -> None:
            return None

        def utcoffset(self, dt: datetime | None) -> None:
            return None

    assert timestamp_of(datetime(2021, 5, 4, tzinfo=Nowhere())) == "2021-05-04T00:00:00+02:00"


def test_an_offset_with_seconds_is_sent_as_the_same_moment_in_utc() -> None:
    before_railways = datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert timestamp_of(before_railways) == "1849-12-31T23:06:32+00:00"


class Nanoseconds(datetime):
    """As precise as pandas.Timestamp, which is also a subclass of datetime."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        whole = super().isoformat(sep, "microseconds")
        return f"{whole[:26]}789{whole[26:]}"


class Chatty(datetime):
    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        return f"about {super().isoformat(sep, timespec)}"


@pytest.mark.usefixtures("berlin")
def test_a_datetime_s_subclass_keeps_its_nanoseconds() -> None:
    aware = Nanoseconds(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)
    assert timestamp_of(aware) == "2021-05-04T10:11:12.123456789+00:00"
    naive = Nanoseconds(2021, 5, 4, 10, 11, 12, 123456)
    assert timestamp_of(naive) == "2021-05-04T10:11:12.123456789+02:00"


@pytest.mark.usefixtures("berlin")
def test_a_datetime_s_subclass_before_railways_is_sent_as_the_same_moment_in_utc() -> None:
    assert timestamp_of(Nanoseconds(1850, 1, 1)) == "1849-12-31T23:06:32+00:00"


def test_a_datetime_s_subclass_that_writes_itself_in_another_way_is_sent_as_a_datetime() -> None:
    assert timestamp_of(Chatty(2021, 5, 4, 10, tzinfo=UTC)) == "2021-05-04T10:00:00+00:00"


class NotATime(datetime):
    """As pandas.NaT: a datetime that is unequal to itself."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


def test_not_a_time_is_refused_as_timestamp() -> None:
    assert refusal("k", "u", False, NotATime(2021, 5, 4, tzinfo=UTC)).path == "timestamp"


@pytest.mark.parametrize(
    "text",
    [
        "2021-05-04T10:11:12Z",
        "2021-05-04T10:11:12+02:00",
        "2021-05-04T10:11:12.1-11:30",
        "2021-05-04T10:11:12.123456789+02:00",
        "2024-02-29T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ],
)
def test_text_in_rfc_3339_is_sent_to_the_letter(text: str) -> None:
    assert timestamp_of(text) == text
    assert timestamp_of(Text(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2021-05-04",
        "2021-05-04T10:11:12",
        "2021-05-04T10:11Z",
        "2021-05-04 10:11:12Z",
        "2021-05-04t10:11:12z",
        "2021-05-04T10:11:12.Z",
        "2021-05-04T10:11:12,5Z",
        "2021-05-04T10:11:12Z\n",
        "2021-05-04T10:11:12+0200",
        "2021-05-04T10:11:12+24:00",
        "2021-05-04T10:11:12+02:60",
        "2021-02-29T10:11:12Z",
        "2021-13-01T10:11:12Z",
        "2021-05-04T24:00:00Z",
        "2021-05-04T10:11:60Z",
        "0000-01-01T00:00:00Z",
        "٢٠٢١-05-04T10:11:12Z",
        "20210504T101112Z",
    ],
)
def test_other_text_is_refused_with_an_example(text: str) -> None:
    error = refusal("k", "u", False, text)
    assert error.path == "timestamp"
    assert "2021-05-04T10:11:12.5+02:00" in str(error)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (1620123072, "datetime.fromtimestamp"),
        (1620123072.5, "datetime.fromtimestamp"),
        (date(2021, 5, 4), "a day is no moment"),
        (np.datetime64("2021-05-04"), "pass an aware datetime"),
        (b"2021-05-04T10:11:12Z", "pass an aware datetime"),
        ([], "pass an aware datetime"),
    ],
    ids=repr,
)
def test_what_is_no_moment_is_refused_with_a_remedy(value: object, remedy: str) -> None:
    error = refusal("k", "u", False, value)
    assert error.path == "timestamp"
    assert remedy in str(error)


def test_a_zone_that_raises_is_named_and_its_error_kept() -> None:
    class Broken(tzinfo):
        def dst(self, dt: datetime | None) -> None:
            return None

        def tzname(self, dt: datetime | None) -> None:
            return None

        def utcoffset(self, dt: datetime | None) -> timedelta:
            raise RuntimeError("no offset today")

    error = refusal("k", "u", False, datetime(2021, 5, 4, tzinfo=Broken()))
    assert error.path == "timestamp"
    assert isinstance(error.__cause__, RuntimeError)


def test_a_moment_before_the_first_one_in_utc_is_refused() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(seconds=1)))
    assert refusal("k", "u", False, first).path == "timestamp"


# --- values of metadata ------------------------------------------------------------------------


class Point(NamedTuple):
    x: int
    y: Decimal


@dataclass
class Order:
    total: Decimal
    _draft: bytes = b""


@dataclass(slots=True)
class Line:
    price: object


class Color(enum.Enum):
    RED = frozenset({1})


class Plan(pydantic.BaseModel):
    name: str
    price: Decimal
    since: datetime
    tags: set[str] = set()


class Amount(float):
    pass


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
VALUES: list[tuple[object, Any]] = [
    (math.nan, None),
    (math.inf, None),
    (Decimal("1.10"), "1.10"),
    (Decimal("NaN"), "NaN"),
    ({1}, [1]),
    (frozenset({"a"}), ["a"]),
    ((1, (2,)), [1, [2]]),
    (Point(1, Decimal(2)), [1, "2"]),
    (PurePosixPath("/a/b"), "/a/b"),
    (PureWindowsPath("a\\b"), "a\\b"),
    (range(3), [0, 1, 2]),
    (collections.deque([1, 2]), [1, 2]),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.Counter("aa"), {"a": 2}),
    (collections.ChainMap({"a": 1}), {"a": 1}),
    (collections.UserDict(a={1}), {"a": [1]}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    ({"a": 1}.keys(), ["a"]),
    ({"a": 1}.values(), [1]),
    (Order(Decimal(5)), {"total": "5"}),
    (Line({1}), {"price": [1]}),
    (Color.RED, [1]),
    (Event.SIGNUP, "signup"),
    (UUID, "12345678-1234-5678-1234-567812345678"),
    (MOMENT, "2021-05-04T10:11:12.123456+00:00"),
    (datetime(2021, 5, 4), "2021-05-04T00:00:00"),
    (Nanoseconds(2021, 5, 4, tzinfo=UTC), "2021-05-04T00:00:00.000000789+00:00"),
    (NotATime(2021, 5, 4), None),
    (date(2021, 5, 4), "2021-05-04"),
    (time_of_day(10, 11), "10:11:00"),
    (Amount(1.5), 1.5),
    (Text("a"), "a"),
    (
        Plan(name="free", price=Decimal(0), since=MOMENT, tags={"new"}),
        {
            "name": "free",
            "price": "0",
            "since": "2021-05-04T10:11:12.123456+00:00",
            "tags": ["new"],
        },
    ),
    (np.int64(5), 5),
    (np.float16(1.5), 1.5),
    (np.float32(1.1), 1.1),
    (np.float64(np.nan), None),
    (np.longdouble(1.5), 1.5),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (np.datetime64("2021-05-04T10:11:12.123456789"), "2021-05-04T10:11:12.123456"),
    (np.datetime64("NaT", "s"), None),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array([[1, 2], [3, 4]]).T, [[1, 3], [2, 4]]),
    (np.array([1, 2, 3])[::2], [1, 3]),
    (np.array(5), 5),
    (np.array([]), []),
    (np.array([1, 2], dtype=">i4"), [1, 2]),
    (np.array([np.nan, 1.5]), [None, 1.5]),
    (np.array(["a", "b"]), ["a", "b"]),
    (np.array([Decimal(1), None, {2}], dtype=object), ["1", None, [2]]),
    (np.array(["2021-05-04"], dtype="M8[ns]"), ["2021-05-04T00:00:00"]),
    (np.array("2021-05-04", dtype="M8[ns]"), "2021-05-04T00:00:00"),
]


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_of_metadata_arrives_as_documented(value: object, expected: object) -> None:
    assert arrived(value) == expected


@pytest.mark.parametrize(("value", "expected"), VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_arrives_the_same_beside_a_key_that_is_no_text(
    value: object, expected: object
) -> None:
    assert decoded({1: 2, "value": value}) == {"1": 2, "value": expected}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        (UUID, str(UUID)),
        (date(2021, 5, 4), "2021-05-04"),
        (Event.SIGNUP, "signup"),
        (Text("a"), "a"),
        (np.str_("a"), "a"),
    ],
    ids=repr,
)
def test_a_key_of_metadata_that_is_no_text_is_written_as_text(key: object, expected: str) -> None:
    assert decoded({"deep": [{key: 1}]}) == {"deep": [{expected: 1}]}


@pytest.mark.parametrize(
    "metadata",
    [
        collections.OrderedDict(a=1),
        MappingProxyType({"a": 1}),
        collections.UserDict(a=1),
        collections.ChainMap({}, {"a": 1}),
    ],
    ids=lambda metadata: type(metadata).__name__,
)
def test_metadata_may_be_any_mapping(metadata: Mapping[str, int]) -> None:
    assert decoded(metadata) == {"a": 1}
    assert json.loads(encode_identity("u", metadata))["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    "metadata", [[], "text", b"{}", 0, False, [("a", 1)], Order(Decimal(1))], ids=repr
)
def test_metadata_that_is_no_mapping_is_refused(metadata: object) -> None:
    assert refused(metadata).path == "metadata"
    with pytest.raises(EventError, match=r"^metadata: .* is refused; pass a dict, or None"):
        encode_identity("u", metadata)


def test_encoding_leaves_the_metadata_as_it_was() -> None:
    metadata = {1: {2}, "nested": [Decimal(1)]}
    encode_action("k", "u", False, MOMENT, metadata)
    assert metadata == {1: {2}, "nested": [Decimal(1)]}


# --- what cannot be encoded --------------------------------------------------------------------


def test_the_message_names_path_type_value_and_remedy() -> None:
    error = refused({"items": [0, 1, 2, {"raw": b"123456789abc"}]})
    assert str(error) == (
        "metadata.items[3].raw: bytes (b'123456789abc', 12 bytes) cannot be encoded; "
        "decode it or encode it as base64 text"
    )
    assert error.path == "metadata.items[3].raw"
    assert error.__cause__ is None


def test_an_identity_s_fault_is_named_just_the_same() -> None:
    with pytest.raises(EventError) as caught:
        encode_identity("u", {"a": [b"x"]})
    assert caught.value.path == "metadata.a[0]"


BAD = b"\xff"


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"a": BAD}, "metadata.a"),
        ({"a b": BAD}, "metadata['a b']"),
        ({"": BAD}, "metadata['']"),
        ({1: BAD}, "metadata[1]"),
        ({1: 1, "a": {2: [BAD]}}, "metadata.a[2][0]"),
        ({"a": (1, BAD)}, "metadata.a[1]"),
        ({"a": {BAD}}, "metadata.a[0]"),
        ({"a": Point(1, BAD)}, "metadata.a[1]"),  # type: ignore[arg-type]
        ({"a": Line([BAD])}, "metadata.a.price[0]"),
        ({"a": Order(BAD)}, "metadata.a.total"),  # type: ignore[arg-type]
        ({"a": np.array([[1, BAD]], dtype=object)}, "metadata.a[0][1]"),
        ({"a": MappingProxyType({"b": BAD})}, "metadata.a.b"),
        ({"a": collections.deque([BAD])}, "metadata.a[0]"),
        ({"good": list(range(1000)), "a": [[[BAD]]]}, "metadata.a[0][0][0]"),
    ],
    ids=repr,
)
def test_the_path_leads_to_the_value_at_fault(metadata: object, path: str) -> None:
    error = refused(metadata)
    assert error.path == path
    assert str(error).startswith(f"{path}: bytes (b'\\xff', 1 bytes) cannot be encoded; ")


STEPS = st.lists(st.integers(0, 3) | st.text("abc", min_size=1), min_size=1, max_size=30)


@on_any_machine
@given(STEPS, JSON)
def test_the_path_leads_to_a_value_at_fault_wherever_it_stands(
    steps: list[int | str], other: object
) -> None:
    value: object = BAD
    for step in reversed(steps):
        value = [other] * step + [value, other] if isinstance(step, int) else {step: value}
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    assert refused({"root": value, "other": other}).path == f"metadata.root{path}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"x" * 1000, "1000 bytes) cannot be encoded; decode it or encode it as base64"),
        (bytearray(b"x"), "bytearray (bytearray(b'x'), 1 bytes) cannot be encoded; decode"),
        (memoryview(b"x"), "decode it or encode it as base64"),
        (np.bytes_(b"x"), "decode it or encode it as base64"),
        (2**64, "int (18446744073709551616) is wider than 64 bits; pass it as text"),
        (-(2**63) - 1, "is wider than 64 bits"),
        (10**5000, "is wider than 64 bits"),
        ("ab\ud800c", "str ('ab\\ud800c') has a lone surrogate at index 2"),
        (Path("\udcff"), "has a lone surrogate at index 0"),
        (timedelta(1), "pass its total_seconds()"),
        (np.timedelta64(1, "s"), "numpy.timedelta64(1, 's')"),
        (time_of_day(10, tzinfo=UTC), "pass its isoformat()"),
        (1j, "complex (1j) cannot be encoded; pass a str, number, bool, None, list, or dict"),
        (np.complex64(1), "cannot be encoded"),
        (object(), "cannot be encoded"),
        (Plan, "cannot be encoded"),
        (Order, "cannot be encoded"),
        (print, "cannot be encoded"),
        (iter(()), "cannot be encoded"),
    ],
    ids=lambda value: re.sub(r"( at | objec|\.\.\.x).*", "", short_repr(value, 30)),
)
def test_a_value_that_cannot_be_encoded_is_refused_with_a_remedy(value: object, words: str) -> None:
    error = refused({"fine": 1, "value": value})
    assert error.path == "metadata.value"
    assert words in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize("key", [b"x", (1, 2), 2**64, np.int64(1), frozenset()], ids=repr)
def test_a_key_that_cannot_be_written_is_refused_with_a_remedy(key: object) -> None:
    error = refused({"deep": [{"fine": 1, key: 1}]})
    assert error.path == "metadata.deep[0]"
    assert f"the key {type(key).__name__} " in str(error)
    assert "str(key)" in str(error)


def test_a_key_with_a_lone_surrogate_is_refused() -> None:
    error = refused({"deep": {"\ud800": 1}})
    assert error.path == "metadata.deep"
    assert "the key str ('\\ud800') has a lone surrogate" in str(error)


def test_an_enum_is_at_fault_for_its_value() -> None:
    class Secret(enum.Enum):
        A = b"x"

    assert str(refused({"a": Secret.A})).startswith("metadata.a: bytes (b'x', 1 bytes)")


def test_a_value_whose_repr_raises_is_refused_by_its_type() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("not me")

    assert str(refused({"a": Shy()})).startswith("metadata.a: Shy (")


def test_a_cycle_is_refused_where_it_closes() -> None:
    metadata: dict[str, Any] = {"a": [1]}
    metadata["a"].append(metadata)
    error = refused(metadata)
    assert error.path == "metadata.a[1]"
    assert "is metadata again, which contains it; break the cycle" in str(error)


def test_a_cycle_below_the_top_is_refused_where_it_closes() -> None:
    inner: list[object] = [0]
    inner.append([inner])
    error = refused({"a": {"b": inner}})
    assert error.path == "metadata.a.b[1][0]"
    assert "is metadata.a.b again" in str(error)


def test_the_search_survives_a_cycle_through_a_tuple() -> None:
    # orjson itself does not survive it at every depth: see fault.Encodes.
    inner: list[object] = [0]
    inner.append((inner,))
    for levels in range(4):
        metadata: Any = inner
        for _ in range(levels):
            metadata = [metadata]
        error = locate({"metadata": metadata}, lambda leaf: True)
        assert error is not None
        assert error.path == f"metadata{'[0]' * levels}[1][0]"


def test_the_search_looks_only_once_at_what_stands_in_many_places() -> None:
    doubled: Any = []
    for _ in range(200):
        doubled = [doubled, doubled]  # 2 ** 200 paths lead to the bottom
    assert locate({"metadata": doubled}, lambda leaf: True) is None


def test_the_same_value_in_two_places_is_no_cycle() -> None:
    shared = [1]
    assert decoded({"a": shared, "b": [shared, shared]}) == {"a": [1], "b": [[1], [1]]}


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


def test_metadata_may_be_nested_as_deep_as_orjson_goes_and_no_deeper() -> None:
    assert decoded(nested(253)) == nested(253)
    error = refused(nested(254))
    assert error.path == "metadata"
    assert "nested more than 254 levels deep; flatten it" in str(error)


def test_a_value_that_is_hidden_deeper_than_that_is_refused_for_its_depth_or_itself() -> None:
    value: Any = BAD
    for _ in range(2000):
        value = [value]
    assert "254 levels" in str(refused({"a": value}))


def test_a_conversion_without_an_end_is_refused() -> None:
    class Matryoshka:
        def model_dump(self, mode: str) -> "Matryoshka":
            return Matryoshka()

    error = refused({"a": Matryoshka()})
    assert "254 levels" in str(error)


def test_a_value_that_turns_into_itself_is_refused() -> None:
    class Stubborn:
        def model_dump(self, mode: str) -> "Stubborn":
            return self

    assert "again, which contains it" in str(refused({"a": Stubborn()}))


class Unreadable:
    def model_dump(self, mode: str) -> dict[str, Any]:
        raise RuntimeError("no connection")


class UnreadableMapping(collections.UserDict[str, int]):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no connection")


@pytest.mark.parametrize("value", [Unreadable(), UnreadableMapping(a=1)], ids=["model", "mapping"])
def test_what_a_value_s_own_method_raises_is_the_cause(value: object) -> None:
    error = refused({"a": [value]})
    assert error.path == "metadata.a[0]"
    assert "RuntimeError('no connection')" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


def test_what_a_metadata_mapping_raises_is_the_cause() -> None:
    error = refused(UnreadableMapping(a=1))
    assert error.path == "metadata"
    assert isinstance(error.__cause__, RuntimeError)


def test_the_search_survives_a_dataclass_without_its_attribute() -> None:
    # orjson itself does not survive it where the dataclass has slots.
    line = Line(1)
    del line.price
    error = locate({"metadata": {"a": line}}, lambda leaf: True)
    assert error is not None
    assert error.path == "metadata.a"
    assert isinstance(error.__cause__, AttributeError)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_during_a_conversion_stays_an_interrupt(
    interrupt: type[BaseException],
) -> None:
    class Slow:
        def model_dump(self, mode: str) -> dict[str, Any]:
            raise interrupt

    with pytest.raises(interrupt):
        encode_action("k", "u", False, MOMENT, {"a": Slow()})


@pytest.mark.parametrize("text", [b"{\n}", b'"\0"', b"1\n"])
def test_a_fragment_that_would_break_the_line_is_refused(text: bytes) -> None:
    error = refused({"a": [orjson.Fragment(text)]})
    assert error.path == "metadata.a[0]"
    assert "orjson.loads" in str(error)
    with pytest.raises(EventError):
        encode_identity("u", {"a": orjson.Fragment(text)})


def test_a_fragment_on_one_line_is_sent_as_it_is() -> None:
    assert arrived(orjson.Fragment(b'{"a": [1, 2]}')) == {"a": [1, 2]}


def test_a_value_that_is_mended_before_anyone_looks_is_reported_as_changed() -> None:
    class Moody:
        moods = iter([1j, 1j, 1j])

        def model_dump(self, mode: str) -> object:
            return next(self.moods, 1)

    error = refused({"a": Moody()})
    assert error.path == "metadata"
    assert "changed while it was encoded" in str(error)


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


def test_a_refused_event_harms_no_other() -> None:
    good = encode_identity("u", {"a": 1})
    refused({"a": BAD})
    assert encode_identity("u", {"a": 1}) == good
