"""What can go wrong, by name. Every error survives pickling, with its attributes."""

import reprlib
from collections.abc import Mapping
from typing import Any


class DataArtError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(DataArtError, ValueError):
    """A setting is missing or wrong; the message names field, value and remedy.

    Attributes:
        field: The setting's name, such as `flush_num_workers`, or None when no single one is
            to blame.
        shown: The refused value as the message shows it: short, and `***` for a secret. The
            value itself is not kept: it may be a secret, and it may not survive pickling.
    """

    def __init__(self, message: str, field: str | None = None, shown: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.shown = shown


class EventError(DataArtError, ValueError):
    """An event cannot be sent as it is; the message names the path, the value and the remedy.

    Attributes:
        path: Where the fault is, from the argument's name down, such as
            `metadata.items[3].raw`; None when the event as a whole is at fault.
    """

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class ActionsError(EventError):
    """Some of the actions of one `emit_actions` cannot be sent; no other is harmed by them.

    Attributes:
        path: Where the first fault is, such as `actions[3].metadata.price`.
        errors: One error for each that was refused, in their order; at most a few hundred.
        accepted: How many others were accepted.
        dropped: How many others were dropped (`overflow="drop"`).
        finished: Whether all actions were looked at. If not, too many were refused, and the
            iterable has not been drawn from any further.
    """

    def __init__(
        self,
        message: str,
        path: str | None = None,
        errors: tuple[EventError, ...] = (),
        *,
        accepted: int = 0,
        dropped: int = 0,
        finished: bool = True,
    ) -> None:
        super().__init__(message, path)
        self.errors = errors
        self.accepted = accepted
        self.dropped = dropped
        self.finished = finished


class BufferFullError(DataArtError):
    """No frame is free: `overflow="raise"`, or `block_timeout` is over, or no worker can start.

    Attributes:
        accepted: How many actions of this `emit_actions` were accepted before; else 0.
        rest: What it had drawn from its iterable and could not put any more; else empty.
    """

    def __init__(
        self, message: str, accepted: int = 0, rest: tuple[Mapping[str, Any], ...] = ()
    ) -> None:
        super().__init__(message)
        self.accepted = accepted
        self.rest = rest


class ClosedError(DataArtError, ValueError):
    """The client is closed; emit before `close()`, or make another client.

    A ValueError, as for every other closed thing: a file, a `multiprocessing.Queue`.
    """


def short_repr(value: object, limit: int = 80) -> str:
    """Show a value in an error's message.

    Args:
        value: Anything, also an object whose own `repr` is endless or broken.
        limit: The most characters of the answer.

    Returns:
        The value's `repr`, its middle left out when it is longer than the limit. Never raises.
    """
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = limit
    shortener.maxlevel = 2
    try:
        text = shortener.repr(value[:limit] if isinstance(value, bytes | bytearray) else value)
    except Exception:  # noqa: BLE001 - a stranger's repr may raise anything; the message must not
        text = f"<{type(value).__name__}, whose repr fails>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
