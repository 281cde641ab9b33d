"""The settings that an application's process applies to each event: checks and types."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from dataart_mp.config.setting import Setting, config_error

Event = dict[str, Any]
BeforeSend = Callable[[Event], Mapping[str, Any] | None]
Metadata = Mapping[str, Any]
DefaultMetadata = Metadata | Callable[[], Metadata]
Rate = float | Mapping[str, float]

OptionalBeforeSend = Setting[BeforeSend | None, BeforeSend | None]
OptionalDefaultMetadata = Setting[DefaultMetadata | None, DefaultMetadata | None]
SampleRate = Setting[Rate, Rate]


def before_send(field: str, value: object) -> BeforeSend:
    """Check a function that takes an event, and returns one or None."""
    if not callable(value):
        raise config_error(
            field, value, "must be a function that takes an event (a dict) and returns it, or None"
        )
    _refuse_coroutine(field, value)
    return value


def default_metadata(field: str, value: object) -> DefaultMetadata:
    """Check a mapping, which is copied, or a function without arguments that returns one."""
    if isinstance(value, Mapping):
        return dict(value)
    if not callable(value):
        raise config_error(
            field, value, "must be a dict, or a function without arguments that returns one"
        )
    _refuse_coroutine(field, value)
    return value


def sample_rate(field: str, value: object) -> Rate:
    """Check a rate from 0 to 1, or a mapping of event keys to such rates."""
    if not isinstance(value, Mapping):
        return _rate(field, value)
    rates: dict[str, float] = {}
    for key, rate in value.items():
        if not isinstance(key, str):
            problem = "must have the keys of events as its keys, as text"
            raise config_error(field, value, problem)
        rates[key] = _rate(f"{field}[{key!r}]", rate)
    return rates


def event_id(field: str, value: object) -> str:
    """Check a name in the metadata of an event."""
    if not isinstance(value, str) or not value or not _is_unicode(value):
        raise config_error(field, value, 'must be a name in the metadata, such as "_id"')
    return value


def _is_unicode(text: str) -> bool:
    """Whether a text can be sent: it has no surrogates that stand alone."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def parse_rate(text: str) -> object:
    """Parse a number, or a JSON object of numbers."""
    try:
        return float(text) if text[0] != "{" else json.loads(text)
    except ValueError:
        raise ValueError(
            'must be a number from 0 to 1, or a JSON object, such as {"page-viewed": 0.1}'
        ) from None


def _rate(field: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        problem = "must be a number from 0 to 1, or a dict of such numbers by event key"
        raise config_error(field, value, problem)
    if not 0 <= value <= 1:  # NaN is not
        raise config_error(field, value, "must be from 0 (no event) to 1 (all events)")
    return float(value)


def _refuse_coroutine(field: str, value: Callable[..., object]) -> None:
    call = getattr(value, "__call__", None)  # noqa: B004 - the method, not whether there is one
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(call):
        problem = "must not be async, because the calls that emit events do not wait; use def"
        raise config_error(field, value, problem)
