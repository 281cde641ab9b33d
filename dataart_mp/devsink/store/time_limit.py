"""A limit on how long a search may take, because all other searches wait for it."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Self

from dataart_mp.devsink.http.rejection import RejectionError

if TYPE_CHECKING:
    from types import TracebackType


class TimeLimit:
    """A context manager that ends the search in its block after some seconds.

    Args:
        connection: The database that is searched; nothing else uses it meanwhile.
        seconds: The longest duration.

    Raises:
        RejectionError: By the block, if it takes longer.
    """

    def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._is_over = False
        # A handler of SQLite's own would have to wait for the interpreter every few rows.
        self._timer = threading.Timer(seconds, self._end)

    def check(self) -> None:
        """Raise the error if the time is over."""
        if self._is_over:
            raise self._error()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        if isinstance(error, sqlite3.OperationalError) and self._is_over:
            raise self._error() from None

    def _end(self) -> None:
        self._is_over = True
        self._connection.interrupt()

    def _error(self) -> RejectionError:
        return RejectionError(
            "query",
            f"took longer than {self._seconds:g} seconds; make it more specific, or keep less",
        )
