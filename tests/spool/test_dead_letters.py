"""Events that failed permanently are kept in files that are complete when they appear."""

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dataart_mp.queue import disk
from dataart_mp.spool.dead_letters import Cause, DeadLetters

CAUSE = Cause(
    time=datetime(2021, 5, 4, 10, 11, 12, tzinfo=UTC),
    reason="rejected",
    status=422,
    answer='no such "user"\n',
    attempts=1,
    kind="action",
)
RECORDS = b'{"key":"a","user_key":"u"}\n{"key":"b","user_key":"\xc3\xbc"}\n'


def test_a_letter_is_a_line_of_json_with_its_cause_and_its_event(tmp_path: Path) -> None:
    DeadLetters(tmp_path).keep("k-1-1", RECORDS, CAUSE)
    first, second = (tmp_path / "dead" / "k-1-1.jsonl").read_bytes().splitlines()
    assert json.loads(first) == {
        "time": "2021-05-04T10:11:12+00:00",
        "reason": "rejected",
        "status": 422,
        "answer": 'no such "user"\n',
        "attempts": 1,
        "kind": "action",
        "event": {"key": "a", "user_key": "u"},
    }
    assert json.loads(second)["event"] == {"key": "b", "user_key": "ü"}


def test_a_batch_that_is_abandoned_twice_is_kept_once(tmp_path: Path) -> None:
    """A worker may die after it wrote the letters and before it settled the batch."""
    for _ in range(2):
        DeadLetters(tmp_path).keep("k-1-1", RECORDS, CAUSE)
    (letters,) = DeadLetters(tmp_path)
    assert (letters.name, len(letters.read())) == ("k-1-1", 2)


def test_letters_are_listed_oldest_first_and_any_process_can_remove_them(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path)
    assert list(dead) == []
    for age, name in enumerate(["z", "a", "m"]):
        dead.keep(name, RECORDS, CAUSE)
        os.utime(tmp_path / "dead" / f"{name}.jsonl", (age, age))
    first, *rest = dead
    assert [first.name, *(letters.name for letters in rest)] == ["z", "a", "m"]
    first.remove()
    first.remove()  # as another process may have done
    assert first.read() == []
    assert [letters.name for letters in dead] == ["a", "m"]


def test_only_their_user_can_read_letters(tmp_path: Path) -> None:
    DeadLetters(tmp_path).keep("k", RECORDS, CAUSE)
    assert stat.S_IMODE((tmp_path / "dead").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "dead" / "k.jsonl").stat().st_mode) == 0o600


def test_letters_that_cannot_be_written_leave_no_file_behind(tmp_path: Path) -> None:
    (tmp_path / "dead" / "k.jsonl").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        DeadLetters(tmp_path).keep("k", RECORDS, CAUSE)
    assert list(tmp_path.glob("*.new")) == []


def test_the_oldest_letters_are_removed_when_max_bytes_is_reached(tmp_path: Path) -> None:
    dead = DeadLetters(tmp_path, 10_000)
    removed = 0
    for age in range(100):
        removed += dead.keep(f"batch-{age}", RECORDS, CAUSE)
        os.utime(tmp_path / "dead" / f"batch-{age}.jsonl", (age, age))
    kept = [letters.name for letters in dead]
    assert kept == [f"batch-{age}" for age in range(removed, 100)]
    size = sum(letters.size for letters in dead)
    assert 10_000 * 13 / 16 < size < 10_000 * 18 / 16


def test_letters_of_earlier_processes_count_towards_max_bytes(tmp_path: Path) -> None:
    for age in range(100):
        assert DeadLetters(tmp_path).keep(f"batch-{age}", RECORDS, CAUSE) == 0
    assert DeadLetters(tmp_path, 10_000).keep("new", RECORDS, CAUSE) > 0
    assert sum(letters.size for letters in DeadLetters(tmp_path)) < 10_000


def test_synced_letters_are_on_the_disk_before_they_appear_and_their_name_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    final = tmp_path / "dead" / "k-1-1.jsonl"

    def note(target: int | Path) -> None:
        size = os.fstat(target).st_size if isinstance(target, int) else 0
        steps.append(f"{size or target}, visible: {final.exists()}")

    monkeypatch.setattr(disk, "sync_file", note)
    monkeypatch.setattr(disk, "sync_directory", note)
    DeadLetters(tmp_path).keep("other", RECORDS, CAUSE)
    assert steps == []
    DeadLetters(tmp_path, is_synced=True).keep("k-1-1", RECORDS, CAUSE)
    assert steps == [
        f"{final.stat().st_size}, visible: False",
        f"{final.parent}, visible: True",
        f"{tmp_path}, visible: True",
    ]
