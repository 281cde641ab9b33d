"""A spool makes arenas for new clients and takes over those of dead ones."""

import errno
import os
from pathlib import Path

import pytest

from dataart_mp.errors import ConfigError
from dataart_mp.queue.account import ACTIONS
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.frame_writer import FrameWriter
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from tests.queue.tools import in_a_child, record
from tests.support import open_descriptors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def put_record(arena: Arena) -> None:
    writer = FrameWriter.open(arena, ACTIONS, 1, 0.0)
    assert writer is not None
    writer.fill(record(0))
    assert writer.seal()


def leave_an_arena(folder: Path, *, with_record: bool) -> None:
    """Make an arena in a child process that then dies."""

    def child() -> None:
        arena = Spool(folder).create(2, 64)
        if with_record:
            put_record(arena)

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
    put_record(arena)
    assert list(spool.take_over_orphans()) == []
    arena.close()
    (again,) = spool.take_over_orphans()
    assert again.id == arena.id
    assert list(spool.take_over_orphans()) == [], "it is taken over"
    again.close()


def test_an_arena_of_dead_processes_is_taken_over_by_one_process_only(folder: Path) -> None:
    leave_an_arena(folder, with_record=True)
    (arena,) = Spool(folder).take_over_orphans()

    def child() -> None:
        assert list(Spool(folder).take_over_orphans()) == []

    assert in_a_child(child) == os.EX_OK
    arena.close()


def test_an_empty_arena_of_dead_processes_is_removed(folder: Path) -> None:
    leave_an_arena(folder, with_record=False)
    assert list(Spool(folder).take_over_orphans()) == []
    assert list(folder.iterdir()) == []


def test_unfinished_files_of_dead_processes_are_removed(folder: Path) -> None:
    Spool(folder)
    living = folder / f"1-{0xAB:016x}.new"  # the id of a process of another container, perhaps
    fd = os.open(living, os.O_RDWR | os.O_CREAT)
    assert arena_file.lock(fd)
    (folder / f"{os.getpid()}-{0xCD:016x}.new").touch()  # that id may be used again
    Spool(folder)
    assert list(folder.iterdir()) == [living]
    os.close(fd)
    Spool(folder)
    assert list(folder.iterdir()) == []


def test_stray_files_with_a_similar_name_are_left_alone(folder: Path) -> None:
    Spool(folder)
    names = {"notes.new", ".new", "x-y.new", "12-.new", "-1.new", "\N{SUPERSCRIPT TWO}-ab.new"}
    for name in names:
        (folder / name).touch()
    directory = folder / f"1-{0xAB:016x}.new"
    directory.mkdir()
    Spool(folder)
    assert {file.name for file in folder.iterdir()} == {*names, directory.name}


def test_a_file_that_another_client_took_for_abandoned_is_made_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another client starts between the creation of the file and its lock."""
    spool = Spool(folder)
    lock = arena_file.lock

    def late(fd: int) -> bool:
        monkeypatch.setattr(arena_file, "lock", lock)
        Spool(folder)
        return lock(fd)

    monkeypatch.setattr(arena_file, "lock", late)
    arena = spool.create(2, 64)
    assert list(folder.iterdir()) == [arena.path]
    arena.close()


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOLCK, "No locks available.*choose a directory on a local disk"),
        (errno.EMFILE, "Too many open files.*ulimit -n"),
        (errno.ENOMEM, "Cannot allocate memory.*raise the limit of memory"),
        (errno.EFBIG, "has no room.*File too large.*ulimit -f"),
        (errno.ENOSPC, "has no room.*No space left on device.*free disk space"),
    ],
)
@pytest.mark.parametrize("step", ["fcntl.flock", "os.posix_fallocate", "mmap.mmap", "os.pwrite"])
def test_an_arena_that_cannot_be_made_leaves_nothing_and_names_the_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int, problem: str
) -> None:
    spool = Spool(folder)
    before = open_descriptors()

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(ConfigError, match=f"^spool_dir='{folder}': .*{problem}"):
            spool.create(2, 64)
    assert list(folder.iterdir()) == []
    assert open_descriptors() == before


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
