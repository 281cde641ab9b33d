"""A spool makes arenas for new clients and takes over those of dead ones."""

import os
from pathlib import Path

import pytest

from dataart_mp.errors import ConfigError
from dataart_mp.queue import disk
from dataart_mp.queue.arena import READY
from dataart_mp.queue.durability import BATCH
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from tests.queue.tools import in_a_child


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def leave_an_arena(folder: Path, state: int | None = None) -> None:
    """Make an arena in a child process that then dies."""

    def child() -> None:
        arena = Spool(folder).create(2, 64)
        if state is not None:
            arena.set_state(1, state)

    assert in_a_child(child) == os.EX_OK


def test_an_arena_is_complete_and_named_after_its_id(folder: Path) -> None:
    arena = Spool(folder).create(2, 64)
    assert [file.name for file in folder.iterdir()] == [f"{arena.id}.arena"]
    assert arena.path == folder / f"{arena.id}.arena"
    assert arena.path.stat().st_size == arena.size(2, 64)
    arena.close()


def test_an_arena_of_this_process_is_not_an_orphan(folder: Path) -> None:
    spool = Spool(folder)
    arena = spool.create(2, 64)
    arena.set_state(1, READY)
    assert list(spool.take_over_orphans()) == []
    arena.close()
    (again,) = spool.take_over_orphans()
    assert again.id == arena.id
    assert list(spool.take_over_orphans()) == [], "it is taken over"
    again.close()


def test_an_arena_of_dead_processes_is_taken_over_by_one_process_only(folder: Path) -> None:
    leave_an_arena(folder, READY)
    (arena,) = Spool(folder).take_over_orphans()

    def child() -> None:
        assert list(Spool(folder).take_over_orphans()) == []

    assert in_a_child(child) == os.EX_OK
    arena.close()


def test_an_empty_arena_of_dead_processes_is_removed(folder: Path) -> None:
    leave_an_arena(folder)
    assert list(Spool(folder).take_over_orphans()) == []
    assert list(folder.iterdir()) == []


def test_unfinished_files_of_dead_processes_are_removed(folder: Path) -> None:
    dead = os.fork()
    if not dead:
        os._exit(os.EX_OK)
    os.waitpid(dead, 0)
    Spool(folder)
    living = folder / f"{os.getpid()}-ab.new"
    living.touch()
    (folder / f"{dead}-cd.new").touch()
    Spool(folder)
    assert list(folder.iterdir()) == [living]


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Spool(folder)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(ConfigError) as raised:
        Spool(folder)
    assert str(raised.value) == (
        f"spool_dir='{folder}': belongs to user {user}, and this process runs as user {user + 1}; "
        f"run it as user {user}, or run: chown {user + 1} {folder}"
    )
    assert raised.value.field == "spool_dir"


def test_with_durability_a_new_arena_and_its_name_are_on_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[object, list[str]]] = []

    def note(target: int | Path) -> None:
        names = [path.suffix for path in folder.iterdir()]
        steps.append((target if isinstance(target, Path) else "content", names))

    monkeypatch.setattr(disk, "sync_file", note)
    monkeypatch.setattr(disk, "sync_directory", note)
    Spool(folder).create(2, 64).close()
    assert steps == []
    for left in folder.iterdir():
        left.unlink()
    arena = Spool(folder, BATCH).create(2, 64)
    assert arena.durability == BATCH
    assert steps == [("content", [".new"]), (folder, [".arena"]), (folder.parent, [".arena"])]
    arena.close()
    (again,) = [arena_file.reopen(os.open(path, os.O_RDWR))[0] for path in folder.iterdir()]
    assert again.durability == BATCH
    again.close()
