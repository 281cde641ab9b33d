"""What an application does with the files of its spool changes nothing for its events."""

import os
import threading
from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.spool import arena_file
from tests.client.tools import emit
from tests.support import Configure, wait_until

SMALL = {"flush_num_processes": 2, "flush_buffer_size": 50, "max_request_bytes": 8192}
EVENTS = 2000


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def read_all(folder: Path) -> None:
    """As a backup, a checksum or a file browser does."""
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()


def test_an_application_may_read_all_files_of_its_spool(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    """At any moment, while it emits and while another client looks for orphaned arenas."""
    settings = {**SMALL, "spool_dir": spool, "flush_actions_batch_size": 7}
    with Client(config(**settings)) as client, Client(config(**settings)):
        emitting = threading.Thread(target=emit, args=(client, 0, EVENTS))
        emitting.start()
        while emitting.is_alive():
            read_all(spool)
        assert client.flush(30) == 0
        assert client.stats().delivered == EVENTS
    assert sink.ids() == dict.fromkeys(range(EVENTS), 1)


def test_a_client_leaves_an_arena_alone_that_it_finds_by_another_path(
    config: Configure, sink: SinkProcess, spool: Path, tmp_path: Path
) -> None:
    spool.mkdir(0o700)
    alias = tmp_path / "alias"
    alias.symlink_to(spool)
    with Client(config(spool_dir=spool, **SMALL)) as one:
        (arena,) = spool.iterdir()
        with Client(config(spool_dir=alias, **SMALL)) as other:
            assert arena.exists()
            emit(one, 0, 10)
            emit(other, 10, 10)
            assert (one.flush(20), other.flush(20)) == (0, 0)
    assert sink.ids() == dict.fromkeys(range(20), 1)


def test_a_child_that_has_not_emitted_yet_keeps_its_arena(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    """As a daemon does, whose parent exits before the first event."""
    go, stop = os.pipe(), os.pipe()
    parent = os.fork()
    if not parent:
        client = Client(config(spool_dir=spool, **SMALL))
        if os.fork():
            os._exit(0)  # without closing anything
        os.write(go[1], b"x")
        os.read(stop[0], 1)
        emit(client, 0, 10)
        os.write(go[1], b"x" if client.flush(20) == 0 else b"!")
        os._exit(0)
    os.waitpid(parent, 0)
    os.read(go[0], 1)
    (arena,) = spool.iterdir()
    with Client(config(spool_dir=spool, **SMALL)):
        assert arena.exists()
        os.write(stop[1], b"x")
        assert os.read(go[0], 1) == b"x"
    for fd in (*go, *stop):
        os.close(fd)
    assert sink.ids() == dict.fromkeys(range(10), 1)


def test_an_arena_is_in_use_until_its_last_process_has_gone(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    with Client(config(spool_dir=spool, **SMALL)) as client:
        emit(client, 0, 10)
        (arena,) = spool.iterdir()
        with arena.open("r+b") as other:
            assert not arena_file.lock(other.fileno())
            assert client.close(20) == 0
            wait_until(lambda: not arena.exists())
            wait_until(lambda: arena_file.lock(other.fileno()))
