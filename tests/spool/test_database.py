"""A file that cannot be used raises ParkingError, and nothing that was committed is lost."""

import sqlite3
from pathlib import Path

import pytest

from dataart_mp.spool.database import Database, ParkingError

LAYOUT = """
    PRAGMA journal_mode = WAL;
    PRAGMA foreign_keys = ON;
    CREATE TABLE IF NOT EXISTS parent (name TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS child (
        parent TEXT REFERENCES parent (name) DEFERRABLE INITIALLY DEFERRED
    );
"""
GARBAGE = b"not a database" * 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


def insert(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO parent VALUES (?)", (name,))


def names(database: Database) -> list[str]:
    return [name for (name,) in database.read("SELECT name FROM parent")]


def test_only_the_first_process_that_finds_a_damaged_file_sets_it_aside(file: Path) -> None:
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

    with pytest.raises(ParkingError, match="another process has set it aside"):
        find_the_damage_second()
    assert names(database) == ["new"]
    assert file.with_name("some.db.corrupt").read_bytes() == GARBAGE
    database.close()
    first.close()


def test_every_damaged_file_is_kept(file: Path) -> None:
    for damage in ("first", "second", "third"):
        file.write_bytes(damage.encode() * 1000)
        with pytest.raises(ParkingError, match="it is kept as"):
            names(Database(file, LAYOUT))
    kept = sorted(file.parent.iterdir())
    assert [each.name for each in kept] == [f"some.db.corrupt{end}" for end in ("", ".2", ".3")]
    assert [each.read_bytes()[:5] for each in kept] == [b"first", b"secon", b"third"]


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
