"""Find the value that keeps an event from being encoded. Runs only after encoding has failed.

orjson names the type of the invalid value, but not its place. So the event is walked in the order
in which orjson would write it, and each leaf is encoded separately.
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
"""Levels of containers in one argument: orjson allows 254, and the event itself is the first."""

CanEncode = Callable[[object], bool]
"""Whether a leaf can be encoded.

It is never called with a container: orjson checks the depth of every container but a tuple, so a
cycle through a tuple is an error at some depths and crashes the process at others.
"""

Step = tuple[str, object]
"""One step down: the suffix that it adds to the path, and the value there."""

_NATIVE_LEAVES = str | int | float | None | date | time | UUID


class _Problem(Exception):  # noqa: N818 - a result of the search, not an error of the program
    """The current value is invalid; the text is the rest of the error message."""


@dataclass(slots=True)
class _Level:
    """A container on the path to the current value."""

    path: str
    depth: int
    value: object
    parts: Iterator[Step]


def locate(event: Mapping[str, object], can_encode: CanEncode) -> EventError | None:
    """Find the value that keeps an event from being encoded.

    Args:
        event: The fields of the event, by name.
        can_encode: See `CanEncode`.

    Returns:
        The error of the first invalid value, with path, type, value and fix. Its cause is the
        exception that a method of the value raised, if any. None if all values can be encoded.
    """
    for name, value in event.items():
        error = _Walk(name, can_encode).locate(value)
        if error is not None:
            return error
    return None


class _Walk:
    """A depth-first walk through one field of an event, without recursive calls."""

    def __init__(self, name: str, can_encode: CanEncode) -> None:
        self._path = name
        self._value: object = None
        self._can_encode = can_encode
        self._levels: list[_Level] = []
        self._open: dict[int, str] = {}  # id of each container on the path: its path
        self._done: dict[int, object] = {}  # finished containers; kept, so that no id is reused

    def locate(self, value: object) -> EventError | None:
        try:
            self._visit(self._path, value, 1)
            while self._levels:
                self._visit_next_part(self._levels[-1])
        except _Problem as problem:
            return EventError(f"{self._path}: {problem}", self._path)
        except Exception as error:  # noqa: BLE001 - the value's own methods may raise anything
            return _unreadable(self._path, self._value, error)
        return None

    def _visit_next_part(self, level: _Level) -> None:
        self._path, self._value = level.path, level.value
        step = next(level.parts, None)
        if step is None:
            self._finish(self._levels.pop())
        else:
            suffix, part = step
            self._visit(level.path + suffix, part, level.depth + bool(suffix))

    def _visit(self, path: str, value: object, depth: int) -> None:
        self._path, self._value = path, value
        if _is_leaf(value):
            if not self._can_encode(value):
                raise _Problem(_describe_leaf(value))
        elif id(value) in self._open:
            outer = self._open[id(value)]
            raise _Problem(f"refers back to {outer}, which contains it; break the cycle")
        elif id(value) not in self._done:
            self._enter(_Level(path, depth, value, _parts(value, self._can_encode)))

    def _enter(self, level: _Level) -> None:
        # The second limit is for conversions of one value into the next, which add no depth.
        if level.depth > MAX_DEPTH or len(self._levels) > 4 * MAX_DEPTH:
            self._path = self._levels[0].path
            raise _Problem("is nested more than 254 levels deep; flatten it")
        self._open[id(level.value)] = level.path
        self._levels.append(level)

    def _finish(self, level: _Level) -> None:
        del self._open[id(level.value)]
        self._done[id(level.value)] = level.value


def _is_leaf(value: object) -> bool:
    if isinstance(value, Enum):
        return False  # its `value` may be invalid
    return isinstance(value, _NATIVE_LEAVES) or type(value).__module__ == "orjson"


def _parts(value: object, can_encode: CanEncode) -> Iterator[Step]:
    """Yield the steps to the parts of a container, or to the conversion of another value."""
    match value:
        case Enum():
            yield "", value.value
        case dict():
            yield from _entries(value, can_encode)
        case list() | tuple():
            yield from ((f"[{index}]", part) for index, part in enumerate(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _attributes(value)
        case _:
            yield "", _converted(value)


def _entries(value: dict[object, object], can_encode: CanEncode) -> Iterator[Step]:
    for key, part in list(value.items()):  # a copy: another thread may change the dict
        if not can_encode({key: None}):
            raise _Problem(_describe_key(key))
        yield _step(key), part


def _step(key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f".{key}"
    return f"[{short_repr(key)}]"


def _attributes(value: object) -> Iterator[Step]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        if not field.name.startswith("_"):  # orjson omits private fields
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
    converted = _converted(value)  # usually raises the problem
    return f"{_describe(value)} cannot be encoded; pass {_describe(converted)} instead"


def _describe_text(value: str) -> str:
    index = next((i for i, letter in enumerate(value) if "\ud800" <= letter <= "\udfff"), 0)
    problem = f"has a lone surrogate at index {index}, which UTF-8 cannot encode"
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
