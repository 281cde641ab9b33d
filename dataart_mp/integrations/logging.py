"""A handler that ships log records as actions.

    handler = DataArtHandler(client, level=logging.WARNING)
    logging.getLogger().addHandler(handler)

It never waits for the platform, never raises, and ships no record that the shipping itself causes.
"""

import inspect
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from dataart_mp.errors import ClosedError

if TYPE_CHECKING:
    from dataart_mp.aio import AsyncClient
    from dataart_mp.protocol import DataArtClient

OfRecord = str | Callable[[logging.LogRecord], str]
MetadataOfRecord = Callable[[logging.LogRecord], Mapping[str, Any]]

_OURS: Final = "dataart_mp"
_MOST_CHARACTERS: Final = 16_384
_formatter: Final = logging.Formatter()


class DataArtHandler(logging.Handler):
    """Ships log records as actions.

    The metadata of an action has `message`, `level` (a name such as `ERROR`) and `logger`, and
    `exception` if the record has one: the traceback as text. A text of more than 16,384 characters
    loses its middle. `dataart_mp.context` and `default_metadata` add theirs.

    The loggers of dataart_mp are ignored, and so is what is logged while a record is shipped, by a
    hook for example. If the buffer is full, the record is dropped and counted, whatever `overflow`
    says. After `client.close()`, records are ignored. Other problems are reported by `handleError`
    of `logging.Handler`: on standard error, unless `logging.raiseExceptions` is False.

    Args:
        client: Where the actions go: a `Client`, an `AsyncClient` that is open, or a
            `RecordingClient`.
        level: The lowest level that is shipped.
        key: Key of the actions, or a function that returns the key for a record.
        user_key: Key of the user, or a function that returns the key for a record. None: the
            attribute `user_key` of the record (`extra={"user_key": "ann"}`) or, as an anonymous
            user, the name of the host.
        metadata: A function that returns more metadata for a record.

    Raises:
        TypeError: The client is asynchronous, and is not an `AsyncClient`.
    """

    def __init__(
        self,
        client: "DataArtClient | AsyncClient",
        level: int | str = logging.NOTSET,
        *,
        key: OfRecord = "log-record",
        user_key: OfRecord | None = None,
        metadata: MetadataOfRecord | None = None,
    ) -> None:
        super().__init__(level)
        # Only `Client` and `AsyncClient` have it: others are not known to wait.
        self._emit = getattr(client, "emit_action_nowait", client.emit_action)
        if inspect.iscoroutinefunction(self._emit):
            raise TypeError(
                f"{type(client).__name__} cannot be used, because logging does not await; "
                "pass a Client or an AsyncClient"
            )
        self._key = key
        self._user_key = user_key
        self._metadata = metadata
        self._host = socket.gethostname() or "unknown host"
        self._thread = threading.local()

    def createLock(self) -> None:  # noqa: N802 - the name in logging
        """Use no lock: the client needs none, and no thread shall wait for another one."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Ship a record, unless a filter refuses it."""
        filtered = cast("bool | logging.LogRecord", self.filter(record))
        if isinstance(filtered, logging.LogRecord):  # since Python 3.12
            record = filtered
        if filtered:
            self.emit(record)
        return bool(filtered)

    def emit(self, record: logging.LogRecord) -> None:
        """Ship a record. Never raises, and does nothing if it is called while it ships another."""
        # A record that another program has sent may have no name.
        if _is_ours(record.name or "") or getattr(self._thread, "is_shipping", False):
            return
        self._thread.is_shipping = True
        try:
            self._ship(record)
        except ClosedError:  # at the end of a program, records may come after `close`
            pass
        except Exception:  # noqa: BLE001 - a handler must not raise into the application
            self.handleError(record)
        finally:
            self._thread.is_shipping = False

    def _ship(self, record: logging.LogRecord) -> None:
        user_key, is_anonymous_user = self._user_of(record)
        self._emit(
            _of(record, self._key),
            user_key,
            is_anonymous_user,
            datetime.fromtimestamp(record.created, UTC),
            self._metadata_of(record),
        )

    def _user_of(self, record: logging.LogRecord) -> tuple[str, bool]:
        if self._user_key is not None:
            return _of(record, self._user_key), False
        user_key = getattr(record, "user_key", None)
        return (self._host, True) if user_key is None else (user_key, False)

    def _metadata_of(self, record: logging.LogRecord) -> dict[str, Any]:
        message = record.getMessage() if self.formatter is None else self.format(record)
        metadata = {
            "message": _shortened(message),
            "level": record.levelname,
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            text = record.exc_text or _formatter.formatException(record.exc_info)
            metadata["exception"] = _shortened(text)
        return {**metadata, **self._metadata(record)} if self._metadata else metadata


def _is_ours(name: str) -> bool:
    return name == _OURS or name.startswith(f"{_OURS}.")


def _of(record: logging.LogRecord, value: OfRecord) -> str:
    return value if isinstance(value, str) else value(record)


def _shortened(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]} … {text[-half:]}"
