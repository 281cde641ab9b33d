"""An SQLite file that the threads of this process share with other processes.

Every error becomes a `ParkingError`. Most errors pass: the disk is full, the file is locked, a read
failed. Then the file stays as it is, and the caller tries again. A file that is proven to be
damaged is replaced by a new one with all rows that are readable; see `salvage`.

On a full disk, nothing can be written, and so nothing could be removed. Therefore some room is
reserved in a file beside it, which is removed for a change that leads to free room. It must have
the size of SQLite's log of changes (`wal_autocheckpoint`): all of it may have to be merged first.

An application must not open these files: to close any descriptor of the database drops the locks
that SQLite has on it in that process. So only workers and the command line use this module.
"""

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from dataart_mp.queue import disk
from dataart_mp.spool.connection import TIMEOUT_SECONDS, connect
from dataart_mp.spool.permissions import PRIVATE_FILE
from dataart_mp.spool.salvage import Salvage, SalvageError

_T = TypeVar("_T")

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PRIMARY_CODE: Final = 0xFF
_BUSY_CODES: Final = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
# SQLITE_IOERR, SQLITE_FULL: with a quota, the system calls a full disk an I/O error.
_FULL_CODES: Final = (10, 13)


class ParkingError(Exception):
    """The file of parked batches cannot be used now.

    Attributes:
        may_be_done: True when the commit failed: the change may have been written all the same.
        is_busy: True when another process or thread has locked the file.
        is_full: True when the disk may have no room.
    """

    def __init__(
        self,
        message: str,
        *,
        may_be_done: bool = False,
        is_busy: bool = False,
        is_full: bool = False,
    ) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done
        self.is_busy = is_busy
        self.is_full = is_full


class Database:
    """An SQLite file that is created when something is first written, and again when it is gone.

    Args:
        file: Its path; the directory must exist.
        layout: SQL that creates the tables if they do not exist.
        max_kept: The most bytes of damaged files to keep for inspection.
        spare: The bytes to reserve for changes on a full disk; 0 reserves nothing.
        sync: Whether the name of a new file survives a power failure. The layout says the same of
            the content (`PRAGMA synchronous`).
    """

    def __init__(
        self, file: Path, layout: str, *, max_kept: int = 0, spare: int = 0, sync: bool = False
    ) -> None:
        self._file = file
        self._layout = layout
        self._salvage = Salvage(file, layout, max_kept)
        self._spare_file = file.with_name(f"{file.name}.spare")
        self._spare_size = spare
        self._sync = sync
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._timeout = 0.0

    @property
    def exists(self) -> bool:
        """Whether the file exists. Reading this does not create it; it costs one `stat`.

        Raises:
            OSError: The directory cannot be read, or does not exist.
        """
        try:
            self._file.stat()
        except FileNotFoundError:
            self._file.parent.stat()
            return False
        return True

    def read(
        self, query: str, values: tuple[Any, ...] = (), *, timeout: float = TIMEOUT_SECONDS
    ) -> list[Any]:
        """Return the rows that a query finds; none if the file does not exist.

        Args:
            query: One SQL statement.
            values: The values of its placeholders.
            timeout: Seconds to wait for a lock.

        Raises:
            ParkingError: The file cannot be used.
        """
        with self._exclusively(timeout), self._errors_translated():
            if not self.exists:
                self._close()
                return []
            return self._open(timeout).execute(query, values).fetchall()

    @contextlib.contextmanager
    def transaction(self, *, timeout: float = TIMEOUT_SECONDS) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, with no write of another process in between.

        An exception in the block rolls the transaction back.

        Args:
            timeout: Seconds to wait for a lock.

        Yields:
            The connection.

        Raises:
            ParkingError: The file cannot be used.
        """
        with self._exclusively(timeout), self._errors_translated():
            connection = self._begin(timeout)
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite has rolled it back itself
                    connection.rollback()
                raise
            self._commit(connection)

    def free_room(
        self, work: Callable[[sqlite3.Connection], _T], *, timeout: float = TIMEOUT_SECONDS
    ) -> _T:
        """Do some work in a transaction that leads to free room, also on a full disk.

        Args:
            work: Does it, with the connection; it may be called twice.
            timeout: Seconds to wait for a lock.

        Returns:
            What `work` returned.

        Raises:
            ParkingError: The file cannot be used.
        """
        try:
            with self.transaction(timeout=timeout) as connection:
                return work(connection)
        except ParkingError as error:
            if not error.is_full:
                raise
        self._use_spare()
        with self.transaction(timeout=timeout) as connection:
            return work(connection)

    def reserve_spare(self) -> None:
        """Reserve room for changes on a full disk, if it is not reserved and there is some."""
        if not self._spare_size or not hasattr(os, "posix_fallocate"):
            return
        with contextlib.suppress(OSError):
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            fd = os.open(self._spare_file, flags, PRIVATE_FILE)
            try:
                os.posix_fallocate(fd, 0, self._spare_size)
            except OSError:
                self._spare_file.unlink()
                raise
            finally:
                os.close(fd)

    def release_spare(self) -> None:
        """Return the reserved room to the file system."""
        with contextlib.suppress(OSError):
            self._spare_file.unlink()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            self._close()

    def _use_spare(self) -> None:
        """Make room on a full disk: give up the spare, and merge the log of changes."""
        self.release_spare()
        with self._exclusively(TIMEOUT_SECONDS), contextlib.suppress(sqlite3.Error, OSError):
            connection = self._open(TIMEOUT_SECONDS)
            # RESTART and not TRUNCATE: the room of the log is used again, and by nobody else.
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    @contextlib.contextmanager
    def _exclusively(self, timeout: float) -> Iterator[None]:
        """Keep the other threads of this process away."""
        if not self._lock.acquire(timeout=timeout):
            raise ParkingError("another thread is using it", is_busy=True)
        try:
            yield
        finally:
            self._lock.release()

    def _begin(self, timeout: float) -> sqlite3.Connection:
        while True:
            connection = self._open(timeout)
            connection.execute("BEGIN IMMEDIATE")
            if self._inode == _inode(self._file):
                return connection
            connection.rollback()  # the file was replaced while this process waited for the lock

    def _open(self, timeout: float) -> sqlite3.Connection:
        if self._connection is None or self._inode != _inode(self._file):
            self._close()
            _create(self._file)  # SQLite would create it with permissions for other users
            self._inode = _inode(self._file)
            self._connection = self._connect()
            self._timeout = -1.0
            if self._sync:  # also if another process has created or replaced it
                disk.sync_directory(self._file.parent)
        if self._timeout != timeout:
            self._connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
            self._timeout = timeout
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        try:
            return connect(self._file, self._layout)
        except sqlite3.Error as error:
            if _primary_code(error) not in _FULL_CODES or not self._spare_file.exists():
                raise
        self.release_spare()  # the files of the log have no room
        return connect(self._file, self._layout)

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.commit()
        except sqlite3.Error as error:
            self._close()  # which ends the transaction
            is_full = _primary_code(error) in _FULL_CODES
            raise ParkingError(str(error), may_be_done=True, is_full=is_full) from error

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # the disk is full, for example
                connection.close()

    @contextlib.contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ParkingError(str(error), is_full=error.errno in _FULL) from error
        except OverflowError as error:  # a damaged number
            raise ParkingError(str(error)) from error
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:  # malformed, or not a database
                raise ParkingError(f"{error}; {self._replace()}") from error
            code = _primary_code(error)
            raise ParkingError(
                str(error), is_busy=code in _BUSY_CODES, is_full=code in _FULL_CODES
            ) from error

    def _replace(self) -> str:
        """Replace the file if it is really damaged; return what was done, for the message."""
        self._close()
        if self._inode != _inode(self._file):
            return "another process has replaced it"
        try:
            return self._salvage.replace_if_damaged()
        except (SalvageError, OSError, sqlite3.Error) as failure:
            return f"it cannot be replaced now: {failure}"


def _create(file: Path) -> None:
    """Create the file if it does not exist.

    An existing file is not opened: closing the descriptor would drop SQLite's locks on it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE_FILE))


def _inode(file: Path) -> int:
    """Return the inode of a file; 0 when it does not exist."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return 0


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & _PRIMARY_CODE
