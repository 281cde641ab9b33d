"""A file that cannot be used raises ParkingError, and nothing that was committed is lost."""

import errno
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.spool.database import Database, ParkingError
from dataart_mp.spool.salvage import Salvage

LAYOUT = """
    PRAGMA journal_mode = WAL;
    PRAGMA foreign_keys = ON;
    CREATE TABLE IF NOT EXISTS parent (name TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS child (
        parent TEXT REFERENCES parent (name) DEFERRABLE INITIALLY DEFERRED
    );
"""
PAGE = 4096
LEAF_OF_TABLE = 13
GARBAGE = b"not a database" * 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


def insert(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO parent VALUES (?)", (name,))


def names(database: Database) -> list[str]:
    return [name for (name,) in database.read("SELECT name FROM parent NOT INDEXED")]


def damage(file: Path, name: str) -> None:
    """Overwrite the page of the table that holds a name, so that the file is malformed."""
    content = file.read_bytes()
    pages = [content[start : start + PAGE] for start in range(0, len(content), PAGE)]
    (number,) = (
        number
        for number, page in enumerate(pages)
        if page[0] == LEAF_OF_TABLE and name.encode() in page
    )
    with file.open("r+b") as opened:
        opened.seek(number * PAGE)
        opened.write(b"\xff" * PAGE)


def test_only_the_first_process_that_finds_a_damaged_file_replaces_it(file: Path) -> None:
    """The other one keeps the new file that has taken its place."""
    database, first = Database(file, LAYOUT), Database(file, LAYOUT)
    insert(database, "old")
    database.close()

    def find_the_damage_second() -> None:
        with database.transaction():
            file.write_bytes(GARBAGE)
            with pytest.raises(ParkingError, match=r"kept as some\.db\.corrupt"):
                names(first)
            insert(first, "new")
            raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(ParkingError, match="another process has replaced it"):
        find_the_damage_second()
    assert names(database) == ["new"]
    assert file.with_name("some.db.corrupt").read_bytes() == GARBAGE
    database.close()
    first.close()


def test_only_the_latest_damaged_files_are_kept(file: Path) -> None:
    for number in range(5):
        file.write_bytes(b"%d" % number * 1000)
        with pytest.raises(ParkingError, match="it is kept as"):
            names(Database(file, LAYOUT, max_kept=10_000))
    kept = sorted(file.parent.glob("*.corrupt*"))
    assert [each.name for each in kept] == [f"some.db.corrupt.{number}" for number in (3, 4, 5)]
    file.write_bytes(b"large" * 1000)
    with pytest.raises(ParkingError, match="it is kept as"):
        names(Database(file, LAYOUT, max_kept=1))
    assert [each.name for each in file.parent.glob("*.corrupt*")] == ["some.db.corrupt.6"]


def test_the_readable_rows_of_a_damaged_file_are_recovered(file: Path) -> None:
    database = Database(file, LAYOUT)
    expected = [f"{number:04}-" + "x" * 200 for number in range(200)]
    for name in expected:
        insert(database, name)
    database.close()
    damage(file, "0100-")
    with pytest.raises(ParkingError, match="were recovered from it"):
        names(database)
    recovered = names(database)
    lost = {*expected}.difference(recovered)
    assert 0 < len(lost) < 40, "those of one page"
    assert recovered == [name for name in expected if name not in lost]
    insert(database, "new")
    database.close()


def test_a_change_that_waits_while_the_file_is_replaced_goes_to_the_new_one(file: Path) -> None:
    database, other = Database(file, LAYOUT), Database(file, LAYOUT)
    insert(database, "old")
    names(other)
    waiting = threading.Thread(target=insert, args=(other, "waited"))
    with database.transaction():
        waiting.start()
        time.sleep(0.2)  # it waits for the lock of the old file
        new = Database(file.with_name("new"), LAYOUT)
        insert(new, "new")
        new.close()
        file.with_name("some.db-wal").unlink()
        file.with_name("new").replace(file)
    waiting.join()
    assert names(database) == ["new", "waited"]
    database.close()
    other.close()


class FailingReads:
    """A connection for which some queries fail as SQLite reports a disk error."""

    def __init__(self, connection: sqlite3.Connection, error: sqlite3.Error) -> None:
        self._connection = connection
        self._error = error

    def execute(self, query: str, *values: object) -> object:
        if query.startswith("SELECT"):
            raise self._error
        return self._connection.execute(query, *values)  # type: ignore[arg-type]

    def close(self) -> None:
        self._connection.close()


@pytest.mark.parametrize("kind", [sqlite3.DatabaseError, sqlite3.OperationalError])
def test_a_single_failed_read_condemns_no_file(file: Path, kind: type[sqlite3.Error]) -> None:
    """SQLite calls some of them `database disk image is malformed`."""
    database: Any = Database(file, LAYOUT)
    insert(database, "old")
    inode = file.stat().st_ino
    database._connection = FailingReads(database._connection, kind("malformed"))
    with pytest.raises(ParkingError, match="malformed"):
        names(database)
    database.close()
    assert names(database) == ["old"]
    assert file.stat().st_ino == inode
    assert list(file.parent.glob("*.corrupt*")) == []
    database.close()


def test_a_file_that_the_disk_does_not_return_is_not_replaced(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if SQLite finds it damaged each time, as with a bad cable."""
    database = Database(file, LAYOUT)
    insert(database, "old")
    database.close()
    content = file.read_bytes()
    file.write_bytes(GARBAGE)

    def fail(salvage: Salvage) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Salvage, "_check_readable", fail)
    with pytest.raises(ParkingError, match=r"cannot be replaced now: .*Input/output error"):
        names(database)
    file.write_bytes(content)
    assert names(database) == ["old"]
    database.close()


def test_reading_creates_no_file(file: Path) -> None:
    assert names(Database(file, LAYOUT)) == []
    assert not file.exists()


def test_a_locked_file_is_waited_for_no_longer_than_asked(file: Path) -> None:
    database, other = Database(file, LAYOUT), Database(file, LAYOUT)
    insert(database, "old")
    start = time.monotonic()
    with database.transaction(), pytest.raises(ParkingError) as raised:  # noqa: SIM117
        with other.transaction(timeout=0.05):
            pass
    assert raised.value.is_busy
    assert time.monotonic() - start < 2
    database.close()
    other.close()


def test_a_failed_commit_is_reported_as_uncertain_and_blocks_no_other(file: Path) -> None:
    database = Database(file, LAYOUT)
    with pytest.raises(ParkingError) as raised, database.transaction() as connection:
        connection.execute("INSERT INTO child VALUES ('nobody')")  # checked at the commit
    assert raised.value.may_be_done
    insert(database, "ann")
    assert names(database) == ["ann"]
    assert database.read("SELECT * FROM child") == []
    database.close()


def test_a_failure_before_the_commit_changes_nothing(file: Path) -> None:
    file.mkdir()
    database = Database(file, LAYOUT)
    with pytest.raises(ParkingError) as raised:
        insert(database, "ann")
    assert not raised.value.may_be_done
    file.rmdir()
    insert(database, "ann")
    assert names(database) == ["ann"]
    database.close()


def test_a_removed_file_is_created_again(file: Path) -> None:
    database, other = Database(file, LAYOUT), Database(file, LAYOUT)
    insert(database, "old")
    assert names(other) == ["old"]
    for part in file.parent.iterdir():
        part.unlink()
    insert(database, "new")
    assert names(other) == names(database) == ["new"]
    database.close()
    assert names(other) == ["new"]
    other.close()


def test_opening_and_reading_a_file_writes_nothing(file: Path) -> None:
    """So a full disk, or another process that writes, does not prevent reading."""
    database, reader = Database(file, LAYOUT), Database(file, LAYOUT)
    insert(database, "ann")
    with database.transaction():
        assert names(reader) == ["ann"]
    reader.close()
    database.close()
    before = file.stat().st_mtime_ns
    assert names(reader) == ["ann"]
    reader.close()
    assert file.stat().st_mtime_ns == before
