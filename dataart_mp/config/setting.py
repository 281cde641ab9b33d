"""A field of a frozen dataclass that checks what it is given and keeps it in one form.

    flush_interval: Setting[float | timedelta, float] = Setting(5.0, seconds())
                            given              kept            default, check

A type checker sees what may be given, and what is kept.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from dataart_mp.errors import ConfigError, short_repr

Given = TypeVar("Given", contravariant=True)
Kept = TypeVar("Kept", covariant=True)

Check = Callable[[str, object], Kept]
"""Takes a field's name and the value given; returns the value to keep, or raises ConfigError."""

MASK = "***"
"""What stands in the place of a secret wherever it could be read."""


class Setting(Generic[Given, Kept]):
    """A descriptor: the dataclass's own way to have one type going in and another coming out.

    A type checker sees `Given` as the type of the argument and `Kept` as that of the attribute.

    Args:
        default: The value when none is given; it is checked like any other.
        check: See `Check`.
    """

    def __init__(self, default: Kept, check: Check[Kept]) -> None:
        self._default = default
        self._check = check
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> Kept:
        if instance is None:  # how a dataclass asks for the default
            return self._default
        kept: Kept = vars(instance)[self._name]
        return kept

    def __set__(self, instance: object, value: Given) -> None:
        # Reached from the dataclass's __init__ only: a frozen dataclass refuses all else.
        vars(instance)[self._name] = self._check(self._name, value)


def config_error(field: str, value: object, problem: str) -> ConfigError:
    """Make the error of a value that may be shown.

    Args:
        field: The setting's name.
        value: What was given.
        problem: What is wrong with it and what to do, as the rest of the sentence.
    """
    shown = short_repr(value)
    return ConfigError(f"{field}={shown}: {problem}", field, shown)


def secret_error(field: str, problem: str, shown: str = MASK) -> ConfigError:
    """Make the error of a value that is, or may hold, a secret.

    Args:
        field: The setting's name.
        problem: What is wrong with the value and what to do; it must not quote the value.
        shown: What may be seen of the value.
    """
    return ConfigError(f"{field}={shown}: {problem}", field, shown)


def masked_repr(instance: Any, shown: dict[str, object]) -> str:
    """Write a dataclass as its generated `repr` would, some values replaced.

    Args:
        instance: A dataclass's instance.
        shown: For each field that is not to be seen as it is, what is to be seen instead.
    """
    values = {**vars(instance), **shown}
    fields = ", ".join(f"{name}={values[name]!r}" for name in instance.__dataclass_fields__)
    return f"{type(instance).__name__}({fields})"
