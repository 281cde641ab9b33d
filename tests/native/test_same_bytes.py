"""C writes the same bytes as the Python code, or leaves the event to it."""

import json
import math
import random
import string
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action
from tests.native.emitting import Emitter, needs_c
from tests.producer.samples import MOMENT, Event, Lazy, Mixed, Text
from tests.queue.tools import queue_of

pytestmark = needs_c

TEXTS = (
    st.text()
    | st.text(string.printable)
    | st.text('"\\/\b\t\n\f\r\x7f é€😀\u2028aaaaaa', max_size=40)
)
NUMBERS = st.integers(-(2**70), 2**70) | st.integers() | st.floats()
UNUSUAL = st.sampled_from(
    [Text("x"), Event.SIGNUP, Mixed.SIGNUP, Lazy("x"), Decimal("1.5"), (1, (2,)), b"x", {1}, MOMENT,
     "\ud800", date(2021, 5, 4), 1j]
)  # fmt: skip
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda children: (
        st.lists(children, max_size=4)
        | st.tuples(children, children)
        | st.dictionaries(TEXTS, children, max_size=4)
    ),
    max_leaves=12,
)
VALUES = PLAIN | UNUSUAL
METADATA = st.none() | st.dictionaries(TEXTS, VALUES, max_size=5) | VALUES
TIMESTAMPS = (
    st.datetimes(timezones=st.just(UTC))
    | st.datetimes(timezones=st.timezones() | st.just(timezone(timedelta(hours=2))))
    | st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
                    r"(\.[0-9]{0,12})?(Z|[+-][0-2][0-9]:[0-6][0-9])\Z")
    | TEXTS
)  # fmt: skip
KEYS = st.text(min_size=1) | TEXTS | st.just("play") | VALUES
FLAGS = st.booleans() | VALUES


@pytest.fixture(scope="module")
def emitter() -> Iterator[Emitter]:
    with queue_of(2, 1 << 20, records=1 << 19) as queue:
        yield Emitter(queue)


def check(emitter: Emitter, *arguments: Any) -> bool:
    """Emit an action, and compare the record with that of Python; return whether C wrote it."""
    emitter.make_room()
    try:
        expected = encode_action(*arguments)
    except EventError:
        expected = None

    def emit() -> None:
        try:
            assert emitter.emit(*arguments)
        except EventError:
            assert expected is None

    record = emitter.record_of(emit)
    assert record in (expected, None)
    if record is not None:
        json.loads(record)
    return record is not None


@given(KEYS, KEYS, FLAGS, (TIMESTAMPS | VALUES).filter(lambda value: value is not None), METADATA)
def test_any_action_has_the_bytes_of_the_python_encoder(
    emitter: Emitter, key: Any, user_key: Any, flag: Any, timestamp: Any, metadata: Any
) -> None:
    check(emitter, key, user_key, flag, timestamp, metadata)


@given(st.dictionaries(TEXTS, PLAIN, max_size=5))
def test_any_plain_metadata_have_the_bytes_of_the_python_encoder(
    emitter: Emitter, metadata: dict[str, Any]
) -> None:
    check(emitter, "k", "u", True, MOMENT, metadata)


@given(TIMESTAMPS)
def test_any_timestamp_has_the_bytes_of_the_python_encoder(
    emitter: Emitter, timestamp: Any
) -> None:
    check(emitter, "k", "u", False, timestamp, None)


@given(st.lists(st.fixed_dictionaries({"key": KEYS, "user_key": KEYS}, optional={
    "is_anonymous_user": FLAGS, "timestamp": TIMESTAMPS | st.none(), "metadata": METADATA,
    "unknown": st.none()}) | VALUES, max_size=5))  # fmt: skip
def test_actions_in_bulk_have_the_bytes_of_the_python_encoder(
    emitter: Emitter, actions: list[Any]
) -> None:
    """The first one that C does not write is a refused or an unusual one."""
    emitter.make_room()
    emitted: list[int] = []
    record = emitter.record_of(lambda: emitted.append(emitter.emit_bulk(actions, 0, MOMENT)))
    usual = actions[: emitted[0]]
    expected = [
        encode_action(**{**action, "timestamp": MOMENT} if _is_now(action) else action)
        for action in usual
    ]
    assert (record or b"") == b"".join(expected)


def _is_now(action: dict[str, Any]) -> bool:
    return action.get("timestamp") is None


USUAL: list[tuple[Any, ...]] = [
    ("k", "u", False, MOMENT, None),
    ("k", "u", True, MOMENT.replace(microsecond=0), {}),
    ("k" * 200, "é€😀" * 20, True, "2024-02-29T23:59:59.123456789+05:30", None),
    ('"\\/\n', "\0\x1f\x7f\u2028", False, "0001-01-01T00:00:00Z", {"\n": "\t" * 9, "": 'aaaaaaa"'}),
    ("k", "u", False, datetime(1, 1, 1, tzinfo=UTC), {"a": [], "b": {}, "c": ()}),
    ("k", "u", False, MOMENT, {"i": [0, -1, 2**63 - 1, -(2**63), 10**18]}),
    ("k", "u", False, MOMENT, {"f": [0.0, -0.0, 1e16, 1e-7, 1e22, 5e-324, 1.79e308]}),
    ("k", "u", False, MOMENT, {"f": [math.nan, math.inf, -math.inf, 0.1, 1234567.125, 1e-5]}),
    ("k", "u", False, MOMENT, {"n": [None, True, False, [[{"a": {"b": ("c", [1.5])}}]]]}),
]  # fmt: skip


@pytest.mark.parametrize("arguments", USUAL)
def test_usual_actions_are_written_in_c(emitter: Emitter, arguments: tuple[Any, ...]) -> None:
    assert check(emitter, *arguments)


def test_an_action_of_about_8_kilobytes_has_the_bytes_of_the_python_encoder(
    emitter: Emitter,
) -> None:
    """Around the size up to which C writes actions, however they are composed."""
    texts = ("x" * length for length in range(7950, 8250, 3))
    in_c = [check(emitter, "k", "u", False, MOMENT, {"t": text}) for text in texts]
    for length in range(7950, 8250, 12):
        check(emitter, "k", "u", False, MOMENT, {"t": '"' * (length // 2), "é": 1})
        check(emitter, "k", "u", False, MOMENT, {"\1" * (length // 6): "a" * 10})
        check(emitter, "k" * (length - 200), "u" * 200, False, MOMENT, {"t": list(range(9))})
        check(emitter, "k", "é" * (length // 2), False, MOMENT, {"n": [[[[{"a": {}}]]]] * 5})
    assert sorted(in_c, reverse=True) == in_c, "shorter ones in C, longer ones in Python"
    assert {*in_c} == {True, False}


def test_deep_and_cyclic_metadata_are_left_to_python(emitter: Emitter) -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    assert not check(emitter, "k", "u", False, MOMENT, {"deep": deep})
    cycle: dict[str, Any] = {}
    cycle["cycle"] = cycle
    assert not check(emitter, "k", "u", False, MOMENT, cycle)


# Random events are more like those of applications than those of hypothesis.

ALPHABET = string.ascii_letters + string.digits + " _-./"
ODD = ['"', "\\", "\n", "\0", "\x1f", "\x7f", "é", "\u2028", "😀", "\t"]


def random_text(source: random.Random) -> str:
    size = source.choice([1, 3, 7, 8, 9, 15, 16, 17, 40])
    letters = source.choices(ALPHABET, k=size)
    if source.random() < 0.1:
        letters[source.randrange(size)] = source.choice(ODD)
    return "".join(letters)


def random_value(source: random.Random, depth: int) -> Any:
    match source.randrange(12 if depth else 9):
        case 0:
            return source.choice([None, True, False, 0, -1, 2**53, 2**63, 2**64, -(2**63), 0.0])
        case 1 | 2:
            return source.randrange(-(10**6), 10**6)
        case 3:
            return source.random() * 10 ** source.randrange(-30, 30)
        case 4:
            return source.randrange(2**62) >> source.randrange(62)
        case 9:
            return [random_value(source, depth - 1) for _ in range(source.randrange(4))]
        case 10 | 11:
            return random_metadata(source, depth - 1)
        case _:
            return random_text(source)


def random_metadata(source: random.Random, depth: int) -> dict[str, Any]:
    return {random_text(source): random_value(source, depth) for _ in range(source.randrange(6))}


def random_timestamp(source: random.Random) -> datetime | str:
    moment = datetime.fromtimestamp(source.randrange(2**32), UTC)
    if source.random() < 0.7:
        moment = moment.replace(microsecond=source.randrange(10**6))
    if source.random() < 0.7:
        return moment
    text = moment.isoformat()
    return text.replace("+00:00", "Z") if source.random() < 0.5 else text


def check_random_actions(emitter: Emitter, count: int) -> None:
    source = random.Random(count)
    in_c = 0
    for _ in range(count):
        metadata = None if source.random() < 0.1 else random_metadata(source, depth=3)
        key, user_key, flag = random_text(source), random_text(source), source.random() < 0.5
        in_c += check(emitter, key, user_key, flag, random_timestamp(source), metadata)
    assert in_c > 0.8 * count


def test_random_actions_have_the_bytes_of_the_python_encoder(emitter: Emitter) -> None:
    check_random_actions(emitter, 5_000)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_million_random_actions_have_the_bytes_of_the_python_encoder(emitter: Emitter) -> None:
    check_random_actions(emitter, 1_000_000)
