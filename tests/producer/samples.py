"""Values of many types, which tests of the encoder emit."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

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


class Mixed(str, enum.Enum):  # noqa: UP042 - its text is "Mixed.SIGNUP"
    SIGNUP = "signup"


class Translated(str):
    """A text whose letters are known late, as those of a translation."""

    late: str

    def __new__(cls, late: str) -> "Translated":
        text = super().__new__(cls, "?")
        text.late = late
        return text

    def __str__(self) -> str:
        return self.late


class Lazy:
    """A proxy that says that it is its object, such as those of Django, werkzeug and wrapt."""

    def __init__(self, made: object) -> None:
        self.made = made

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return type(object.__getattribute__(self, "made"))

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "made"), name)

    def __str__(self) -> str:
        return str(self.made)

    def __bool__(self) -> bool:
        return bool(self.made)

    def __int__(self) -> int:
        return int(self.made)  # type: ignore[call-overload, no-any-return]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.made)  # type: ignore[call-overload, no-any-return]

    def __len__(self) -> int:
        return len(self.made)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> Any:
        return self.made[key]  # type: ignore[index]


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


class NAType:
    """A value that is neither true nor false nor equal to itself, such as pandas.NA."""

    def __eq__(self, other: object) -> "NAType":  # type: ignore[override]
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = object.__hash__


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
