"""Events that failed permanently are kept in files that are complete when they appear."""

import dataclasses
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dataart_mp.spool.dead_letters import Cause, DamagedLettersError, DeadLetters

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


def test_a_carriage_return_within_a_record_does_not_end_it(tmp_path: Path) -> None:
    """It is white space of JSON, and an `orjson.Fragment` may hold it."""
    DeadLetters(tmp_path).keep("k", b'{"key":"a","metadata":{"a":\r1}}\n{"key":"b"}\n', CAUSE)
    [letters] = DeadLetters(tmp_path)
    assert [letter["event"]["key"] for letter in letters.read()] == ["a", "b"]


def test_what_is_written_for_each_event_counts_towards_max_bytes(tmp_path: Path) -> None:
    cause = dataclasses.replace(CAUSE, answer="ü" * 500)  # 3,000 bytes in each line
    dead = DeadLetters(tmp_path, 100_000)
    for age in range(20):
        dead.keep(f"batch-{age}", b'{"key":"a"}\n' * 5, cause)
        assert sum(letters.size for letters in dead) < 100_000 * 18 / 16


def _directory(path: Path) -> None:
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.write_bytes(b"x" * 50_000)
    path.chmod(0)


FOREIGN: dict[str, Callable[[Path], object]] = {
    "directory": _directory,
    "pipe": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to nothing": lambda path: path.symlink_to("missing"),
    "unreadable file": _unreadable,
    "text": lambda path: path.write_text("Dear Ann, " * 5000),
    "binary file": lambda path: path.write_bytes(bytes(range(256)) * 200),
    "empty file": lambda path: path.touch(),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_file_is_never_removed_and_affects_no_letters(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    dead = DeadLetters(tmp_path, 10_000)
    dead.keep("first", RECORDS, CAUSE)
    foreign = tmp_path / "dead" / "foreign.jsonl"
    make(foreign)
    if not foreign.is_symlink():
        os.utime(foreign, (0, 0))
    for age in range(1, 100):
        dead.keep(f"batch-{age}", RECORDS, CAUSE)
    assert os.path.lexists(foreign)
    kept = [letters for letters in dead if letters.name != "foreign"]
    assert sum(letters.size for letters in kept) > 10_000 * 13 / 16
    assert all(len(letters.read()) == letters.count == 2 for letters in kept)
    for letters in dead:
        if letters.name == "foreign" and foreign.stat().st_size:
            with pytest.raises(DamagedLettersError, match=r"foreign\.jsonl: "):
                letters.read()


@pytest.mark.parametrize(
    "name", [b"\xff.jsonl", b"\x1b[2J.jsonl", b"a b.jsonl", "\u202e.jsonl".encode()]
)
def test_a_file_whose_name_is_not_a_key_is_not_listed(tmp_path: Path, name: bytes) -> None:
    dead = DeadLetters(tmp_path)
    dead.keep("k", RECORDS, CAUSE)
    Path(os.fsdecode(bytes(tmp_path / "dead") + b"/" + name)).write_bytes(b"{}")
    assert [letters.name for letters in dead] == ["k"]


def test_a_line_whose_fields_are_not_printable_text_is_damaged(tmp_path: Path) -> None:
    DeadLetters(tmp_path).keep("k", RECORDS, CAUSE)
    file = tmp_path / "dead" / "k.jsonl"
    file.write_text(file.read_text().replace("rejected", "\\u001b[2J"))
    [letters] = DeadLetters(tmp_path)
    with pytest.raises(DamagedLettersError, match=r"line 1: reason='\\x1b\[2J' must be text"):
        letters.read()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_neither_letters_nor_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(path: Path, target: Path) -> Path:
        raise error

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(type(error)):
        DeadLetters(tmp_path).keep("k", RECORDS, CAUSE)
    assert list(DeadLetters(tmp_path)) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["dead"]


def test_a_process_that_dies_while_it_writes_leaves_no_letters(tmp_path: Path) -> None:
    process = os.fork()
    if process == 0:
        os.fsync = os._exit  # type: ignore[assignment]
        DeadLetters(tmp_path, sync=True).keep("k", RECORDS, CAUSE)
        os._exit(0)
    os.waitpid(process, 0)
    assert list(DeadLetters(tmp_path)) == []
    [half] = tmp_path.glob("*.new")
    half.rename(tmp_path / f"{os.getpid()}-k.new")  # as if the next process had the same id
    DeadLetters(tmp_path).keep("k", RECORDS, CAUSE)
    assert [letters.count for letters in DeadLetters(tmp_path)] == [2]
    assert list(tmp_path.glob("*.new")) == []


def test_with_sync_the_content_is_on_disk_before_the_name_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(fd: int) -> None:
        steps.append(Path(f"/proc/self/fd/{fd}").readlink().relative_to(tmp_path).suffix)
        fsync(fd)

    def noted_rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    DeadLetters(tmp_path).keep("a", RECORDS, CAUSE)
    assert steps == ["rename"]
    DeadLetters(tmp_path, sync=True).keep("b", RECORDS, CAUSE)
    assert steps[1:] == [".new", "rename", "", ""]
