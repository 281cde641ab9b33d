"""The metadata that `dataart_mp.context` has bound, and who wants to know that it is in use.

A client pays for it only after the first `bind` of the process: that makes all clients look, and
clients that are created later find it in use.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from threading import Event
from typing import Any, Final

_EMPTY: Final[Mapping[str, Any]] = {}
_bound: Final[ContextVar[Mapping[str, Any]]] = ContextVar("dataart_mp.context", default=_EMPTY)
_on_first_use: Final[list[Callable[[], None]]] = []
_used: Final = Event()

current: Final = _bound.get
"""Return the metadata that is bound at present; the caller must not change it."""


def is_used() -> bool:
    """Whether metadata was ever bound in this process."""
    return _used.is_set()


def replace(metadata: Mapping[str, Any]) -> None:
    """Make `metadata` what is bound, in the current context."""
    _bound.set(metadata)
    if not _used.is_set():
        _used.set()
        for call in _on_first_use:
            call()


def when_first_used(call: Callable[[], None]) -> Callable[[], None]:
    """Have a function called when metadata is bound for the first time; a decorator."""
    _on_first_use.append(call)
    return call
