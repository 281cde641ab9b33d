"""Values of metadata arrive as documented."""

# ruff: noqa: DTZ001 - naive datetimes are under test

import collections
import enum
import json
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action, encode_identity
from tests.producer.encoding import arrived, decoded, refused
from tests.producer.samples import (
    MOMENT,
    Event,
    Line,
    Nanoseconds,
    NotATime,
    Order,
    Plan,
    Point,
    Text,
)


class Color(enum.Enum):
    RED = frozenset({1})


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
def test_a_value_arrives_unchanged_beside_a_key_that_is_not_text(
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
def test_a_key_of_metadata_that_is_not_text_is_written_as_text(key: object, expected: str) -> None:
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
def test_metadata_that_is_not_a_mapping_is_refused(metadata: object) -> None:
    assert refused(metadata).path == "metadata"
    with pytest.raises(EventError, match=r"^metadata: .* is refused; pass a dict, or None"):
        encode_identity("u", metadata)


def test_encoding_does_not_change_the_metadata() -> None:
    metadata = {1: {2}, "nested": [Decimal(1)]}
    encode_action("k", "u", False, MOMENT, metadata)
    assert metadata == {1: {2}, "nested": [Decimal(1)]}
