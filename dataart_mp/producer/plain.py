"""Convert the fields of an event into plain values, or name the place of an invalid one.

Plain values are those that orjson encodes without calling Python code: `str`, `int`, `float`,
`bool`, None, `list`, `dict`, and numbers of numpy. Python code must not run inside of orjson: it
may raise where orjson does not expect an exception, and change a container that orjson is reading,
and both crash the process. Methods of an application's values therefore run here, before, and
orjson gets a copy that nobody else knows.

Each event therefore pays for a look at the type of each of its values, in `are_plain`. No function
of the standard library does that faster for a small event and is safe: `marshal.dumps` accepts an
enum of bytes, and does not end for some cycles; `gc.get_referents` does not see the values of
`vars(object)` since Python 3.13.
"""

import operator
from collections.abc import Iterable, Mapping
from itertools import islice
from types import NoneType
from typing import Any, Final, NoReturn

import orjson

from dataart_mp.errors import EventError, short_repr
from dataart_mp.producer.jsonable import TO_ATOM, Refused, is_native_number, to_jsonable

ATOMS: Final = frozenset({str, int, float, bool, NoneType})
"""The types of plain values that are not containers."""

_LISTS: Final = frozenset({list, tuple, set, frozenset})  # the types of what becomes a list
_MAX_CONTAINERS: Final = 10_000  # in metadata that is checked in one loop; a cycle has no end

_MAX_DEPTH: Final = 253  # of containers in an argument; orjson allows 254, with the event itself
_MAX_CONVERSIONS: Final = 254  # of values that are converted into others; orjson allows as many
_KEY_WORDS: Final[dict[object, str]] = {None: "null", True: "true", False: "false"}
_TOO_DEEP: Final = "is nested more than 254 levels deep; flatten it"

# Not all numbers of numpy are known to orjson: not longlong, and halves only to newer versions.
_to_number: Final = operator.methodcaller("tolist")


def encode_plain(value: object, options: int = 0) -> bytes:
    """Encode a result of `to_plain`.

    Args:
        value: A plain value, or a container of such values that is nested one level deeper.
        options: Further options of orjson.

    Raises:
        TypeError: A container is nested too deep, because it is used at several places.
    """
    return orjson.dumps(value, _to_number, orjson.OPT_SERIALIZE_NUMPY | options)


def are_plain(metadata: dict[Any, Any]) -> bool:
    """Whether all values in a dict, and in the containers among them, are plain.

    It is False, though the values may be plain, for a tuple with containers in it, because orjson
    crashes if tuples are nested too deep, and for metadata with very many containers.

    Args:
        metadata: Any dict. The methods of its values are not called.

    Raises:
        RuntimeError: Another thread has changed a dict meanwhile.
    """
    containers: list[Iterable[Any]] = [metadata.values()]  # grows in the loop
    for container in islice(containers, _MAX_CONTAINERS):
        for value in container:
            kind = type(value)
            if kind in ATOMS:
                continue
            if kind is dict:
                containers.append(value.values())
            elif kind is list:
                containers.append(value)
            elif kind is not tuple or not ATOMS.issuperset(map(type, value)):
                return False
    return len(containers) <= _MAX_CONTAINERS


def to_plain(name: str, value: object) -> Any:
    """Convert a value, with all that it contains, into plain values.

    Args:
        name: The name of the argument, with which the path of an error begins.
        value: Any object.

    Returns:
        A plain value. It shares no container with the given one. Its texts and integers are not
        checked: see `find_invalid_atom`.

    Raises:
        EventError: The value cannot be sent. The error has the path, type, value and fix of the
            first invalid value; its cause is the exception that a method of the value raised.
    """
    return _walk(_Walk(name, checks_atoms=False), value)


def to_sendable(name: str, value: object) -> Any:
    """Convert a value as `to_plain` does, and check its texts and integers as well.

    Raises:
        EventError: As for `to_plain`.
    """
    plain = to_plain(name, value)
    invalid = find_invalid_atom({name: plain})
    if invalid is not None:
        raise invalid
    return plain


def find_invalid_atom(event: Mapping[str, object]) -> EventError | None:
    """Find the text or integer because of which orjson refuses to encode plain values.

    orjson names the type of the invalid value, but not its place.

    Args:
        event: The fields of the event, by name.

    Returns:
        The error of the first invalid value; None if there is none.
    """
    try:
        for name, value in event.items():
            _walk(_Walk(name, checks_atoms=True), value)
    except EventError as error:
        return error
    return None


def _walk(walk: "_Walk", value: object) -> object:
    try:
        return walk.convert(value)
    except _Problem as problem:
        raise EventError(f"{walk.path}: {problem}", walk.path) from None
    except Exception as error:
        problem_text = f"{_describe(walk.value)} cannot be read: it raised {short_repr(error)}"
        raise EventError(
            f"{walk.path}: {problem_text}; pass plain dicts, lists and text instead", walk.path
        ) from error


class _Problem(Exception):  # noqa: N818 - a result of the walk, not an error of the program
    """The current value is invalid; the text is the rest of the error message."""


class _Walk:
    """A depth-first walk through one field of an event.

    Args:
        name: The name of the field.
        checks_atoms: Whether to check texts and integers as well.

    Attributes:
        value: The current value.
    """

    def __init__(self, name: str, *, checks_atoms: bool) -> None:
        self.value: object = None
        self._name = name
        self._checks_atoms = checks_atoms
        self._steps: list[object] = []  # keys and indexes that lead to the current value
        self._open: dict[int, int] = {}  # id of each value on the way there: its number of steps
        self._conversions = 0
        self._done: dict[int, tuple[object, object]] = {}  # by id; holds the value, so it is unique

    @property
    def path(self) -> str:
        """The path of the current value."""
        return self._path(len(self._steps))

    def _path(self, steps: int) -> str:
        return self._name + "".join(map(_step, self._steps[:steps]))

    def convert(self, value: Any) -> object:
        """Return the plain value of the current value."""
        self.value = value
        kind = type(value)
        if kind in ATOMS:
            if self._checks_atoms:
                _check_atom(value)
            return value
        to_atom = TO_ATOM.get(kind)
        if to_atom is not None:
            return to_atom(value)
        if kind is orjson.Fragment:
            _check_fragment(value)
            return value
        if kind is not dict and kind not in _LISTS and is_native_number(value):
            return value
        done = self._done.get(id(value))
        if done is not None:
            return done[1]
        if id(value) in self._open:
            outer = self._path(self._open[id(value)])
            raise _Problem(f"refers back to {outer}, which contains it; break the cycle")
        self._open[id(value)] = len(self._steps)
        plain: object
        if kind is dict:
            plain = self._dict(value)
        elif kind in _LISTS:
            plain = self._list(value)
        else:
            plain = self._converted(value)
        del self._open[id(value)]
        self._done[id(value)] = value, plain
        return plain

    def _converted(self, value: object) -> object:
        self._conversions += 1
        if self._conversions > _MAX_CONVERSIONS:
            self._refuse_depth()
        try:
            other = to_jsonable(value)
        except Refused as refusal:
            raise _Problem(f"{_describe(value)} cannot be encoded; {refusal}") from None
        plain = self.convert(other)
        self._conversions -= 1
        return plain

    def _list(self, value: Iterable[object]) -> list[object]:
        self._check_depth()
        steps, skips_atoms = self._steps, not self._checks_atoms
        plain: list[object] = []
        for index, part in enumerate(list(value)):  # a copy: a method of a part may change it
            if skips_atoms and type(part) in ATOMS:
                plain.append(part)
            else:
                steps.append(index)
                plain.append(self.convert(part))
                steps.pop()
        return plain

    def _dict(self, value: dict[object, object]) -> dict[str, object]:
        self._check_depth()
        steps, skips_atoms = self._steps, not self._checks_atoms
        plain: dict[str, object] = {}
        parts = list(value.items())  # a copy, as above
        for key, part in parts:
            text = key if skips_atoms and type(key) is str else self._key(key, value)
            if skips_atoms and type(part) in ATOMS:
                plain[text] = part
            else:
                steps.append(key)
                plain[text] = self.convert(part)
                steps.pop()
        if len(plain) < len(parts):
            raise _Problem(_describe_collision([key for key, _ in parts]))
        return plain

    def _key(self, key: object, value: object) -> str:
        self.value = value
        return _key_as_text(key)

    def _check_depth(self) -> None:
        if len(self._steps) >= _MAX_DEPTH:
            self._refuse_depth()

    def _refuse_depth(self) -> NoReturn:
        self._steps.clear()
        raise _Problem(_TOO_DEEP)


def _check_atom(value: object) -> None:
    if type(value) is str:
        _check_text(value)
    elif type(value) is int and not -(2**63) <= value < 2**64:
        raise _Problem(f"{_describe(value)} is wider than 64 bits; pass it as text")


def _check_text(value: str, prefix: str = "") -> None:
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        problem = f"has a lone surrogate at index {error.start}, which UTF-8 cannot encode"
        fix = "pass value.encode(errors='replace').decode()"
        raise _Problem(f"{prefix}{_describe(value)} {problem}; {fix}") from None


def _check_fragment(value: object) -> None:
    """Check an `orjson.Fragment`, which orjson writes without validating it."""
    try:
        text = orjson.dumps(value)
        orjson.loads(text)
    except ValueError as error:  # no JSON
        problem = f"an invalid orjson.Fragment ({error})"
    except TypeError as error:  # neither bytes nor valid text
        problem = f"an invalid orjson.Fragment ({error})"
    else:
        if b"\n" not in text and b"\r" not in text:
            return
        problem = "an orjson.Fragment with a raw line break"
    fix = "it must hold JSON without line breaks; pass orjson.loads(text) instead"
    raise _Problem(f"{_describe(value)} cannot be encoded, as {problem}; {fix}")


def _key_as_text(key: object) -> str:
    if type(key) is str:
        _check_text(key, "the key ")
        return key
    other = key
    for _ in range(_MAX_CONVERSIONS):
        kind = type(other)
        if kind is str:
            _check_text(other, "the key ")  # type: ignore[arg-type]
            return other  # type: ignore[return-value]
        if kind is bool or other is None:
            return _KEY_WORDS[other]
        if kind is float or is_native_number(other) or (kind is int and _is_64_bits(other)):
            return encode_plain(other).decode()
        if kind in {dict, list, tuple, int}:
            break
        try:
            other = to_jsonable(other)
        except Refused:
            break
    problem = "cannot be a key in JSON; pass text, such as str(key)"
    raise _Problem(f"the key {_describe(key)} {problem}")


def _is_64_bits(number: Any) -> bool:
    return bool(-(2**63) <= number < 2**64)


def _describe_collision(keys: list[object]) -> str:
    seen: dict[str, object] = {}
    for key in keys:
        text = _key_as_text(key)
        if text in seen:
            names = f"the keys {_describe(seen[text])} and {_describe(key)}"
            return f"{names} are both {short_repr(text)} in JSON; rename one"
        seen[text] = key
    return "two of its keys are the same in JSON; rename one"  # a key's text has changed since


def _step(key: object) -> str:
    if issubclass(type(key), str):  # isinstance would believe a proxy, and may raise
        name = str.__str__(key)
        if name.isidentifier():
            return f".{name}"
    return f"[{short_repr(key)}]"


def _describe(value: Any) -> str:
    size = f", {len(value)} bytes" if type(value) in {bytes, bytearray} else ""
    return f"{type(value).__name__} ({short_repr(value)}{size})"
