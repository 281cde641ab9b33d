"""The errors that this package raises. Each one survives pickling, with its attributes."""

import reprlib
from collections.abc import Mapping
from typing import Any


class DataArtError(Exception):
    """Base class of all errors that this package raises on purpose."""


class ConfigError(DataArtError, ValueError):
    """A setting is missing or invalid; the message names the field, the value and the fix.

    Attributes:
        field: Name of the setting, such as `flush_num_workers`; None if the error concerns
            several settings.
        shown: The refused value as the message shows it: shortened, and `***` for a secret. The
            value itself is not kept: it may be a secret, and it may not survive pickling.
    """

    def __init__(self, message: str, field: str | None = None, shown: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.shown = shown


class EventError(DataArtError, ValueError):
    """An event cannot be sent; the message names the path, the value and the fix.

    Attributes:
        path: Path to the invalid value, beginning with the argument's name, such as
            `metadata.items[3].raw`; None if the event as a whole is invalid.
    """

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class ActionsError(EventError):
    """Some actions of an `emit_actions` call cannot be sent; the other ones are unaffected.

    Attributes:
        path: Path to the first invalid value, such as `actions[3].metadata.price`.
        errors: One error for each refused action, in order; at most a few hundred.
        accepted: Valid events taken from the caller, including those that were dropped.
        dropped: How many of the accepted events were dropped (`overflow="drop"`).
        finished: Whether all actions were read. False means that too many were refused, and that
            the rest of the iterable was not read.
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


class TableError(DataArtError, ValueError):
    """A table, or an argument that chooses its columns, cannot be used; nothing was emitted.

    Attributes:
        field: Name of the argument, such as `user_key`.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MissingExtraError(DataArtError, ImportError):
    """An optional package is not installed; the message says which extra installs it."""


class RowError(EventError):
    """A row of a table cannot be sent; the message names the row, the column and the fix.

    Attributes:
        path: Path to the invalid value, as for `EventError`.
        row: Number of the row, counted from 0.
        column: The column of the invalid value; None if the row as a whole is invalid.
    """

    def __init__(
        self, message: str, path: str | None = None, row: int = 0, column: str | None = None
    ) -> None:
        super().__init__(message, path)
        self.row = row
        self.column = column


class RowsError(EventError):
    """Some rows of an `emit_table` call cannot be sent; all other rows are accepted.

    Attributes:
        path: Path to the first invalid value, such as `metadata.price`.
        errors: One error for each of the first hundred refused rows, in order.
        refused: Number of refused rows.
        columns: Number of refused rows by the column of the invalid value; None stands for rows
            that are invalid as a whole.
        accepted: Valid rows taken from the table, including those that were dropped.
        dropped: How many of the accepted events were dropped (`overflow="drop"`).
    """

    def __init__(
        self,
        message: str,
        path: str | None = None,
        errors: tuple[RowError, ...] = (),
        *,
        refused: int = 0,
        columns: Mapping[str | None, int] | None = None,
        accepted: int = 0,
        dropped: int = 0,
    ) -> None:
        super().__init__(message, path)
        self.errors = errors
        self.refused = refused
        self.columns = dict(columns or {})
        self.accepted = accepted
        self.dropped = dropped


class PartError(DataArtError):
    """Base class of the errors with which a part of a table ends that `ship_iter` ships.

    Attributes:
        report: The `dataart_mp.ship.Report` of the attempt, up to the error.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class NotDeliveredError(PartError):
    """The platform did not accept a request in any of its attempts; ship the part again."""


class RejectedError(PartError):
    """The platform refused an event permanently, with `on_rejected="fail"`.

    The message does not quote the event; `report.rejected_samples` has the first ones.
    """


class BufferFullError(DataArtError):
    """No frame is free.

    The cause is `overflow="raise"`, an expired `block_timeout`, or that no worker can be started.

    Attributes:
        accepted: Valid events taken from the caller, including those that were dropped. Counts
            the events of this `emit_actions` or `emit_table` call before the error; 0 for other
            calls.
        rest: Actions that `emit_actions` has read from the iterable but not accepted; empty for
            other calls.
        row: The first row of a table that `emit_table` has not processed, counted from 0; None
            for other calls.
    """

    row: int | None = None

    def __init__(
        self, message: str, accepted: int = 0, rest: tuple[Mapping[str, Any], ...] = ()
    ) -> None:
        super().__init__(message)
        self.accepted = accepted
        self.rest = rest


class DescriptorsClosedError(DataArtError):
    """The application has closed descriptors of the client, as a daemonizing program does.

    Nothing is written to the files that have their numbers now. Create the client after the
    descriptors are closed, or exempt those that are open when it exists.
    """


class ClosedError(DataArtError, ValueError):
    """The client is closed; emit before `close()`, or create another client.

    It is a ValueError, as a closed file and a closed `multiprocessing.Queue` raise.
    """

    def __init__(
        self,
        message: str = "the client is closed, by close() or by the end of its `with` block; "
        "emit before that, or create another Client",
    ) -> None:
        super().__init__(message)


def short_repr(value: object, limit: int = 80) -> str:
    """Return a shortened `repr` of a value for an error message. Never raises.

    Args:
        value: Any object; its own `repr` may be very long or may raise.
        limit: Maximum length of the result, in characters.

    Returns:
        The value's `repr`, with the middle left out if it is longer than the limit.
    """
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = limit
    shortener.maxlevel = 2
    try:
        text = shortener.repr(value[:limit] if isinstance(value, bytes | bytearray) else value)
    except Exception:  # noqa: BLE001 - a caller's `repr` may raise anything; the message must not
        text = f"<{type(value).__name__}, whose repr raises>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
