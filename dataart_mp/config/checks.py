"""Checks of settings: each takes a field's name and a value, and returns the value to keep."""

import keyword
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from dataart_mp.config.setting import Check, Setting, config_error

T = TypeVar("T")

# The type that may be given, and the type that is kept.
Flag = Setting[bool, bool]
Whole = Setting[int, int]
OptionalWhole = Setting[int | None, int | None]
Seconds = Setting[float | timedelta, float]
OptionalSeconds = Setting[float | timedelta | None, float | None]
Text = Setting[str, str]
OptionalText = Setting[str | None, str | None]
OptionalFile = Setting[str | os.PathLike[str] | None, str | None]

LONGEST_WAIT = 2_147_483.0
"""Seconds, 24 days: the longest timeout of poll(), which takes milliseconds in a C int."""


def whole(least: int, most: int) -> Check[int]:
    """Make a check for a whole number between two bounds, both included. A bool is refused."""

    def check(field: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise config_error(
                field, value, f"must be a whole number; pass an int, {least} or more"
            )
        if value < least:
            raise config_error(field, value, f"must be {least} or more")
        if value > most:
            raise config_error(field, value, f"must be {most} or less")
        return int(value)

    return check


def seconds(*, or_zero: bool = False) -> Check[float]:
    """Make a check for a duration: seconds or a timedelta, kept as seconds.

    Args:
        or_zero: Whether zero is accepted.
    """
    wanted = "zero or more" if or_zero else "more than zero"

    def check(field: str, value: object) -> float:
        span = value.total_seconds() if isinstance(value, timedelta) else value
        if not isinstance(span, int | float) or isinstance(span, bool):
            raise config_error(field, value, "must be seconds as a number, or a timedelta")
        if not (span > 0 or (or_zero and span == 0)):  # NaN is neither
            raise config_error(field, value, f"must be {wanted}, in seconds")
        if span > LONGEST_WAIT:
            raise config_error(
                field, value, f"must be {LONGEST_WAIT:.0f} seconds (24 days) or less"
            )
        return float(span)

    return check


def optional(check: Callable[[str, object], T]) -> Check[T | None]:
    """Make a check that accepts None, and applies the given check to any other value."""

    def check_unless_none(field: str, value: object) -> T | None:
        return None if value is None else check(field, value)

    return check_unless_none


def one_of(*choices: T) -> Check[T]:
    """Make a check for one of several texts."""
    *others, last = (f'"{choice}"' for choice in choices)

    def check(field: str, value: object) -> T:
        for choice in choices:
            if value == choice:
                return choice
        raise config_error(field, value, f"must be {', '.join(others)} or {last}")

    return check


def boolean(field: str, value: object) -> bool:
    """Check a bool. A number is refused."""
    if not isinstance(value, bool):
        raise config_error(field, value, "must be True or False")
    return value


def readable_file(field: str, value: object) -> str:
    """Check the path of a file that this process can read. It is kept as an absolute path."""
    if not isinstance(value, str | os.PathLike):
        raise config_error(field, value, "must be the path of a file; pass a str or a Path")
    path = os.fspath(value)
    if not isinstance(path, str) or "\0" in path:
        raise config_error(field, value, "must be a path in text without NUL; pass a str or a Path")
    if not Path(path).is_file():
        raise config_error(field, value, "no such file; correct the path")
    if not os.access(path, os.R_OK):
        raise config_error(field, value, "cannot be read; give this process read permission")
    return str(Path(path).absolute())  # worker processes have another working directory


def directory(field: str, value: object) -> str:
    """Check the path of a directory that may not exist yet. It is kept as an absolute path."""
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise config_error(field, value, "must be the path of a directory; pass a str or a Path")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise config_error(field, value, "must be a non-empty path without NUL")
    path = Path(value).absolute()
    if path.exists() and not path.is_dir():
        problem = "is not a directory; remove the file, or choose another path"
        raise config_error(field, value, problem)
    return str(path)


def import_string(field: str, value: object) -> str:
    """Check the syntax of "package.module:callable". Nothing is imported."""
    if not isinstance(value, str):
        raise config_error(field, value, 'must be text like "package.module:callable"')
    module, _, attribute = value.partition(":")
    if not (_is_dotted_name(module) and _is_dotted_name(attribute)):
        raise config_error(field, value, 'must have the form "package.module:callable"')
    return value


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split("."))
