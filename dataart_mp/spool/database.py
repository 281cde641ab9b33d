"""The database: one SQLite file, for the threads of this process and for other processes."""

import contextlib
import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dataart_mp.spool.permissions import PRIVATE_FILE

_PATIENCE_SECONDS: Final = 5.0  # for another process that is just writing
_MAY_PASS: Final = (sqlite3.OperationalError, OSError)
_COMPANIONS: Final = ("", "-wal", "-shm")  # the files of an SQLite file


class ParkingError(Exception):
    """The file cannot be used now.

    The disk is full, or read-only; another process has kept it locked for too long; or it was
    damaged, and has been set aside.

    Attributes:
        may_be_done: whether what was to be written may be there all the same.
    """

    def __init__(self, message: str, *, may_be_done: bool = False) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done


class Database:
    """An SQLite file that is made when it is first used, and anew when somebody has removed it.

    Args:
        file: where it is; its directory must be there.
        layout: what makes its tables, if they aren't there.
    """

    def __init__(self, file: Path, layout: str) -> None:
        self._file = file
        self._layout = layout
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    @property
    def is_there(self) -> bool:
        """Whether it was ever used. Costs a look at the directory."""
        return self._file.exists()

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """The rows that a query finds.

        Raises:
            ParkingError: the file cannot be used.
        """
        with self._lock, self._told_in_our_words():
            return self._open().execute(query, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done inside, or nothing of it; and nobody else's in between.

        Raises:
            ParkingError: the file cannot be used.
        """
        with self._lock, self._told_in_our_words():
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
        _make(self._file)  # before SQLite makes it as readable as it likes
        self._inode = _inode(self._file)
        connection = sqlite3.connect(
            self._file,
            timeout=_PATIENCE_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # the lock is ours
        )
        try:
            if not connection.execute("PRAGMA page_count").fetchone()[0]:
                # Of a file that is there it would be a write, for each who opens it.
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
            self._close()  # and with it the transaction
            raise ParkingError(str(error), may_be_done=True) from error

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _told_in_our_words(self) -> Iterator[None]:
        try:
            yield
        except _MAY_PASS as error:
            raise ParkingError(str(error)) from error
        except sqlite3.DatabaseError as error:  # malformed, or no database at all
            raise ParkingError(f"{error}; {self._set_aside()}") from error

    def _set_aside(self) -> str:
        """Keep a damaged file under another name, and say so: the next call makes a new one.

        Unless another process was quicker: then the new one is there already.
        """
        self._close()
        if self._inode != _inode(self._file):
            return "another process has set it aside"
        kept = _free_name(self._file.with_name(f"{self._file.name}.corrupt"))
        for suffix in _COMPANIONS:
            path = self._file.with_name(self._file.name + suffix)
            with contextlib.suppress(FileNotFoundError):
                path.rename(kept.with_name(kept.name + suffix))
        return f"it is kept as {kept.name}"


def _make(file: Path) -> None:
    """Make the file if it isn't there; open none that is: to close it would drop SQLite's locks."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE_FILE))


def _free_name(path: Path) -> Path:
    """The path, or with a number behind it: what was kept there before stays."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain((path,), numbered) if not each.exists())


def _inode(file: Path) -> int:
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0
