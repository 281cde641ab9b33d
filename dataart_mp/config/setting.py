"""A setting: one field of a configuration, with everything that is known about it.

    @settings
    class Options:
        flush_interval: Seconds = Setting(default=5.0, check=seconds(), parse=number)

`Seconds` is `Setting[float | timedelta, float]`: a type checker accepts a float or a timedelta in
the constructor, and reads a float from the attribute. The default, the check, the parser of the
environment variable and the way to hide a secret stand in the same line, and nowhere else.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, Generic, TypeVar, dataclass_transform, get_args

from dataart_mp.errors import ConfigError, short_repr

T = TypeVar("T")
Given = TypeVar("Given", contravariant=True)
Kept = TypeVar("Kept", covariant=True)

Check = Callable[[str, object], Kept]
"""Takes a field's name and the value given; returns the value to keep, or raises ConfigError."""

Parser = Callable[[str], object]
"""Takes a variable's text; returns a value to check, or raises ValueError that says what to do."""

MASK = "***"
"""Replaces a secret wherever it could be read."""


class Setting(Generic[Given, Kept]):
    """A descriptor that checks the value it is given and keeps it in one form.

    A type checker sees `Given` as the type of the argument and `Kept` as that of the attribute.

    Args:
        check: Checks a value that is given, and converts it to the form that is kept.
        default: The value when none is given. A setting without a default is required.
        default_factory: Makes a mutable default. Such a setting is left out of the hash.
        parse: Reads the setting's environment variable; None for a setting that has none.
        hide: Makes what may be shown of a secret value; None for a value that is not a secret.
        hashed: Whether the value is part of the hash of the configuration; False if it may be a
            mutable object.
    """

    def __init__(
        self,
        *,
        check: Check[Kept],
        default: Any = MISSING,
        default_factory: Any = MISSING,
        parse: Parser | None = str,
        hide: Callable[[Any], object] | None = None,
        hashed: bool = True,
    ) -> None:
        self.parse = parse
        self._check = check
        self._default = default
        self._default_factory = default_factory
        self._hide = hide
        self._hashed = hashed
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> Kept:
        if instance is None and self._default is MISSING:
            raise AttributeError(f"the setting {self._name} has no default")
        kept: Kept = self._default if instance is None else vars(instance)[self._name]
        return kept

    def __set__(self, instance: object, value: Given) -> None:
        # Only the dataclass's __init__ gets here: a frozen dataclass refuses other assignments.
        vars(instance)[self._name] = self._check(self._name, value)

    @property
    def is_secret(self) -> bool:
        """Whether an error message must not quote the setting's text."""
        return self._hide is not None

    def shown(self, value: Any) -> object:
        """Return what a `repr` may show of a value."""
        return value if self._hide is None or value is None else self._hide(value)

    def field(self) -> Any:
        """Return the dataclass field that gives this setting its place in the constructor."""
        if self._default_factory is not MISSING:
            return dataclasses.field(default_factory=self._default_factory, hash=False)
        return dataclasses.field(default=self._default, hash=None if self._hashed else False)


@dataclass_transform(frozen_default=True, field_specifiers=(Setting,))
def settings(cls: type[T]) -> type[T]:
    """Make a frozen dataclass from a class whose fields are `Setting`s.

    `help` and `inspect.signature` show the type that each argument accepts, not the descriptor.
    """
    own = {name: value for name, value in vars(cls).items() if isinstance(value, Setting)}
    hints = inspect.get_annotations(cls)
    cls.__annotations__ = {**hints, **{name: get_args(hints[name])[0] for name in own}}
    for name, setting in own.items():
        setattr(cls, name, setting.field())
    made = dataclass(frozen=True, repr=False)(cls)
    for name, setting in own.items():
        setattr(made, name, setting)  # dataclass() has replaced it by its default
    return made


def settings_of(cls: Any) -> Mapping[str, Setting[Any, Any]]:
    """Return the settings of a class that `settings` has made, by name, in their order."""
    return {name: vars(cls)[name] for name in cls.__dataclass_fields__}


def masked_repr(instance: Any) -> str:
    """Return the `repr` that a dataclass generates, with its secrets hidden.

    Args:
        instance: An instance of a class that `settings` has made.
    """
    values = {
        name: setting.shown(getattr(instance, name))
        for name, setting in settings_of(type(instance)).items()
    }
    fields = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return f"{type(instance).__name__}({fields})"


def mask(_value: object) -> str:
    """Hide a value completely."""
    return MASK


def config_error(field: str, value: object, problem: str) -> ConfigError:
    """Return the error for a value that may be shown.

    Args:
        field: The setting's name.
        value: The value that was given.
        problem: What is wrong with it and how to fix it, as the rest of the sentence.
    """
    shown = short_repr(value)
    return ConfigError(f"{field}={shown}: {problem}", field, shown)


def secret_error(field: str, problem: str, shown: str = MASK) -> ConfigError:
    """Return the error for a value that is, or may contain, a secret.

    Args:
        field: The setting's name.
        problem: What is wrong with the value and how to fix it; it must not quote the value.
        shown: What may be shown of the value.
    """
    return ConfigError(f"{field}={shown}: {problem}", field, shown)
