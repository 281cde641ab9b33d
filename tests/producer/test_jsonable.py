"""Values of metadata arrive as documented."""

# ruff: noqa: DTZ001 - naive datetimes are under test

import collections
import enum
import json
import math
import uuid
import warnings
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dataart_mp.errors import EventError
from dataart_mp.producer.encoder import encode_action, encode_identity
from tests.producer.encoding import arrived, decoded, refused
from tests.producer.samples import (
    MOMENT,
    Event,
    Lazy,
    Line,
    Nanoseconds,
    NAType,
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


def nat_without_unit() -> np.datetime64:
    """Not-a-time as programs make it that ignore numpy's warning, which exists since numpy 2.5."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.datetime64("NaT")


UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s"]
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
    *((np.array("NaT", f"M8[{unit}]")[()], None) for unit in UNITS),
    *((np.array(["NaT", 0], f"M8[{unit}]"), [None, "1970-01-01T00:00:00"]) for unit in UNITS),
    *((np.array("NaT", f"m8[{unit}]")[()], None) for unit in UNITS),
    (nat_without_unit(), None),
    (np.array(["NaT"], "m8[s]"), [None]),
    (np.array("NaT", "M8[ns]"), None),
    (np.datetime64("10000-01-01"), "10000-01-01T00:00:00"),
    (np.datetime64("-0001-01-01"), "-001-01-01T00:00:00"),
    (np.array(["10000", "2021"], "M8[Y]"), ["10000-01-01T00:00:00", "2021-01-01T00:00:00"]),
    (np.array([(1, "NaT")], "i8,M8[ns]"), [[1, None]]),
    (np.longdouble("nan"), None),
    (np.array([1.5, np.nan], np.longdouble), [1.5, None]),
    (np.longlong(5), 5),
    (np.ulonglong(2**64 - 1), 2**64 - 1),
    (NAType(), None),
    ([NAType(), {"a": NAType()}], [None, {"a": None}]),
    (collections.UserString("a"), "a"),
    (Lazy({"a": {1}}), {"a": [1]}),
    (Lazy([1, 2]), [1, 2]),
    (Lazy(5), 5),
    (Lazy(True), True),
    (Lazy(None), None),
    (Lazy(MOMENT), "2021-05-04T10:11:12.123456+00:00"),
    (datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "1849-12-31T23:06:32+00:00"),
    (datetime(2021, 5, 4, tzinfo=timezone(timedelta(seconds=90))), "2021-05-03T23:58:30+00:00"),
    (
        Nanoseconds(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        "1849-12-31T23:06:32.000000789+00:00",
    ),
    (datetime(2021, 5, 4, tzinfo=ZoneInfo("Europe/Berlin")), "2021-05-04T00:00:00+02:00"),
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
        (np.int64(1), "1"),
        (np.uint8(1), "1"),
        (np.longlong(1), "1"),
        (np.float32(1.1), "1.1"),
        (np.bool_(True), "true"),
        (np.datetime64("2021-05-04"), "2021-05-04T00:00:00"),
        (datetime(1850, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "1849-12-31T23:06:32+00:00"),
        (collections.UserString("a"), "a"),
        (Amount(1.5), "1.5"),
        (math.nan, "null"),
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
