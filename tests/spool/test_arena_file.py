"""An arena in a file is found again as it was, or reported as unusable with a reason."""

import os
import pickle
import sys
import time
from pathlib import Path

import pytest

from dataart_mp.queue.arena import FILLING, Arena
from dataart_mp.queue.durability import BATCH, INTERVAL, NONE
from dataart_mp.spool import arena_file
from dataart_mp.spool.arena_file import ArenaError
from tests.queue.tools import SharedCounts, fork, reap


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.arena"


def open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


def test_a_reopened_arena_holds_what_was_stored(path: Path) -> None:
    arena = arena_file.create(open_file(path), 3, 64)
    arena.set_state(2, FILLING)
    identity = arena.id
    arena.close()
    again, is_whole = arena_file.reopen(open_file(path))
    assert is_whole
    assert (again.id, again.frames, again.capacity) == (identity, 3, 64)
    assert again.all_in(FILLING) == [2]
    again.close()


def test_the_missing_end_of_a_file_is_replaced_by_zeros(path: Path) -> None:
    arena_file.create(open_file(path), 3, 64).close()
    os.truncate(path, 5000)
    again, is_whole = arena_file.reopen(open_file(path))
    assert not is_whole
    assert path.stat().st_size == Arena.size(3, 64)
    assert again.content(2, 0, 64) == bytes(64)
    again.close()


def test_only_one_open_description_of_a_file_has_its_lock(path: Path) -> None:
    first, second = open_file(path), open_file(path)
    assert arena_file.lock(first)
    assert arena_file.lock(first), "it has it already"
    assert not arena_file.lock(second)
    os.close(first)
    assert arena_file.lock(second)
    os.close(second)


def test_no_other_descriptor_of_a_file_releases_its_lock(path: Path) -> None:
    mine = open_file(path)
    assert arena_file.lock(mine)
    path.read_bytes()
    os.close(os.dup(mine))
    with path.open("r+b") as other:
        assert not arena_file.lock(other.fileno())
    os.close(mine)


def test_a_forked_child_shares_the_lock_until_it_closes_its_descriptor(path: Path) -> None:
    mine, other = open_file(path), open_file(path)
    assert arena_file.lock(mine)
    sign = SharedCounts()

    def stay() -> None:
        while not sign[0]:
            time.sleep(0.001)

    child = fork(stay)
    os.close(mine)
    assert not arena_file.lock(other)
    sign.add(0)
    assert reap(child) == 0
    assert arena_file.lock(other)
    os.close(other)


def test_an_arena_without_a_path_has_no_file_and_no_neighbours() -> None:
    arena = Arena.create(1, 64)
    arena_file.remove(arena)
    assert arena_file.ids_beside(arena) == []
    assert not arena_file.is_beside(arena, arena.id)
    arena.close()


@pytest.mark.parametrize(
    ("content", "reason", "message"),
    [
        (b"", "truncated", "its header has 64 bytes, 0 are left"),
        (b"SQLite format 3\0" * 4, "foreign", "it begins with b'SQLite f' instead of b'DataArtQ'"),
        (b"DataArtQ" + (3).to_bytes(8, "little") + bytes(48), "newer", "its layout version is 3"),
        (b"DataArtQ" + (2).to_bytes(8, "little") + bytes(48), "corrupt", "neither copy"),
        (b"DataArtQ" + (1).to_bytes(8, "little") + bytes(48), "corrupt", "neither copy"),
    ],
)
def test_a_file_that_holds_no_usable_arena_is_reported_with_a_reason(
    path: Path, content: bytes, reason: str, message: str
) -> None:
    path.write_bytes(content)
    fd = open_file(path)
    with pytest.raises(ArenaError, match=message) as raised:
        arena_file.reopen(fd)
    os.close(fd)
    assert raised.value.reason == reason
    assert path.read_bytes() == content


def test_an_arena_error_keeps_its_reason_and_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ArenaError("newer", "its layout is 2")))
    assert (error.reason, str(error)) == ("newer", "its layout is 2")


@pytest.mark.parametrize(
    ("durability", "layout", "words"), [(NONE, 1, 32), (INTERVAL, 2, 64), (BATCH, 2, 64)]
)
def test_only_an_arena_with_durability_has_the_second_layout_with_larger_accounts(
    path: Path, durability: int, layout: int, words: int
) -> None:
    arena = arena_file.create(open_file(path), 300, 64, durability)
    assert path.read_bytes()[8:16] == layout.to_bytes(8, sys.byteorder)
    assert arena.account(1).first - arena.account(0).first == words
    pages = -(-300 * words * 8 // 4096)
    assert path.stat().st_size == 4096 + 4096 * 64 + 4096 + pages * 4096 + 300 * 4096
    arena.close()
    again, is_whole = arena_file.reopen(open_file(path))
    assert (is_whole, again.durability) == (True, durability)
    for damaged in (0, 1 << 40):
        again.words[24] = damaged
        assert again.durability == min(durability, INTERVAL), (
            "the header says that it has checksums"
        )
    again.close()
