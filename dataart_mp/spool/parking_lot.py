"""The parking lot: the batches of a spool whose retries are exhausted, in one SQLite file.

    park ──► parked.db ──► waiting, take ──► remove, when it is delivered
                 │                     └───► park, when it fails again
                 └──► evicted: the oldest, when `max_bytes` is reached

A row is a batch: its records as they were encoded, its Idempotency-Key, and its owner (see
`ownership`). Each method is one transaction, so a process may die at any step.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from dataart_mp.queue import disk
from dataart_mp.queue.account import MAX_RECORDS, Evicted
from dataart_mp.queue.owner import Owner
from dataart_mp.spool.database import Database, ParkingError
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import (
    DATABASE_NAME,
    MARK_SUFFIX,
    MAX_REST_SECONDS,
    BatchContent,
    ParkedBatch,
)
from dataart_mp.spool.permissions import PRIVATE_FILE

_LAYOUT: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA wal_autocheckpoint = 256;  -- pages: so large is the log when the disk is full
    CREATE TABLE IF NOT EXISTS parked (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused in one file: frames refer to it
        key TEXT NOT NULL,                     -- Idempotency-Key
        is_identity INTEGER NOT NULL,
        since INTEGER NOT NULL,                -- when it was first parked (epoch, ns)
        not_before INTEGER NOT NULL,           -- when it may be taken (epoch, ns)
        count INTEGER NOT NULL,                -- records
        home TEXT NOT NULL,                    -- the arena whose balance counts it as parked
        arena TEXT NOT NULL,                   -- its owner, with the next two columns
        frame INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        evicted INTEGER NOT NULL,              -- records of its home evicted to make room for it
        adopted INTEGER NOT NULL,              -- records of other arenas evicted to make room
        records BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS by_age ON parked (since, id);
    CREATE INDEX IF NOT EXISTS by_kind ON parked (is_identity, since, id);
    CREATE INDEX IF NOT EXISTS by_owner ON parked (arena, frame, generation);
"""
_SELECT: Final = (
    "SELECT id, key, is_identity, since, count, length(records), home, arena, frame, generation"
    " FROM parked"
)
# A power failure can cost the newest rows, as it can cost the newest events of an arena.
_UNSYNCED: Final = "PRAGMA synchronous = NORMAL;"
# A row is on the disk when its transaction ends. Only then is its frame freed, or filled from it.
_SYNCED: Final = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;"
# Never the id alone: ids start again in a new file, and frames may refer to the ids of the old one.
_DELETE: Final = "DELETE FROM parked WHERE id = ? AND arena = ? AND frame = ? AND generation = ?"
_MAX_REST_NS: Final = int(MAX_REST_SECONDS * 1e9)
_PAGE_ROWS: Final = 256
# How long loading waits for a lock: nothing is lost if it tries again later.
_LOADING_SECONDS: Final = 0.05
_ROW_BYTES: Final = 512  # upper bound of a row and its index entries, without the records


__all__ = ["FullError", "ParkingError", "ParkingLot"]


class FullError(Exception):
    """The parking lot has no room, and may not evict enough to make some."""


class ParkingLot:
    """All parked batches of one spool. Its methods may be called from any thread.

    Args:
        spool_dir: The spool's directory. The file in it is created when it is first used.
        max_bytes: The most bytes that the file may use.
        evicts: True to evict the oldest batches to make room; False to refuse new ones.
        spare: The bytes to reserve, so that batches can be taken and removed on a full disk.
        sync: Whether a batch also survives a power failure when `park` has returned.

    Every method may raise ParkingError: the file cannot be used.
    """

    def __init__(
        self,
        spool_dir: Path,
        max_bytes: int,
        *,
        evicts: bool = True,
        spare: int = 0,
        sync: bool = False,
    ) -> None:
        file = spool_dir / DATABASE_NAME
        layout = (_SYNCED if sync else _UNSYNCED) + _LAYOUT
        self._database = Database(file, layout, max_kept=max_bytes, spare=spare, sync=sync)
        self._spool_dir = spool_dir
        self._sync = sync
        self._marked: set[str] = set()  # the arenas whose marks are on the disk
        self._max_bytes = max_bytes
        self._evicts = evicts

    @property
    def exists(self) -> bool:
        """Whether anything was ever parked. Reading this costs one `stat`.

        Raises:
            OSError: The spool cannot be read, or was removed.
        """
        return self._database.exists

    @property
    def identity(self) -> int:
        """A number that another file of parked batches does not have; 0 when there is none."""
        rows = self._database.read("PRAGMA user_version", timeout=_LOADING_SECONDS)
        return int(rows[0][0]) if rows else 0

    def probe(self) -> None:
        """Write something, to find out whether the file can be written to."""
        with self._database.transaction(timeout=_LOADING_SECONDS) as database:
            database.execute("PRAGMA application_id = 1")

    def park(
        self,
        contents: Sequence[BatchContent],
        owner: Owner,
        ownership: Ownership,
        *,
        since: int,
        not_before: int,
        instead_of: int = 0,
    ) -> tuple[Evicted, list[BatchContent]]:
        """Park the batches that are left in a frame: all of them, or none.

        Args:
            contents: The batches.
            owner: The frame. It owns the batches until it is settled.
            ownership: Decides which batches may be evicted.
            since: When the batches were first parked (epoch, ns).
            not_before: When they may be taken (epoch, ns).
            instead_of: The id of the parked batch that the frame had taken, which is removed.
                0: it had taken none.

        Returns:
            How many records were evicted to make room, and the evicted batches.

        Raises:
            FullError: There is no room.
        """
        with self._database.transaction() as database:
            self._mark(owner.arena)
            database.execute(_DELETE, (instead_of, *owner))
            evicted = self._make_room(database, contents, ownership)
            total = _count_evicted([batch for batch, _ in evicted], owner.arena)
            counts = [total, *[Evicted(0, 0)] * (len(contents) - 1)]
            for content, count in zip(contents, counts, strict=True):
                _insert(database, content, since, not_before, owner.arena, owner, count)
        self._database.reserve_spare()
        return total, [content for _, content in evicted]

    def was_parked(self, owner: Owner, taken: int) -> Evicted | None:
        """Find out whether a `park` that a process did not live to report was committed.

        Args:
            owner: The frame.
            taken: The id of the parked batch that the frame had taken; 0: none.

        Returns:
            How many records were evicted to make room; None when the frame was not parked.
        """
        rows = self._database.read(
            "SELECT evicted, adopted FROM parked"
            " WHERE arena = ? AND frame = ? AND generation = ? AND id != ?",
            (*owner, taken),
        )
        if not rows:
            return None
        return Evicted(sum(own for own, _ in rows), sum(adopted for _, adopted in rows))

    def waiting(
        self, now: int, ownership: Ownership, *, is_identity: bool
    ) -> Iterator[ParkedBatch]:
        """Yield the batches that the client may take, the oldest first.

        Rows are read page by page, as the caller asks for more.

        Args:
            now: The current time (epoch, ns); batches that rest longer are left out. Those of a
                client that has ended do not rest: the platform may have worked again since.
            ownership: Decides which batches the client may take.
            is_identity: True for identities, False for actions.
        """
        own, last = ownership.arena_id, (0, 0)
        while True:
            with _spool_errors_translated():
                others = tuple(ownership.other_arenas())
            rows = self._database.read(
                f"{_SELECT} WHERE ((not_before - ?) NOT BETWEEN 1 AND ? OR arena <> ?)"
                f" AND is_identity = ? AND {_excludes(others)} AND (since, id) > (?, ?)"
                " ORDER BY since, id LIMIT ?",
                (now, _MAX_REST_NS, own, is_identity, *others, *last, _PAGE_ROWS),
                timeout=_LOADING_SECONDS,
            )
            yield from _allowed(rows, ownership)
            if rows:
                number, _, _, last_since, *_ = rows[-1]
                last = (last_since, number)
            if len(rows) < _PAGE_ROWS:
                return

    def resting(self, ownership: Ownership, *, is_identity: bool) -> Iterator[ParkedBatch]:
        """Yield the batches that the client may take and that rest, the one whose rest ends first.

        Args:
            ownership: Decides which batches the client may take.
            is_identity: True for identities, False for actions.
        """
        with _spool_errors_translated():
            others = tuple(ownership.other_arenas())
        rows = self._database.read(
            f"{_SELECT} WHERE is_identity = ? AND not_before > 0 AND {_excludes(others)}"
            " ORDER BY not_before, id LIMIT ?",
            (is_identity, *others, _PAGE_ROWS),
            timeout=_LOADING_SECONDS,
        )
        yield from _allowed(rows, ownership)

    def take(self, batch: ParkedBatch, owner: Owner) -> bytes | None:
        """Make a frame the owner of a batch.

        Args:
            batch: The batch, as it was when it was read.
            owner: The frame.

        Returns:
            The batch's records; None when another process took it first.
        """

        def work(database: sqlite3.Connection) -> bytes | None:
            with contextlib.suppress(OSError):  # the disk is full
                self._mark(owner.arena)
            taken = database.execute(
                "UPDATE parked SET arena = ?, frame = ?, generation = ?"
                " WHERE id = ? AND arena = ? AND frame = ? AND generation = ?",
                (*owner, batch.id, *batch.owner),
            ).rowcount
            if not taken:
                return None
            records = _records(database, batch.id)
            if records.count(b"\n") == batch.count:
                return records
            # The number is damaged; the batch can be taken when it is right.
            database.execute(
                "UPDATE parked SET count = ? WHERE id = ?", (records.count(b"\n"), batch.id)
            )
            return None

        return self._database.free_room(work, timeout=_LOADING_SECONDS)

    def split(self, batch: ParkedBatch, size: int) -> None:
        """Replace a batch by parts of at most `size` bytes; a larger record is a part by itself."""
        with self._database.transaction() as database:
            row = database.execute(
                "SELECT since, records FROM parked"
                " WHERE id = ? AND arena = ? AND frame = ? AND generation = ?",
                (batch.id, *batch.owner),
            ).fetchone()
            if row is None:
                return
            since, records = row
            database.execute("DELETE FROM parked WHERE id = ?", (batch.id,))
            for start, end in _parts(records, size):
                key = f"{batch.key}+{start}-{end}"
                part = BatchContent(key, batch.is_identity, records[start:end])
                _insert(database, part, since, 0, batch.home, batch.owner, Evicted(0, 0))

    def find(self, number: int, owner: Owner) -> ParkedBatch | None:
        """Return the batch with the id `number` if this frame owns it; else None."""
        rows = self._database.read(
            f"{_SELECT} WHERE id = ? AND arena = ? AND frame = ? AND generation = ?",
            (number, *owner),
        )
        return _parked_batch(rows[0]) if rows else None

    def remove(self, number: int, owner: Owner) -> None:
        """Remove the batch with the id `number` if this frame owns it."""
        with _spool_errors_translated():
            if not self._database.exists:
                return
        self._database.free_room(lambda database: database.execute(_DELETE, (number, *owner)))
        if not self._database.read("SELECT 1 FROM parked LIMIT 1"):  # the outage is over
            self._database.read("PRAGMA incremental_vacuum")  # return the room to the file system
            self._database.release_spare()

    def batches(self) -> list[ParkedBatch]:
        """Return all batches, the oldest first."""
        rows = self._database.read(f"{_SELECT} ORDER BY since, id")
        return [_parked_batch(row) for row in rows if _is_sound(row)]

    def held(self, home: str, ownership: Ownership) -> int:
        """Return how many records wait that the balance of one arena counts as parked.

        Args:
            home: The arena's id.
            ownership: Decides which batches wait: those that no frame sends at this moment.
        """
        rows = self._database.read(f"{_SELECT} WHERE home = ?", (home,), timeout=_LOADING_SECONDS)
        batches = map(_parked_batch, filter(_is_sound, rows))
        with _spool_errors_translated():
            return sum(batch.count for batch in batches if ownership.may_take(batch.owner))

    def unmark(self, arena: str) -> None:
        """Remove the mark of an arena to whose frames no batch belongs.

        Args:
            arena: The arena's id. None of its processes parks anything any more.
        """
        query = "SELECT 1 FROM parked WHERE arena = ? LIMIT 1"
        if not self._database.read(query, (arena,), timeout=_LOADING_SECONDS):
            with contextlib.suppress(OSError):
                self._mark_of(arena).unlink()

    def marked(self) -> list[str]:
        """Return the ids of the arenas that have a mark."""
        with _spool_errors_translated():
            names = [path.name for path in self._spool_dir.iterdir()]
        return [name.removesuffix(MARK_SUFFIX) for name in names if name.endswith(MARK_SUFFIX)]

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def _mark(self, arena: str) -> None:
        """Say that batches may belong to an arena, to clients that do not read the database."""
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(self._mark_of(arena), flags, PRIVATE_FILE))
        if self._sync and arena not in self._marked:
            # Also if the mark was there: the process that has made it may not have come this far.
            disk.sync_directory(self._spool_dir)
            self._marked.add(arena)

    def _mark_of(self, arena: str) -> Path:
        return self._spool_dir / f"{arena}{MARK_SUFFIX}"

    def _make_room(
        self,
        database: sqlite3.Connection,
        contents: Sequence[BatchContent],
        ownership: Ownership,
    ) -> list[tuple[ParkedBatch, BatchContent]]:
        """Evict the oldest batches until the new ones fit.

        Returns:
            The evicted batches.

        Raises:
            FullError: They do not fit.
        """
        needed = sum(len(content.records) + _ROW_BYTES for content in contents)
        surplus = _used_bytes(database) + needed - self._max_bytes
        evicted: list[tuple[ParkedBatch, BatchContent]] = []
        if surplus <= 0:
            return evicted
        if not self._evicts or needed > self._max_bytes:
            raise FullError
        others = tuple(ownership.other_arenas())
        for row in database.execute(
            f"{_SELECT} WHERE {_excludes(others)} ORDER BY since, id", others
        ):
            if not _is_sound(row):
                continue
            batch = _parked_batch(row)
            if ownership.may_take(batch.owner):
                records = _records(database, batch.id)
                evicted.append((batch, BatchContent(batch.key, batch.is_identity, records)))
                surplus -= len(records)
            if surplus <= 0:
                break
        else:
            raise FullError
        database.executemany(
            "DELETE FROM parked WHERE id = ?", [(batch.id,) for batch, _ in evicted]
        )
        return evicted


@contextlib.contextmanager
def _spool_errors_translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ParkingError(str(error)) from error


def _excludes(arenas: Sequence[str]) -> str:
    """Return the SQL condition that a batch's owner is in none of these arenas."""
    return f"arena NOT IN ({','.join('?' * len(arenas))})"


def _used_bytes(database: sqlite3.Connection) -> int:
    """Return the bytes of the file that are in use."""
    pages, unused, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - unused) * size)


def _records(database: sqlite3.Connection, number: int) -> bytes:
    query = "SELECT CAST(records AS BLOB) FROM parked WHERE id = ?"
    return bytes(database.execute(query, (number,)).fetchone()[0])


def _insert(
    database: sqlite3.Connection,
    content: BatchContent,
    since: int,
    not_before: int,
    home: str,
    owner: Owner,
    evicted: Evicted,
) -> None:
    values = (content.key, content.is_identity, since, not_before, content.count, home)
    database.execute(
        "INSERT INTO parked VALUES (NULL, ?,?,?,?,?,?,?,?,?,?,?,?)",
        (*values, *owner, *evicted, content.records),
    )


def _allowed(rows: Sequence[tuple[Any, ...]], ownership: Ownership) -> Iterator[ParkedBatch]:
    """Yield the sound batches of rows that the client may take."""
    for batch in map(_parked_batch, filter(_is_sound, rows)):
        with _spool_errors_translated():
            may_take = ownership.may_take(batch.owner)
        if may_take:
            yield batch


def _parts(records: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of parts that have at most `size` bytes, or are one record."""
    start = end = 0
    for record in records.splitlines(keepends=True):
        if end > start and end + len(record) - start > size:
            yield start, end
            start = end
        end += len(record)
    yield start, end


def _is_sound(row: tuple[Any, ...]) -> bool:
    """Return whether a row has values of the right types: damage may be too small for SQLite."""
    types = (int, str, int, int, int, int, str, str, int, int)
    return all(map(isinstance, row, types)) and 0 < row[4] <= MAX_RECORDS


def _parked_batch(row: tuple[int, str, int, int, int, int, str, str, int, int]) -> ParkedBatch:
    number, key, is_identity, since, count, size, home, arena, frame, generation = row
    owner = Owner(arena, frame, generation)
    return ParkedBatch(number, key, bool(is_identity), since, count, size, home, owner)


def _count_evicted(batches: Sequence[ParkedBatch], arena: str) -> Evicted:
    """Return how many evicted records the balance of `arena` counted as parked, and the rest."""
    own = sum(batch.count for batch in batches if batch.home == arena)
    return Evicted(own, sum(batch.count for batch in batches) - own)
