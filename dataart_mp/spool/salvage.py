"""Salvage: a damaged SQLite file is replaced by a new one with all rows that are readable.

    parked.db ──damaged──► parked.db.corrupt, parked.db.corrupt.2, …     the latest ones are kept
        ▲
        └── parked.db.new: the readable rows

A single failed read is not taken for damage, although SQLite may call it that. A file is replaced
only if two checks find the same and all of its bytes can be read in between. The new file takes its
place in one step, while no other process can write to the old one.
"""

# ruff: noqa: S608 - the names of tables come from the layout

import contextlib
import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dataart_mp.spool.connection import connect
from dataart_mp.spool.permissions import PRIVATE_FILE

_MOST_KEPT: Final = 3
_MOST_ROWS: Final = 10_000_000  # how far row numbers are searched if the last one is unreadable
_READ_BYTES: Final = 1 << 20
_TYPES: Final = {"INTEGER": int, "TEXT": str, "BLOB": bytes}


class SalvageError(Exception):
    """A damaged file cannot be replaced now; it stays as it is."""


class Salvage:
    """Replaces one SQLite file when it is damaged.

    Args:
        file: The file.
        layout: SQL that creates its tables.
        max_kept: The most bytes of damaged files to keep; the latest one is kept in any case.
    """

    def __init__(self, file: Path, layout: str, max_kept: int) -> None:
        self._file = file
        self._layout = layout
        self._max_kept = max_kept
        self._new = file.with_name(f"{file.name}.new")

    def replace_if_damaged(self) -> str:
        """Replace the file if it is damaged; the caller has closed it.

        Returns:
            What was done, for a message.

        Raises:
            SalvageError: Another process is using the file, or replacing it.
            OSError: The file cannot be read, or there is no room for another one.
            sqlite3.Error: As OSError.
        """
        with _locked(self._file.parent):
            if not self._is_damaged():
                return "the file is sound, and will be read again"
            damaged = sqlite3.connect(self._file, isolation_level=None)
            try:
                return self._replace(damaged)
            finally:
                damaged.close()  # SQLite sees that the file has moved, and leaves the new one alone

    def _is_damaged(self) -> bool:
        if _passes_check(self._file):
            return False
        self._check_readable()
        return not _passes_check(self._file)

    def _check_readable(self) -> None:
        """Check that the disk returns all bytes: SQLite calls some failed reads damage.

        Raises:
            OSError: It does not.
        """
        for path in (self._file, _beside(self._file, "-wal")):
            with contextlib.suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
                while file.read(_READ_BYTES):
                    pass

    def _replace(self, damaged: sqlite3.Connection) -> str:
        with contextlib.suppress(sqlite3.DatabaseError):
            try:
                damaged.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise SalvageError(str(error)) from error
        damaged.text_factory = lambda text: text.decode(errors="replace")
        recovered = self._write_new(damaged)
        kept = self._keep()
        for suffix in ("-wal", "-shm"):
            _beside(self._file, suffix).unlink(missing_ok=True)
        self._new.replace(self._file)
        self._forget_old(kept)
        return f"it is kept as {kept.name}, and {recovered} batches were recovered from it"

    def _write_new(self, damaged: sqlite3.Connection) -> int:
        """Write all readable rows into a new file, and return their number."""
        self._new.unlink(missing_ok=True)
        os.close(os.open(self._new, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE))
        new = connect(self._new, self._layout)
        try:
            new.execute("PRAGMA journal_mode = DELETE").fetchall()  # so that it is a single file
            new.execute("BEGIN IMMEDIATE")
            tables = new.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
            count = sum(_copy(damaged, new, table) for (table,) in tables)
            new.commit()
            self._check_readable()  # else rows may be missing that can be read later
        except BaseException:
            new.close()
            self._new.unlink(missing_ok=True)
            raise
        new.close()
        return count

    def _keep(self) -> Path:
        """Keep the damaged file under another name, too."""
        numbers = [number for number, _ in self._kept()]
        number = max(numbers, default=0) + 1
        kept = _beside(self._file, ".corrupt" if number == 1 else f".corrupt.{number}")
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                _link(_beside(self._file, suffix), _beside(kept, suffix))
        return kept

    def _kept(self) -> list[tuple[int, Path]]:
        """Return the damaged files that are kept, with their numbers, the oldest first."""
        name = re.compile(re.escape(self._file.name) + r"\.corrupt(?:\.(\d+))?")
        matches = ((name.fullmatch(path.name), path) for path in self._file.parent.iterdir())
        return sorted((int(match[1] or 1), path) for match, path in matches if match)

    def _forget_old(self, latest: Path) -> None:
        """Remove the oldest damaged files if there are too many, or too large ones."""
        kept = [path for _, path in self._kept()]
        sizes = {path: sum(map(_size, (path, _beside(path, "-wal")))) for path in kept}
        while len(kept) > _MOST_KEPT or sum(sizes[path] for path in kept) > self._max_kept:
            oldest = kept.pop(0)
            if oldest == latest:
                return
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    _beside(oldest, suffix).unlink()


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise SalvageError("another process is replacing it") from error
    finally:
        os.close(fd)


def _passes_check(file: Path) -> bool:
    """Return whether SQLite finds a file to be sound.

    Raises:
        sqlite3.OperationalError: The file cannot be read now.
    """
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _copy(damaged: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    """Copy the readable rows of one table under their numbers, and return how many there are."""
    columns = new.execute(f"PRAGMA table_info({table})").fetchall()
    types = [_TYPES[column[2]] for column in columns]
    places = ",".join("?" * len(columns))
    count = 0
    for row in _rows(damaged, table):
        if len(row) == len(types) and all(map(isinstance, row, types)):
            new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({places})", row)
            count += 1
    return count


def _rows(damaged: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """Yield the readable rows. Behind an unreadable one, each row is looked up by its number."""
    last = 0
    try:
        for number, *row in damaged.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid"):
            yield tuple(row)
            last = number
    except sqlite3.OperationalError:  # a failed read, for example
        raise
    except sqlite3.DatabaseError:
        for number in range(last + 1, _last_number(damaged, table, last) + 1):
            yield from _row(damaged, table, number)


def _row(damaged: sqlite3.Connection, table: str, number: int) -> list[tuple[Any, ...]]:
    """Return the row with a number; none if it is unreadable."""
    query = f"SELECT * FROM {table} WHERE rowid = ?"
    try:
        return damaged.execute(query, (number,)).fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return []


def _last_number(damaged: sqlite3.Connection, table: str, last: int) -> int:
    """Return the number of the last row; `last` if it is unreadable."""
    for query in (
        f"SELECT max(rowid) FROM {table}",
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",
    ):
        with contextlib.suppress(sqlite3.DatabaseError, TypeError):
            number: int = damaged.execute(query).fetchone()[0]
            return min(int(number), last + _MOST_ROWS)
    return last


def _link(path: Path, name: Path) -> None:
    try:
        name.hardlink_to(path)
    except FileNotFoundError:
        raise
    except OSError:  # this file system has no links
        path.rename(name)


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(file.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
