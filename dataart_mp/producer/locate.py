"""Where in an event the value is that cannot be encoded: looked for only after it failed.

orjson names the type at fault, never the place. So the event is walked in the order in which it
would have been written, and each leaf is tried on its own.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from uuid import UUID

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.jsonable import Refused, to_jsonable

MAX_DEPTH = 253
"""Levels of containers in one argument: orjson nests 254, and the event itself is the first."""

Encodes = Callable[[object], bool]
"""Whether a leaf can be encoded.

It is never asked about a container: orjson checks its depth at every level but a tuple's, so a
cycle through a tuple is an error at one depth and the end of the process at another.
"""

Step = tuple[str, object]
"""One step down: what it adds to the path, and the value there."""

_NATIVE_LEAVES = str | int | float | None | date | time | UUID


class _Problem(Exception):  # noqa: N818 - found, not met
    """What is wrong with the value that was looked at, as the rest of the message."""


@dataclass(slots=True)
class _Level:
    """A container on the way down."""

    path: str
    depth: int
    value: object
    parts: Iterator[Step]


def locate(event: Mapping[str, object], encodes: Encodes) -> EventError | None:
    """Say which value keeps an event from being encoded.

    Args:
        event: The event's fields, by name.
        encodes: See `Encodes`.

    Returns:
        The error of the first value at fault, with path, type, value and remedy, its cause what
        the value's own methods raised, if that was it; None when nothing is wrong any more.
    """
    for name, value in event.items():
        error = _Walk(name, encodes).locate(value)
        if error is not None:
            return error
    return None


class _Walk:
    """Goes through one field of an event, depth first, without recursion of its own."""

    def __init__(self, name: str, encodes: Encodes) -> None:
        self._path = name
        self._value: object = None
        self._encodes = encodes
        self._levels: list[_Level] = []
        self._above: dict[int, str] = {}  # the containers that we are in, and their paths
        self._done: dict[int, object] = {}  # and those that we have left; kept, so no id returns

    def locate(self, value: object) -> EventError | None:
        try:
            self._arrive(self._path, value, 1)
            while self._levels:
                self._go_on(self._levels[-1])
        except _Problem as problem:
            return EventError(f"{self._path}: {problem}", self._path)
        except Exception as error:  # noqa: BLE001 - the value's own methods may raise anything
            return _unreadable(self._path, self._value, error)
        return None

    def _go_on(self, level: _Level) -> None:
        self._path, self._value = level.path, level.value
        step = next(level.parts, None)
        if step is None:
            self._leave(self._levels.pop())
        else:
            suffix, part = step
            self._arrive(level.path + suffix, part, level.depth + bool(suffix))

    def _arrive(self, path: str, value: object, depth: int) -> None:
        self._path, self._value = path, value
        if _is_leaf(value):
            if not self._encodes(value):
                raise _Problem(_describe_leaf(value))
        elif id(value) in self._above:
            above = self._above[id(value)]
            raise _Problem(f"is {above} again, which contains it; break the cycle")
        elif id(value) not in self._done:
            self._enter(_Level(path, depth, value, _parts(value, self._encodes)))

    def _enter(self, level: _Level) -> None:
        # The second bound is for conversions, which add no depth, of one thing into the next.
        if level.depth > MAX_DEPTH or len(self._levels) > 4 * MAX_DEPTH:
            self._path = self._levels[0].path
            raise _Problem("is nested more than 254 levels deep; flatten it")
        self._above[id(level.value)] = level.path
        self._levels.append(level)

    def _leave(self, level: _Level) -> None:
        del self._above[id(level.value)]
        self._done[id(level.value)] = level.value


def _is_leaf(value: object) -> bool:
    if isinstance(value, Enum):
        return False  # its value is to blame, if any
    return isinstance(value, _NATIVE_LEAVES) or type(value).__module__ == "orjson"


def _parts(value: object, encodes: Encodes) -> Iterator[Step]:
    """Yield the steps to what a container is made of, or to what a value is turned into."""
    match value:
        case Enum():
            yield "", value.value
        case dict():
            yield from _entries(value, encodes)
        case list() | tuple():
            yield from ((f"[{index}]", part) for index, part in enumerate(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _attributes(value)
        case _:
            yield "", _converted(value)


def _entries(value: dict[object, object], encodes: Encodes) -> Iterator[Step]:
    for key, part in list(value.items()):  # another thread may change it meanwhile
        if not encodes({key: None}):
            raise _Problem(_describe_key(key))
        yield _step(key), part


def _step(key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f".{key}"
    return f"[{short_repr(key)}]"


def _attributes(value: object) -> Iterator[Step]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        if not field.name.startswith("_"):  # those orjson leaves out
            yield f".{field.name}", getattr(value, field.name)


def _converted(value: object) -> object:
    try:
        return to_jsonable(value)
    except Refused as refusal:
        raise _Problem(f"{_describe(value)} cannot be encoded; {refusal}") from None


def _describe_leaf(value: object) -> str:
    if isinstance(value, str):
        return _describe_text(value)
    if isinstance(value, int):
        return f"{_describe(value)} is wider than 64 bits; pass it as text"
    converted = _converted(value)  # raises what is wrong, most often
    return f"{_describe(value)} cannot be encoded; pass {_describe(converted)} instead"


def _describe_text(value: str) -> str:
    index = next((i for i, letter in enumerate(value) if "\ud800" <= letter <= "\udfff"), 0)
    problem = f"has a lone surrogate at index {index}, which UTF-8 cannot carry"
    return f"{_describe(value)} {problem}; pass value.encode(errors='replace').decode()"


def _describe_key(key: object) -> str:
    if isinstance(key, str):
        return f"the key {_describe_text(key)}"
    return f"the key {_describe(key)} cannot be a key in JSON; pass text, such as str(key)"


def _describe(value: object) -> str:
    size = f", {len(value)} bytes" if isinstance(value, bytes | bytearray) else ""
    return f"{type(value).__name__} ({short_repr(value)}{size})"


def _unreadable(path: str, value: object, error: Exception) -> EventError:
    problem = f"{_describe(value)} cannot be read: it raised {short_repr(error)}"
    unreadable = EventError(f"{path}: {problem}; pass plain dicts, lists and text instead", path)
    unreadable.__cause__ = error
    return unreadable
