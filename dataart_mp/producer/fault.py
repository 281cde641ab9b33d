"""Where in an event the value is that cannot be encoded: looked for only after it failed.

orjson names the type at fault, never the place. So: of the parts of what failed, take the first
that fails on its own, and go on with its parts, until no part does.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.jsonable import Refused, to_jsonable

Encodes = Callable[[object], bool]
"""Whether a value can be encoded where it stands: one level below the event."""

_MOST_STEPS = 1000  # on the way down: orjson's 254 levels, with a conversion or two at each
_TOO_DEEP = "is nested more than 254 levels deep; flatten it"


class _Problem(Exception):  # noqa: N818 - found, not met
    """What is wrong with the value that was looked at, as the rest of the message."""


def find_fault(event: Mapping[str, object], encodes: Encodes) -> EventError | None:
    """Say which value keeps an event from being encoded.

    Args:
        event: The event's fields, by name.
        encodes: Tells of a value whether it can be encoded.

    Returns:
        An error with path, type, value and remedy, its cause what the value's own methods
        raised, if that was it; None when each field can be encoded after all.
    """
    for name, value in event.items():
        if not encodes(value):
            return _descend(name, value, encodes)
    return None


def _descend(name: str, value: object, encodes: Encodes) -> EventError | None:
    path = name
    above: list[tuple[object, str]] = []
    while len(above) < _MOST_STEPS:
        for container, its_path in above:
            if container is value:
                return _error(path, f"is {its_path} again, which contains it; break the cycle")
        above.append((value, path))
        try:
            part = _first_failing_part(value, encodes)
        except _Problem as problem:
            return _error(path, str(problem))
        except Exception as error:  # noqa: BLE001 - the value's own methods may raise anything
            return _broken(path, value, error)
        if part is None:
            return None if encodes(value) else _error(name, _TOO_DEEP)
        path, value = path + part[0], part[1]
    return _error(name, _TOO_DEEP)


def _first_failing_part(value: object, encodes: Encodes) -> tuple[str, object] | None:
    for step, part in _parts(value, encodes):
        if not encodes(part):
            return step, part
    return None


def _parts(value: object, encodes: Encodes) -> Iterator[tuple[str, object]]:
    """Yield what a value is made of, each with the step of the path that leads there."""
    match value:
        case Enum():
            yield "", value.value
        case str():
            raise _Problem(_describe_text(value))
        case int():
            raise _Problem(f"{_describe(value)} is wider than 64 bits; pass it as text")
        case dict():
            yield from _entries(value, encodes)
        case list() | tuple():
            yield from ((f"[{index}]", part) for index, part in enumerate(value))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _attributes(value)
        case _:
            yield "", _converted(value)


def _entries(value: dict[object, object], encodes: Encodes) -> Iterator[tuple[str, object]]:
    for key, part in list(value.items()):  # another thread may change it meanwhile
        if not encodes({key: None}):
            raise _Problem(_describe_key(key))
        yield _step(key), part


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        if not field.name.startswith("_"):  # those orjson leaves out
            yield f".{field.name}", getattr(value, field.name)


def _converted(value: object) -> object:
    try:
        return to_jsonable(value)
    except Refused as refusal:
        raise _Problem(f"{_describe(value)} cannot be encoded; {refusal}") from None


def _step(key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return f".{key}"
    return f"[{short_repr(key)}]"


def _describe(value: object) -> str:
    size = f", {len(value)} bytes" if isinstance(value, bytes | bytearray) else ""
    return f"{type(value).__name__} ({short_repr(value)}{size})"


def _describe_text(value: str) -> str:
    index = next((i for i, letter in enumerate(value) if "\ud800" <= letter <= "\udfff"), 0)
    problem = f"has a lone surrogate at index {index}, which UTF-8 cannot carry"
    return f"{_describe(value)} {problem}; pass value.encode(errors='replace').decode()"


def _describe_key(key: object) -> str:
    if isinstance(key, str):
        return f"the key {_describe_text(key)}"
    return f"the key {_describe(key)} cannot be a key in JSON; pass text, such as str(key)"


def _broken(path: str, value: object, error: Exception) -> EventError:
    problem = f"{_describe(value)} cannot be read: it raised {short_repr(error)}"
    broken = _error(path, f"{problem}; pass plain dicts, lists and text instead")
    broken.__cause__ = error
    return broken


def _error(path: str, problem: str) -> EventError:
    return EventError(f"{path}: {problem}", path)
