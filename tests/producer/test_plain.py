"""The error of an event that cannot be encoded names the path of the invalid value."""

import collections
import enum
import json
import math
import re
from collections import UserString
from collections.abc import Iterator
from datetime import UTC, date, timedelta
from datetime import time as time_of_day
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.errors import ActionsError, EventError, short_repr
from dataart_mp.producer.encoder import encode_identity
from dataart_mp.producer.plain import to_plain
from dataart_mp.testing import RecordingClient
from tests.producer.encoding import decoded, refused
from tests.producer.samples import INVALID, JSON, Line, Order, Plan, Point, Text, Translated


def test_the_message_names_path_type_value_and_fix() -> None:
    error = refused({"items": [0, 1, 2, {"raw": b"123456789abc"}]})
    assert str(error) == (
        "metadata.items[3].raw: bytes (b'123456789abc', 12 bytes) cannot be encoded; "
        "decode it or encode it as base64 text"
    )
    assert error.path == "metadata.items[3].raw"
    assert error.__cause__ is None


def test_the_path_of_an_invalid_value_in_an_identity_is_named() -> None:
    with pytest.raises(EventError) as caught:
        encode_identity("u", {"a": [b"x"]})
    assert caught.value.path == "metadata.a[0]"


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        ({"a": INVALID}, "metadata.a"),
        ({"a b": INVALID}, "metadata['a b']"),
        ({"": INVALID}, "metadata['']"),
        ({1: INVALID}, "metadata[1]"),
        ({1: 1, "a": {2: [INVALID]}}, "metadata.a[2][0]"),
        ({"a": (1, INVALID)}, "metadata.a[1]"),
        ({"a": {INVALID}}, "metadata.a[0]"),
        ({"a": Point(1, INVALID)}, "metadata.a[1]"),  # type: ignore[arg-type]
        ({"a": Line([INVALID])}, "metadata.a.price[0]"),
        ({"a": Order(INVALID)}, "metadata.a.total"),  # type: ignore[arg-type]
        ({"a": np.array([[1, INVALID]], dtype=object)}, "metadata.a[0][1]"),
        ({"a": MappingProxyType({"b": INVALID})}, "metadata.a.b"),
        ({"a": collections.deque([INVALID])}, "metadata.a[0]"),
        ({"good": list(range(1000)), "a": [[[INVALID]]]}, "metadata.a[0][0][0]"),
    ],
    ids=repr,
)
def test_the_path_leads_to_the_invalid_value(metadata: object, path: str) -> None:
    error = refused(metadata)
    assert error.path == path
    assert str(error).startswith(f"{path}: bytes (b'\\xff', 1 bytes) cannot be encoded; ")


STEPS = st.lists(st.integers(0, 3) | st.text("abc", min_size=1), min_size=1, max_size=30)


@given(STEPS, JSON)
def test_the_path_leads_to_an_invalid_value_at_any_place(
    steps: list[int | str], other: object
) -> None:
    value: object = INVALID
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
        (np.clongdouble(1 + 2j), "cannot be encoded"),
        (np.longdouble("1e4000"), "too large for a float"),
        (np.datetime64("20000-01-01T00:00:00.5"), "outside of 1 to 9999"),
        (object(), "cannot be encoded"),
        (Plan, "cannot be encoded"),
        (Order, "cannot be encoded"),
        (print, "cannot be encoded"),
        (iter(()), "cannot be encoded"),
    ],
    ids=lambda value: re.sub(r"( at | objec|\.\.\.x).*", "", short_repr(value, 30)),
)
def test_a_value_that_cannot_be_encoded_is_refused_with_a_fix(value: object, words: str) -> None:
    error = refused({"fine": 1, "value": value})
    assert error.path == "metadata.value"
    assert words in str(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize("key", [b"x", (1, 2), 2**64, frozenset(), np.complex64(1)], ids=repr)
def test_a_key_that_cannot_be_encoded_is_refused_with_a_fix(key: object) -> None:
    error = refused({"deep": [{"fine": 1, key: 1}]})
    assert error.path == "metadata.deep[0]"
    assert f"the key {type(key).__name__} " in str(error)
    assert "str(key)" in str(error)


COLLISIONS: list[dict[Any, Any]] = [
    {1: 1, "1": 2},
    {"1": 1, 1: 2},
    {True: 1, "true": 2},
    {None: 1, "null": 2},
    {1.5: 1, "1.5": 2},
    {np.int64(1): 1, "1": 2},
    {Text("a"): 1, Translated("a"): 2},
    {Translated("b"): 1, UserString("b"): 2},
    {date(2021, 5, 4): 1, "2021-05-04": 2},
    {math.nan: 1, None: 2},
]


@pytest.mark.parametrize("colliding", COLLISIONS, ids=repr)
def test_keys_that_are_the_same_text_are_refused(colliding: dict[Any, Any]) -> None:
    error = refused({"deep": [colliding]})
    assert error.path == "metadata.deep[0]"
    assert re.search(r"the keys \w+ \(.*\) and \w+ \(.*\) are both '.*' in JSON", str(error))
    assert refused(colliding).path == "metadata"


def test_keys_that_collide_are_refused_in_a_group() -> None:
    actions: list[dict[str, Any]] = [
        {"key": "k", "user_key": "u", "metadata": {1: 1, "1": 2}},
        {"key": "k"},
    ]
    with pytest.raises(ActionsError) as caught:
        RecordingClient().emit_actions(actions)
    assert [each.path for each in caught.value.errors] == [
        "actions[0].metadata",
        "actions[1].user_key",
    ]


def test_a_key_with_a_lone_surrogate_is_refused() -> None:
    error = refused({"deep": {"\ud800": 1}})
    assert error.path == "metadata.deep"
    assert "the key str ('\\ud800') has a lone surrogate" in str(error)


def test_an_enum_with_an_invalid_value_is_refused() -> None:
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
    assert "refers back to metadata, which contains it; break the cycle" in str(error)


def test_a_cycle_below_the_top_is_refused_where_it_closes() -> None:
    inner: list[object] = [0]
    inner.append([inner])
    error = refused({"a": {"b": inner}})
    assert error.path == "metadata.a.b[1][0]"
    assert "refers back to metadata.a.b," in str(error)


def test_the_search_ends_at_a_cycle_through_a_tuple() -> None:
    # orjson crashes on this cycle at some depths.
    inner: list[object] = [0]
    inner.append((inner,))
    for levels in range(4):
        metadata: Any = inner
        for _ in range(levels):
            metadata = [metadata]
        path = f"metadata.a{'[0]' * levels}[1][0]"
        assert refused({"a": metadata}).path == path


def test_the_search_visits_a_shared_value_only_once() -> None:
    shared: Any = []
    for _ in range(200):
        shared = [shared, shared]  # 2 ** 200 paths lead to the bottom
    with pytest.raises(EventError, match=r"^metadata\.b: bytes"):
        to_plain("metadata", {"a": shared, "b": INVALID})


def test_a_shared_value_is_not_a_cycle() -> None:
    shared = [1]
    assert decoded({"a": shared, "b": [shared, shared]}) == {"a": [1], "b": [[1], [1]]}


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels - 1):
        value = [value]
    return {"a": value}


def test_metadata_may_be_nested_as_deep_as_orjson_allows() -> None:
    assert decoded(nested(253)) == nested(253)
    error = refused(nested(254))
    assert error.path == "metadata"
    assert "nested more than 254 levels deep; flatten it" in str(error)


def test_a_cycle_with_many_branches_is_refused_at_once() -> None:
    parent: dict[str, Any] = {}
    parent["children"] = [{"parent": parent} for _ in range(1000)]
    assert refused(parent).path == "metadata.children[0].parent"


def test_metadata_with_very_many_containers_arrives_unchanged() -> None:
    metadata = {"rows": [{"cells": [number]} for number in range(20_000)]}
    assert decoded(metadata) == metadata


@pytest.mark.parametrize("value", [(), (1, "a"), ((1,), [2]), [({"a": (1,)},)]], ids=repr)
def test_a_tuple_becomes_a_list(value: object) -> None:
    assert decoded({"a": value}) == json.loads(json.dumps({"a": value}))


def test_the_attributes_of_an_object_are_checked_too() -> None:
    class Row:
        def __init__(self, value: object) -> None:
            self.value = value

    assert decoded({"row": vars(Row(Path("a")))}) == {"row": {"value": "a"}}
    assert refused({"row": [vars(Row(INVALID))]}).path == "metadata.row[0].value"


def test_an_invalid_value_below_the_maximum_depth_is_refused_for_its_depth() -> None:
    value: Any = INVALID
    for _ in range(2000):
        value = [value]
    assert "254 levels" in str(refused({"a": value}))


def test_an_infinite_conversion_is_refused() -> None:
    class Matryoshka:
        def model_dump(self, mode: str) -> "Matryoshka":
            return Matryoshka()

    error = refused({"a": Matryoshka()})
    assert "254 levels" in str(error)


def test_a_value_that_is_converted_to_itself_is_refused() -> None:
    class Stubborn:
        def model_dump(self, mode: str) -> "Stubborn":
            return self

    assert "refers back to metadata.a, which contains it" in str(refused({"a": Stubborn()}))


class Unreadable:
    def model_dump(self, mode: str) -> dict[str, Any]:
        raise RuntimeError("no connection")


class UnreadableMapping(collections.UserDict[str, int]):
    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no connection")


@pytest.mark.parametrize("value", [Unreadable(), UnreadableMapping(a=1)], ids=["model", "mapping"])
def test_an_exception_of_a_value_s_method_is_the_cause(value: object) -> None:
    error = refused({"a": [value]})
    assert error.path == "metadata.a[0]"
    assert "RuntimeError('no connection')" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


def test_an_exception_of_a_metadata_mapping_is_the_cause() -> None:
    error = refused(UnreadableMapping(a=1))
    assert error.path == "metadata"
    assert isinstance(error.__cause__, RuntimeError)


def test_a_dataclass_with_slots_of_which_one_is_not_set_is_refused() -> None:
    line = Line(1)
    del line.price
    error = refused({"a": line})
    assert error.path == "metadata.a"
    assert isinstance(error.__cause__, AttributeError)
