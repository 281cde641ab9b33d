"""The parking lot's file: what cannot be done is told, and nothing that was done is lost by it."""

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
GARBAGE = b"no database at all" * 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.db"


def insert(database: Database, name: str) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO parent VALUES (?)", (name,))


def names(database: Database) -> list[str]:
    return [name for (name,) in database.read("SELECT name FROM parent")]


def test_who_finds_the_damage_too_late_does_not_set_the_new_file_aside(file: Path) -> None:
    """Two processes come upon it at once; the second one is told when the first has mended it."""
    database, quicker = Database(file, LAYOUT), Database(file, LAYOUT)
    insert(database, "old")
    database.close()

    def come_too_late() -> None:
        with database.transaction():
            file.write_bytes(GARBAGE)
            with pytest.raises(ParkingError, match=r"kept as some\.db\.corrupt"):
                names(quicker)
            insert(quicker, "new")
            raise sqlite3.DatabaseError("database disk image is malformed")

    with pytest.raises(ParkingError, match="another process has set it aside"):
        come_too_late()
    assert names(database) == ["new"]
    assert file.with_name("some.db.corrupt").read_bytes() == GARBAGE
    database.close()
    quicker.close()


def test_what_was_damaged_before_is_kept_too(file: Path) -> None:
    for damage in ("first", "second", "third"):
        file.write_bytes(damage.encode() * 1000)
        with pytest.raises(ParkingError, match="it is kept as"):
            names(Database(file, LAYOUT))
    kept = sorted(file.parent.iterdir())
    assert [each.name for each in kept] == [f"some.db.corrupt{end}" for end in ("", ".2", ".3")]
    assert [each.read_bytes()[:5] for each in kept] == [b"first", b"secon", b"third"]


def test_a_commit_that_fails_may_be_done_and_hinders_no_other(file: Path) -> None:
    database = Database(file, LAYOUT)
    with pytest.raises(ParkingError) as raised, database.transaction() as connection:
        connection.execute("INSERT INTO child VALUES ('nobody')")  # checked at the commit
    assert raised.value.may_be_done
    insert(database, "ann")
    assert names(database) == ["ann"]
    assert database.read("SELECT * FROM child") == []
    database.close()


def test_what_fails_before_the_commit_is_not_done(file: Path) -> None:
    file.mkdir()
    database = Database(file, LAYOUT)
    with pytest.raises(ParkingError) as raised:
        insert(database, "ann")
    assert not raised.value.may_be_done
    file.rmdir()
    insert(database, "ann")
    assert names(database) == ["ann"]
    database.close()


def test_a_file_that_somebody_removed_is_made_anew(file: Path) -> None:
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


def test_to_open_and_read_a_file_writes_nothing(file: Path) -> None:
    """Neither a full disk nor another one who is writing keeps anybody from reading."""
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
