"""The lot: what can be done with batches that are parked."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dataart_mp.queue.account import Evicted
from dataart_mp.queue.owner import Owner
from dataart_mp.spool.database import Database, ParkingError
from dataart_mp.spool.parked_batch import FILE, LONGEST_REST, Ownership, Parcel, Parked

_LAYOUT: Final = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;  -- as the arena: only a power failure may cost the newest
    CREATE TABLE IF NOT EXISTS parked (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- not used twice in one file: frames refer to it
        key TEXT NOT NULL,                     -- Idempotency-Key
        is_identity INTEGER NOT NULL,
        since INTEGER NOT NULL,                -- when it was first parked (epoch, ns)
        not_before INTEGER NOT NULL,           -- when it may be taken (epoch, ns)
        count INTEGER NOT NULL,                -- records
        home TEXT NOT NULL,                    -- the arena whose balance counts it as parked
        arena TEXT NOT NULL,                   -- who has, or had, it in his owner
        frame INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        evicted INTEGER NOT NULL,              -- records of its home let go to make room for it
        adopted INTEGER NOT NULL,              -- and records of clients that are gone
        records BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS by_age ON parked (since, id);
    CREATE INDEX IF NOT EXISTS by_kind ON parked (is_identity, since, id);
    CREATE INDEX IF NOT EXISTS by_owner ON parked (arena, frame, generation);
"""
_ROW: Final = (
    "SELECT id, key, is_identity, since, count, length(records), home, arena, frame, generation"
    " FROM parked"
)
# Never the id alone: when the file is made anew, ids begin anew, and frames still hold old ones.
_REMOVE: Final = "DELETE FROM parked WHERE id = ? AND arena = ? AND frame = ? AND generation = ?"
_LONGEST_REST_NS: Final = int(LONGEST_REST * 1e9)
_PAGE_ROWS: Final = 256
_ROW_BYTES: Final = 512  # what a row and its index entries need besides the records, generously


__all__ = ["FullError", "ParkingError", "ParkingLot"]


class FullError(Exception):
    """There is no room, and nothing that may be let go to make some."""


class ParkingLot:
    """All parked batches of one spool; for any thread.

    Args:
        spool_dir: as configured; nothing is made in it before there is something to park.
        max_bytes: how much may be parked.
        evicts: whether the oldest go to make room, or what is new is refused.

    Every method may raise ParkingError: the file cannot be used.
    """

    def __init__(self, spool_dir: Path, max_bytes: int, *, evicts: bool = True) -> None:
        self._database = Database(spool_dir / FILE, _LAYOUT)
        self._max_bytes = max_bytes
        self._evicts = evicts

    @property
    def is_there(self) -> bool:
        """Whether anything was ever parked. Costs a look at the directory."""
        return self._database.is_there

    def park(
        self,
        parcels: Sequence[Parcel],
        owner: Owner,
        ownership: Ownership,
        *,
        since: int,
        not_before: int,
        instead_of: int = 0,
    ) -> tuple[Evicted, list[Parcel]]:
        """Park what is left in a frame, all of it or nothing.

        Args:
            parcels: its batches.
            owner: the frame; until it holds something else, nobody takes them.
            ownership: knows what may go, to make room.
            since: when they were first parked (epoch, ns).
            not_before: when they may be taken (epoch, ns).
            instead_of: the parked batch that the frame had taken; it is removed. 0: none.

        Returns:
            How many records went, to make room, and what they were.

        Raises:
            FullError: there is no room.
        """
        with self._database.transaction() as database:
            database.execute(_REMOVE, (instead_of, *owner))
            gone = self._make_room(database, parcels, ownership)
            evicted = _evicted([batch for batch, _ in gone], owner.arena)
            counts = [evicted, *[Evicted(0, 0)] * (len(parcels) - 1)]
            for parcel, count in zip(parcels, counts, strict=True):
                _insert(database, parcel, since, not_before, owner.arena, owner, count)
        return evicted, [parcel for _, parcel in gone]

    def was_parked(self, owner: Owner, taken: int) -> Evicted | None:
        """What became of a `park` that a death has cut short.

        Args:
            owner: the frame.
            taken: the parked batch that the frame had taken; 0: none.

        Returns:
            How many records went, to make room; None when the frame was not parked.
        """
        count, own, adopted = self._database.read(
            "SELECT count(*), total(evicted), total(adopted) FROM parked"
            " WHERE arena = ? AND frame = ? AND generation = ? AND id != ?",
            (*owner, taken),
        )[0]
        return Evicted(int(own), int(adopted)) if count else None

    def waiting(self, now: int, ownership: Ownership, *, is_identity: bool) -> Iterator[Parked]:
        """What of its kind is in nobody's owner and may be taken at `now` (epoch, ns).

        The oldest come first. Only what is asked for is read.
        """
        last = (0, 0)
        while True:
            others = tuple(ownership.others())
            rows = self._database.read(
                f"{_ROW} WHERE (not_before - ?) NOT BETWEEN 1 AND ? AND is_identity = ?"
                f" AND {_of_none(others)} AND (since, id) > (?, ?) ORDER BY since, id LIMIT ?",
                (now, _LONGEST_REST_NS, is_identity, *others, *last, _PAGE_ROWS),
            )
            for batch in map(_parked, rows):
                if ownership.is_over(batch.owner):
                    yield batch
                last = (batch.since, batch.id)
            if len(rows) < _PAGE_ROWS:
                return

    def take(self, batch: Parked, owner: Owner) -> bytes | None:
        """Take a batch into the owner of a frame.

        Returns:
            Its records; None when somebody was quicker.
        """
        with self._database.transaction() as database:
            taken = database.execute(
                "UPDATE parked SET arena = ?, frame = ?, generation = ?"
                " WHERE id = ? AND arena = ? AND frame = ? AND generation = ?",
                (*owner, batch.id, *batch.owner),
            ).rowcount
            return _records(database, batch.id) if taken else None

    def split(self, batch: Parked, size: int) -> None:
        """Cut a batch into parts of at most `size` bytes, as far as its records allow."""
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
            for start, end in _cut(records, size):
                key = f"{batch.key}+{start}-{end}"
                part = Parcel(key, batch.is_identity, records[start:end])
                _insert(database, part, since, 0, batch.home, batch.owner, Evicted(0, 0))

    def find(self, number: int, owner: Owner) -> Parked | None:
        """The batch that a frame has taken; None when somebody has removed it."""
        rows = self._database.read(
            f"{_ROW} WHERE id = ? AND arena = ? AND frame = ? AND generation = ?", (number, *owner)
        )
        return _parked(rows[0]) if rows else None

    def remove(self, number: int, owner: Owner) -> None:
        """The batch that a frame has taken is through; it may be gone already."""
        with self._database.transaction() as database:
            database.execute(_REMOVE, (number, *owner))
        if not self._database.read("SELECT 1 FROM parked LIMIT 1"):  # an outage is over
            self._database.read("PRAGMA incremental_vacuum")  # give back its room

    def batches(self) -> list[Parked]:
        """All of them, the oldest first."""
        return [_parked(row) for row in self._database.read(f"{_ROW} ORDER BY since, id")]

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def _make_room(
        self, database: sqlite3.Connection, parcels: Sequence[Parcel], ownership: Ownership
    ) -> list[tuple[Parked, Parcel]]:
        """Remove the oldest until the parcels fit; what was removed."""
        need = sum(len(parcel.records) + _ROW_BYTES for parcel in parcels)
        surplus = _used(database) + need - self._max_bytes
        gone: list[tuple[Parked, Parcel]] = []
        if surplus <= 0:
            return gone
        if not self._evicts or need > self._max_bytes:
            raise FullError
        others = tuple(ownership.others())
        for row in database.execute(f"{_ROW} WHERE {_of_none(others)} ORDER BY since, id", others):
            batch = _parked(row)
            if ownership.is_over(batch.owner):
                records = _records(database, batch.id)
                gone.append((batch, Parcel(batch.key, batch.is_identity, records)))
                surplus -= len(records)
            if surplus <= 0:
                break
        else:
            raise FullError
        database.executemany("DELETE FROM parked WHERE id = ?", [(b.id,) for b, _ in gone])
        return gone


def _of_none(arenas: Sequence[str]) -> str:
    """The condition that a batch is of none of these arenas."""
    return f"arena NOT IN ({','.join('?' * len(arenas))})"


def _used(database: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages, unused, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - unused) * size)


def _records(database: sqlite3.Connection, number: int) -> bytes:
    return bytes(
        database.execute("SELECT records FROM parked WHERE id = ?", (number,)).fetchone()[0]
    )


def _insert(
    database: sqlite3.Connection,
    parcel: Parcel,
    since: int,
    not_before: int,
    home: str,
    owner: Owner,
    evicted: Evicted,
) -> None:
    values = (parcel.key, parcel.is_identity, since, not_before, parcel.count, home)
    database.execute(
        "INSERT INTO parked VALUES (NULL, ?,?,?,?,?,?,?,?,?,?,?,?)",
        (*values, *owner, *evicted, parcel.records),
    )


def _cut(records: bytes, size: int) -> Iterator[tuple[int, int]]:
    """Where to cut records into parts of at most `size` bytes, or of one record."""
    start = end = 0
    for record in records.splitlines(keepends=True):
        if end > start and end + len(record) - start > size:
            yield start, end
            start = end
        end += len(record)
    yield start, end


def _parked(row: tuple[int, str, int, int, int, int, str, str, int, int]) -> Parked:
    number, key, is_identity, since, count, size, home, arena, frame, generation = row
    owner = Owner(arena, frame, generation)
    return Parked(number, key, bool(is_identity), since, count, size, home, owner)


def _evicted(gone: Sequence[Parked], arena: str) -> Evicted:
    own = sum(batch.count for batch in gone if batch.home == arena)
    return Evicted(own, sum(batch.count for batch in gone) - own)
