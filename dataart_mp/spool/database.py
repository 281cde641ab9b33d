"""An SQLite file that the threads of this process share with other processes.

Every error becomes a `ParkingError`. A damaged file is renamed, and a new one takes its place:

    parked.db ──damaged──► parked.db.corrupt, parked.db.corrupt.2, …
"""

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dataart_mp.spool.permissions import PRIVATE_FILE

_BUSY_TIMEOUT_SECONDS: Final = 5.0  # how long to wait while another process writes
_TRANSIENT: Final = (sqlite3.OperationalError, OSError)
_FILE_SUFFIXES: Final = ("", "-wal", "-shm")  # of the files that make up an SQLite database


class ParkingError(Exception):
    """The file of parked batches cannot be used now.

    The disk is full or read-only, another process keeps the file locked, or the file was damaged
    and has been set aside.

    Attributes:
        may_be_done: True when the commit failed: the change may have been written all the same.
    """

    def __init__(self, message: str, *, may_be_done: bool = False) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class Database:
    """An SQLite file that is created when it is first used, and again when it was removed.

    Args:
        file: Its path; the directory must exist.
        layout: SQL that creates the tables if they do not exist.
    """

    def __init__(self, file: Path, layout: str) -> None:
        self._file = file
        self._layout = layout
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    @property
    def exists(self) -> bool:
        """Whether the file exists. Reading this does not create it; it costs one `stat`."""
        return self._file.exists()

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Return the rows that a query finds.

        Args:
            query: One SQL statement.
            values: The values of its placeholders.

        Raises:
            ParkingError: The file cannot be used.
        """
        with self._lock, self._errors_translated():
            return self._open().execute(query, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, with no write of another process in between.

        An exception in the block rolls the transaction back.

        Yields:
            The connection.

        Raises:
            ParkingError: The file cannot be used.
        """
        with self._lock, self._errors_translated():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            self._commit(connection)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            self._close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode == _inode(self._file):
            return self._connection
        self._close()
        _create(self._file)  # SQLite would create it with permissions for other users
        self._inode = _inode(self._file)
        connection = sqlite3.connect(
            self._file,
            timeout=_BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # `_lock` protects the connection
        )
        try:
            if not connection.execute("PRAGMA page_count").fetchone()[0]:
                # Only for a new file: for an existing one, each process that opens it would write.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.executescript(self._layout)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.commit()
        except sqlite3.Error as error:
            self._close()  # which ends the transaction
            raise ParkingError(str(error), may_be_done=True) from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except _TRANSIENT as error:
            raise ParkingError(str(error)) from error
        except sqlite3.DatabaseError as error:  # malformed, or not a database
            raise ParkingError(f"{error}; {self._set_aside()}") from error

    def _set_aside(self) -> str:
        """Rename the damaged file, so that the next call creates a new one.

        Returns:
            What was done, for the error message. When another process has renamed the file
            already, the new file stays as it is.
        """
        self._close()
        if self._inode != _inode(self._file):
            return "another process has set it aside"
        kept = _free_name(self._file.with_name(f"{self._file.name}.corrupt"))
        for suffix in _FILE_SUFFIXES:
            path = self._file.with_name(self._file.name + suffix)
            with contextlib.suppress(FileNotFoundError):
                path.rename(kept.with_name(kept.name + suffix))
        return f"it is kept as {kept.name}"


def _create(file: Path) -> None:
    """Create the file if it does not exist.

    An existing file is not opened: closing the descriptor would drop SQLite's locks on it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE_FILE))


def _free_name(path: Path) -> Path:
    """Return the path, with a number appended if a file with that name exists."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain((path,), numbered) if not each.exists())


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0
