"""Values of many types, which tests of the encoder emit."""

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import pydantic
from hypothesis import strategies as st

MOMENT = datetime(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)
INVALID = b"\xff"
"""A value that cannot be encoded."""

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
"""Values that JSON can express."""


class Text(str):
    __slots__ = ()


class Event(enum.StrEnum):
    SIGNUP = "signup"


class Nanoseconds(datetime):
    """A subclass of datetime with nanoseconds, such as pandas.Timestamp."""

    def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
        whole = super().isoformat(sep, "microseconds")
        return f"{whole[:26]}789{whole[26:]}"


class NotATime(datetime):
    """A datetime that is not equal to itself, such as pandas.NaT."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


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


class Plan(pydantic.BaseModel):
    name: str
    price: Decimal
    since: datetime
    tags: set[str] = set()
