"""A spool makes arenas for new clients and takes over those of dead ones."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dataart_mp.errors import ConfigError
from dataart_mp.queue import disk
from dataart_mp.queue.account import ACTIONS
from dataart_mp.queue.arena import READY, Arena
from dataart_mp.queue.checked_writer import writer_type_of
from dataart_mp.queue.durability import BATCH, INTERVAL, NONE
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.ownership import Ownership
from tests.queue.tools import in_a_child, record
from tests.support import open_descriptors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def put_record(arena: Arena) -> None:
    writer = writer_type_of(arena).open(arena, ACTIONS, 1, 0.0)
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


def test_a_file_that_another_client_took_for_abandoned_is_made_again(
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


def put_fifo(path: Path) -> None:
    os.mkfifo(path)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def put_link(path: Path) -> None:
    path.symlink_to(os.devnull)


def put_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def put_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device")


@pytest.mark.parametrize(
    "put", [Path.mkdir, put_fifo, put_socket, put_link, put_dangling_link, put_device]
)
@pytest.mark.parametrize("name", ["x.arena", f"1-{0xAB:016x}.new", "parked.db", "x.parked", "dead"])
def test_a_stray_file_is_left_alone_and_stops_nothing(
    folder: Path, put: Callable[[Path], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Spool(folder)
    monkeypatch.chdir(folder)  # the path of a socket must be short
    put(Path(name))
    spool = Spool(folder)
    arena = spool.create(2, 64)
    for _ in range(2):
        assert list(spool.take_over_orphans()) == []
        spool.is_anything_parked(Ownership(arena))
    assert (folder / name).is_symlink() or (folder / name).exists()
    arena.close()


@pytest.mark.parametrize("name", [b"\xff.arena", b"a\n\x1b[1mb.arena", b"\xff.new", b".arena"])
def test_a_file_with_an_odd_name_stops_nothing_and_is_logged_on_one_line(
    folder: Path, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Spool(folder)
    (folder / os.fsdecode(name)).touch()
    spool = Spool(folder)
    assert list(spool.take_over_orphans()) == []
    assert all(line.getMessage().isprintable() for line in caplog.records)


def test_a_file_that_cannot_be_set_aside_is_reported_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(folder)
    (folder / "x.arena").write_bytes(b"something else" * 10)
    (folder / "x.arena.foreign").mkdir()
    for _ in range(3):
        assert list(spool.take_over_orphans()) == []
    assert caplog.text.count("x.arena cannot be set aside") == 1


def test_a_truncated_arena_for_which_the_disk_has_no_room_waits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    leave_an_arena(folder, with_record=True)
    (path,) = folder.iterdir()
    size = path.stat().st_size
    os.truncate(path, size - 4096)
    spool = Spool(folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        for _ in range(3):
            assert list(spool.take_over_orphans()) == []
    assert caplog.text.count("cannot be taken over: No space left on device") == 1
    assert path.stat().st_size == size - 4096
    (arena,) = spool.take_over_orphans()
    assert arena.all_in(READY) == [0]
    arena.close()


def test_a_spool_that_cannot_be_read_holds_up_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(folder)
    arena = spool.create(2, 64)

    def fail(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", fail)
    assert list(spool.take_over_orphans()) == []
    assert not spool.is_anything_parked(Ownership(arena))
    monkeypatch.setattr(Path, "unlink", fail)
    arena_file.remove(arena)
    arena.close()


@pytest.mark.parametrize(("mode", "left"), [(0o770, 0o700), (0o2775, 0o2700), (0o755, 0o755)])
def test_a_folder_that_its_group_may_write_to_is_closed_to_the_group(
    folder: Path, mode: int, left: int
) -> None:
    folder.mkdir()
    folder.chmod(mode)
    Spool(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == left


def test_a_folder_whose_mode_cannot_be_changed_is_used_with_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    folder.chmod(0o770)

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    Spool(folder)
    assert "is writable by its group, and that cannot be changed" in caplog.text


def test_a_folder_such_as_tmp_is_used_with_a_warning_and_stays_as_it_is(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    folder.chmod(0o1777)
    Spool(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert "other users may create files in it" in caplog.text


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


@pytest.mark.parametrize("found", [NONE, INTERVAL, BATCH])
@pytest.mark.parametrize("own", [NONE, INTERVAL, BATCH])
def test_an_arena_is_continued_with_the_layout_and_durability_it_was_made_with(
    folder: Path, found: int, own: int
) -> None:
    left = Spool(folder, found).create(2, 64)
    put_record(left)
    left.close()
    mine = Spool(folder, own)
    (arena,) = mine.take_over_orphans()
    assert (arena.id, arena.durability) == (left.id, found)
    assert arena.all_in(READY) == [0]
    assert arena.content(0, 0, len(record(0))) == record(0)
    arena.close()


@pytest.mark.parametrize("copy", [0, 2048])
@pytest.mark.parametrize("torn", [b"", b"\0" * 512, b"DataArtQ" + b"\0" * 504], ids=len)
def test_a_power_failure_may_tear_one_copy_of_the_header(
    folder: Path, copy: int, torn: bytes
) -> None:
    left = Spool(folder, BATCH).create(2, 64)
    put_record(left)
    left.close()
    (path,) = folder.iterdir()
    with path.open("r+b") as file:
        file.seek(copy)
        file.write(torn)
    (arena,) = Spool(folder).take_over_orphans()
    assert arena.durability != NONE
    assert arena.all_in(READY) == [0]
    arena.close()
    whole, is_whole = arena_file.reopen(os.open(path, os.O_RDWR))
    assert is_whole
    whole.close()
