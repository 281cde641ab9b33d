"""With `spool_dir`, accepted events survive the death of all processes."""

import logging
import multiprocessing
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from dataart_mp import Client, ConfigError
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.spool import arena_file
from dataart_mp.spool.dead_letters import DeadLetters
from tests.client.tools import emit
from tests.support import (
    SCRIPT,
    App,
    Configure,
    all_gone,
    open_descriptors,
    wait_until,
    workers_of,
)

SMALL = {
    "flush_num_processes": 2,
    "flush_buffer_size": 200,
    "max_request_bytes": 8192,
    "flush_max_batch_size": 20,
}

EMIT = (
    SCRIPT
    + """
first, count = int(sys.argv[3]), int(sys.argv[4])
client = Client(
    ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_buffer_size=200,
                 max_request_bytes=8192, flush_backoff_ratio=0.05, flush_num_retries=1000,
                 flush_num_processes=1, flush_max_batch_size=20)
)
for number in range(first, first + count):
    client.emit_action("tick", "ann", metadata={"_id": number})
"""
)
EMIT_AND_DIE = (
    EMIT
    + """
while not workers_of(client):
    time.sleep(0.01)
# The application first: it would replace the worker.
os.system(f"kill -9 {os.getpid()} {workers_of(client)[0]}")
"""
)


@pytest.fixture
def dead(app: App, sink: SinkProcess, spool: Path) -> Path:
    """The arena with 95 events of an application that was killed with all its workers."""
    sink.set_faults({"kind": "status", "status": 503})
    app(EMIT_AND_DIE, sink.url, spool, 0, 95)
    (arena,) = spool.iterdir()
    with arena.open("r+b") as file:
        wait_until(lambda: arena_file.lock(file.fileno()))  # the processes take a moment to end
    sink.clear_faults()  # not earlier: a worker that still runs would deliver the events
    return arena


def test_the_next_client_delivers_the_events_of_killed_processes(
    config: Configure, sink: SinkProcess, spool: Path, dead: Path
) -> None:
    with Client(config(spool_dir=spool, **SMALL)) as client:
        sink.wait_for(lambda stats: stats["actions"] >= 95)
        client.emit_action("tick", "ann", metadata={"_id": 95})
        wait_until(lambda: not dead.exists())
    assert sink.ids() == dict.fromkeys(range(96), 1)
    assert list(spool.iterdir()) == []


def test_concurrent_new_owners_deliver_each_event_once(
    app: App, sink: SinkProcess, spool: Path, dead: Path
) -> None:
    new_owner = """
import sys
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2],
                             flush_buffer_size=10, max_request_bytes=8192))
client.identify("new owner")
client.close()
"""
    command = [sys.executable, "-c", new_owner, sink.url, str(spool)]
    new_owners = [subprocess.Popen(command) for _ in range(6)]
    assert [process.wait(30) for process in new_owners] == [0] * 6
    sink.wait_for(lambda stats: stats["actions"] >= 95 and stats["identities"] == 6)
    wait_until(lambda: not list(spool.iterdir()))
    assert sink.ids() == dict.fromkeys(range(95), 1)


def test_a_new_owner_that_dies_leaves_the_arena_to_the_next_client(
    app: App, config: Configure, sink: SinkProcess, spool: Path, dead: Path
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    app(EMIT_AND_DIE, sink.url, spool, 95, 5)
    sink.clear_faults()
    with Client(config(spool_dir=spool, **SMALL)):
        sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
        wait_until(lambda: len(list(spool.iterdir())) == 1)
    assert set(sink.ids()) == set(range(100))
    assert sink.stats()["unexplained_duplicates"] == 0
    assert list(spool.iterdir()) == []


def test_the_arena_of_a_live_client_is_not_taken_over(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    sink.set_faults({"kind": "hang"})
    with Client(config(spool_dir=spool, **SMALL)) as one:
        one.emit_action("tick", "ann", metadata={"_id": 1})
        pid = os.fork()
        if not pid:
            with Client(config(spool_dir=spool, **SMALL)) as other:
                other.emit_action("tick", "ann", metadata={"_id": 2})
                sink.clear_faults()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert one.flush(20) == 0
    assert sink.ids() == {1: 1, 2: 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the flags of a mapping")
def test_a_store_to_a_new_page_of_the_spool_prepares_only_that_page(
    config: Configure, spool: Path
) -> None:
    """Else an event may take 10 ms, also in a spawned process."""
    with Client(config(spool_dir=spool)) as client:
        child = multiprocessing.get_context("spawn").Process(target=check_mapping, args=(client,))
        child.start()
        check_mapping(client)
        child.join(30)
        assert child.exitcode == 0


def check_mapping(client: Client) -> None:
    """Check that the kernel reads nothing ahead in the mapping of the client's arena (`rr`)."""
    assert client.config.spool_dir is not None
    flags: list[list[str]] = []
    is_arena = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line[:1].isdigit() or line[:1] in "abcdef":  # an address: the first line of a mapping
            is_arena = line.endswith(".arena") and client.config.spool_dir in line
        elif is_arena and line.startswith("VmFlags:"):
            flags.append(line.split())
    assert flags
    assert all("rr" in each for each in flags), flags


def test_two_clients_of_one_process_share_a_spool(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    with Client(config(spool_dir=spool, **SMALL)) as one:
        one.emit_action("tick", "ann", metadata={"_id": 1})
        with Client(config(spool_dir=spool, **SMALL)) as other:
            other.emit_action("tick", "ann", metadata={"_id": 2})
        one.emit_action("tick", "ann", metadata={"_id": 3})
        assert one.flush(20) == 0
        assert one.stats().delivered == 2
    assert sink.ids() == {1: 1, 2: 1, 3: 1}


def test_a_closed_client_leaves_no_file_and_no_descriptor(config: Configure, spool: Path) -> None:
    descriptors = open_descriptors()
    client = Client(config(spool_dir=spool, **SMALL))
    (arena,) = spool.iterdir()
    assert stat.S_IMODE(arena.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    client.emit_action("tick", "ann")
    workers = workers_of(client)
    assert client.close(20) == 0
    wait_until(lambda: all_gone(workers))
    assert list(spool.iterdir()) == []
    assert open_descriptors() == descriptors


def test_an_application_that_ends_without_close_leaves_no_file(
    app: App, sink: SinkProcess, spool: Path
) -> None:
    assert app(EMIT, sink.url, spool, 0, 50).returncode == 0
    sink.wait_for(lambda stats: stats["actions"] == 50)
    wait_until(lambda: not list(spool.iterdir()))


def test_a_retry_after_a_restart_has_the_same_idempotency_key(
    config: Configure, sink: SinkProcess, spool: Path, dead: Path
) -> None:
    """The new owner sends the same batches with the same keys."""
    before = {request["idempotency_key"] for request in sink.requests()}
    with Client(config(spool_dir=spool, **SMALL)):
        sink.wait_for(lambda stats: stats["actions"] >= 95)
    after = [r["idempotency_key"] for r in sink.requests() if r["status"] == 200]
    assert before <= set(after)
    assert len(after) == len(set(after)) == 5


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_space_is_refused_at_the_start(config: Configure, spool: Path) -> None:
    """A later write would cause SIGBUS. A limit on file sizes makes posix_fallocate fail too."""
    with (
        file_size_limit(1 << 20),
        pytest.raises(ConfigError, match=r"spool_dir=.*no room for the [\d,]+ bytes"),
    ):
        Client(config(spool_dir=spool))
    assert list(spool.iterdir()) == []


def test_a_full_file_system_is_refused_at_the_start(config: Configure, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system does not let root mount")
    try:
        with pytest.raises(ConfigError, match="No space left"):
            Client(config(spool_dir=tmp_path))
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_directory_that_others_may_write_to_is_refused(config: Configure, spool: Path) -> None:
    spool.mkdir()
    spool.chmod(0o777)
    with pytest.raises(ConfigError, match="chmod 700"):
        Client(config(spool_dir=spool))


def test_a_directory_that_a_volume_opened_to_a_group_is_closed_to_it_again(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    spool.mkdir()
    spool.chmod(0o2770)  # as Kubernetes does at each mount of a volume with `fsGroup`
    with Client(config(spool_dir=spool)) as client:
        client.emit_action("tick", "ann")
        assert client.flush(20) == 0
        assert stat.S_IMODE(spool.stat().st_mode) == 0o2700


def test_a_spool_dir_that_is_a_file_is_refused(config: Configure, spool: Path) -> None:
    spool.write_text("")
    with pytest.raises(ConfigError, match="is not a directory"):
        config(spool_dir=spool)


def damage_magic(arena: Path) -> None:
    _overwrite_header(arena, 0, b"SQLite format 3\0")


def damage_version(arena: Path) -> None:
    _overwrite_header(arena, 8, (99).to_bytes(8, "little"))


def damage_sizes(arena: Path) -> None:
    _overwrite_header(arena, 32, b"\xff" * 24)


def damage_length(arena: Path) -> None:
    os.truncate(arena, 10)


def _overwrite_header(path: Path, at: int, data: bytes) -> None:
    for copy in (0, 2048):
        _overwrite(path, copy + at, data)


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_magic, "foreign"),
        (damage_version, "newer"),
        (damage_sizes, "corrupt"),
        (damage_length, "truncated"),
    ],
)
def test_an_unreadable_arena_file_is_set_aside_and_logged(
    config: Configure,
    spool: Path,
    dead: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    damage(dead)
    content = dead.read_bytes()
    with Client(config(spool_dir=spool, **SMALL)) as client:
        assert repr(client).startswith("<Client open")
    aside = dead.with_name(f"{dead.name}.{reason}")
    assert sha256(aside.read_bytes()).digest() == sha256(content).digest()
    assert f"{dead} set aside as {aside.name}" in caplog.text


def test_a_directory_named_like_an_arena_is_logged_once_and_ignored(
    config: Configure, sink: SinkProcess, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool.mkdir(mode=0o700)
    (spool / "x.arena").mkdir()
    for _ in range(2):
        with Client(config(spool_dir=spool)) as client:
            client.emit_action("tick", "ann")
            assert client.flush(20) == 0
    assert caplog.text.count("x.arena cannot be taken over: Is a directory") == 1
    assert sink.stats()["actions"] == 2


def test_readable_frames_of_a_damaged_file_are_delivered(
    config: Configure,
    sink: SinkProcess,
    spool: Path,
    dead: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The end with two of five frames is missing, and one frame account is overwritten."""
    caplog.set_level(logging.WARNING, "dataart_mp")
    start = dead.stat().st_size - 200 * 8192
    os.truncate(dead, start + 3 * 8192)
    accounts = start - 53248
    _overwrite(dead, accounts + 8, b"\xff" * 16)
    with Client(config(spool_dir=spool, **SMALL)):
        sink.wait_for(lambda stats: stats["actions"] >= 60)
        wait_until(lambda: not dead.exists())
    assert "was damaged; 2 frames repaired" in caplog.text
    assert sink.ids() == dict.fromkeys(range(60), 1)


def test_a_takeover_does_not_affect_a_thread_that_emits(
    config: Configure, sink: SinkProcess, spool: Path, dead: Path
) -> None:
    with Client(config(spool_dir=spool, **SMALL)) as client:
        thread = threading.Thread(target=emit, args=(client, 1000, 1000))
        thread.start()
        with Client(config(spool_dir=spool, **SMALL)):
            thread.join()
        assert client.flush(20) == 0
        sink.wait_for(lambda stats: stats["actions"] >= 1095)
    assert set(sink.ids().values()) == {1}
    assert signal.getsignal(signal.SIGBUS) is signal.SIG_DFL


def test_dead_letters_that_cannot_be_stored_are_logged(
    config: Configure, sink: SinkProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool_dir = tmp_path / "spool"
    spool_dir.mkdir(0o700)
    (spool_dir / "dead").write_text("in the way")
    sink.set_faults({"kind": "status", "status": 422})
    with Client(config(spool_dir=spool_dir, flush_buffer_size=4)) as client:
        client.emit_action("play", "ann")
        assert client.flush(20) == 0
        assert client.stats().rejected == 1
    assert any("1 dead letters not kept" in record.getMessage() for record in caplog.records)


def test_the_oldest_dead_letters_are_removed_and_logged_when_there_are_too_many(
    config: Configure, sink: SinkProcess, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink.set_faults({"kind": "status", "status": 422})
    settings = {"flush_num_processes": 1, "flush_actions_batch_size": 1, "flush_buffer_size": 4}
    spool_dir, limit = tmp_path / "spool", 1 << 20
    with Client(config(spool_dir=spool_dir, spool_max_bytes=limit, **settings)) as client:
        for number in range(20):
            client.emit_action("play", "ann", metadata={"_id": number, "text": "x" * 100_000})
            assert client.flush(20) == 0
        assert client.stats().rejected == 20
    kept = [letters.read()[0]["event"]["metadata"]["_id"] for letters in DeadLetters(spool_dir)]
    assert kept == list(range(kept[0], 20))
    assert 0 < kept[0] < 20
    assert "oldest batches removed: spool_max_bytes is reached" in caplog.text
