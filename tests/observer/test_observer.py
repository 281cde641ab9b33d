"""Clients are read from outside: alive, dying and dead, and they notice nothing."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.observer.arena_view import ArenaView
from dataart_mp.observer.observer import Observer
from dataart_mp.observer.processes import ObserverError, is_supported
from dataart_mp.queue.arena import FILLING, FREE, READY, Arena
from dataart_mp.queue.locks import ROWS
from dataart_mp.spool import arena_file
from dataart_mp.spool.arena_file import ArenaError
from dataart_mp.spool.arenas import Spool
from tests.client.tools import emit, kill_together
from tests.support import SCRIPT, Configure, all_gone, wait_until

pytestmark = pytest.mark.skipif(not is_supported(), reason="no /proc")

APPLICATION = (
    SCRIPT
    + """
spool = sys.argv[2] or None
client = Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=spool, flush_buffer_size=100,
                             max_request_bytes=8192, flush_backoff_ratio=0.2, flush_interval=0.1,
                             flush_num_retries=1000, flush_num_processes=2))
for number in range(50):
    client.emit_action("tick", "ann", metadata={"_id": number})
while len(workers_of(client)) < 2:
    time.sleep(0.01)
print(*workers_of(client), flush=True)
sys.stdin.read()
client.close(20)
"""
)


@dataclass
class Application:
    """An application in another process that has emitted 50 events."""

    process: "subprocess.Popen[str]"
    workers: list[int]

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """Kill the application and its workers, and wait until all have gone."""
        kill_together([self.process.pid, *self.workers])
        self.process.wait()
        wait_until(lambda: all_gone(self.workers))

    def close(self) -> None:
        """Let it close its client, and wait until all processes have ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
        wait_until(lambda: all_gone(self.workers))


@pytest.fixture
def start(sink: SinkProcess) -> Iterator[Callable[..., Application]]:
    """Starts applications."""
    with contextlib.ExitStack() as stack:

        def run(spool: Path | None = None, starter: tuple[str, ...] = ()) -> Application:
            process = subprocess.Popen(
                [sys.executable, *starter, "-c", APPLICATION, sink.url, str(spool or "")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            application = Application(process, [*map(int, process.stdout.readline().split())])
            assert process.stdin is not None
            stack.callback(process.stdin.close)
            stack.callback(process.stdout.close)
            stack.callback(application.kill)
            return application

        yield run


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def _has_delivered_all(observer: Observer) -> bool:
    return observer.clients()[0].stats.delivered == 50


def test_a_client_is_found_by_each_of_its_processes(start: Callable[..., Application]) -> None:
    application = start()
    for pid in (application.pid, *application.workers):
        with Observer(pid=pid) as observer:
            wait_until(partial(_has_delivered_all, observer))
            (look,) = observer.clients()
            assert observer.spools([look]) == []
        assert look.is_alive
        assert not look.is_closed
        assert look.applications == (application.pid,)
        assert set(look.workers) == set(application.workers)
        assert (look.stats.accepted, look.stats.pending, look.stats.workers) == (50, 0, 2)
        assert sum(look.frames.values()) == 100
        assert look.health.is_ok


def test_the_clients_of_the_processes_that_a_process_has_started_are_found(
    start: Callable[..., Application],
) -> None:
    """As the master of gunicorn without preload_app: the number in its pid file is its own."""
    again = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    application = start(starter=("-c", again, "-c", again))
    with Observer(pid=application.pid) as observer:
        wait_until(partial(_has_delivered_all, observer))
        (look,) = observer.clients()
        assert application.pid not in look.applications
        assert set(look.workers) == set(application.workers)
        application.close()
        assert observer.clients() == []


def test_all_clients_of_the_user_are_found(
    start: Callable[..., Application], spool: Path, config: Configure
) -> None:
    applications = {start().pid, start(spool).pid}
    with Observer() as observer:
        found = {pid for look in observer.clients() for pid in look.applications}
    assert applications <= found


def test_what_is_pending_is_shown_with_its_age(
    start: Callable[..., Application], sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    application = start()
    with Observer(pid=application.pid) as observer:
        wait_until(lambda: observer.clients()[0].stats.circuit == "open")
        (look,) = observer.clients()
        assert look.stats.pending == 50
        assert look.stats.oldest_pending_seconds is not None
        assert 0 < look.stats.oldest_pending_seconds < 30
        assert look.frames["free"] < 100
        assert look.health.status == "failing"
        sink.clear_faults()
        wait_until(lambda: observer.clients()[0].stats.delivered == 50)


def test_a_client_that_is_killed_while_it_is_looked_at_stays_in_view(
    start: Callable[..., Application], sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    application = start()
    with Observer(pid=application.pid) as observer:
        assert observer.clients()[0].is_alive
        application.process.kill()
        application.process.wait()
        (look,) = observer.clients()
        assert look.is_alive, "its workers deliver"
        assert look.applications == ()
        kill_together(application.workers)
        wait_until(lambda: observer.clients()[0].is_alive is False)
        (look,) = observer.clients()
        assert (look.stats.accepted, look.stats.pending, look.stats.workers) == (50, 50, 0)
        assert look.is_left_behind
        assert str(look.health) == (
            "failing: all its processes have ended, and 50 records are pending; "
            "nothing can deliver them"
        )


def test_what_a_dead_client_has_left_in_a_spool_is_shown(
    start: Callable[..., Application], sink: SinkProcess, spool: Path, config: Configure
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    application = start(spool)
    application.kill()
    sink.clear_faults()
    with Observer(spool_dir=spool) as observer:
        (look,) = observer.clients()
        assert (look.is_alive, look.stats.pending) == (False, 50)
        assert "the next client on the spool" in look.health.reason
        with Client(config(spool_dir=spool)) as successor:
            sink.wait_for(lambda stats: stats["distinct_ids"] == 50)
            wait_until(lambda: len(list(spool.glob("*.arena"))) == 1)
            ids = [look.id for look in observer.clients()]
            assert ids == [successor._queue.arena.id]
        assert observer.clients() == []
    assert sink.ids() == dict.fromkeys(range(50), 1)


def test_a_client_that_is_closed_leaves_the_view(start: Callable[..., Application]) -> None:
    application = start()
    with Observer(pid=application.pid) as observer:
        assert len(observer.clients()) == 1
        application.close()
        assert observer.clients() == []


def test_looking_takes_no_lock_and_revokes_none(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    """Closing any descriptor of a file drops the record locks that its process has on it."""
    sink.set_faults({"kind": "latency", "seconds": 0.02})
    # Its frame stays open, and so locked, during the test.
    settings = config(spool_dir=spool, flush_num_processes=1, flush_interval=60)
    with Client(settings) as client:
        emit(client, 0, 5)
        arena = client._queue.arena
        held = [*arena.all_in(FILLING), *(byte for byte in arena.locks.held() if byte >= ROWS)]
        assert held, "others may be locked for a moment only"
        for _ in range(5):
            with Observer(spool_dir=spool) as observer:
                (look,) = observer.clients()
                assert look.stats.accepted == 5
        pid = os.fork()
        if not pid:  # another process still sees the owner of each frame
            owners = [arena.locks.owner(byte) for byte in held]
            os._exit(owners != [os.getppid()] * len(held))
        assert os.waitpid(pid, 0)[1] == 0
        (file,) = spool.glob("*.arena")
        with file.open("rb") as other:
            assert not arena_file.lock(other.fileno()), "the client has the lock of the file"
        emit(client, 5, 95)
        assert client.flush(20) == 0
    assert sink.ids() == dict.fromkeys(range(100), 1)


def test_looking_does_not_keep_the_next_client_from_taking_over(
    start: Callable[..., Application], sink: SinkProcess, spool: Path, config: Configure
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    start(spool).kill()
    sink.clear_faults()
    with Observer(spool_dir=spool) as observer:
        assert len(observer.clients()) == 1
        with Client(config(spool_dir=spool)):
            sink.wait_for(lambda stats: stats["distinct_ids"] == 50)


def test_nothing_can_be_stored_in_what_is_looked_at() -> None:
    with contextlib.closing(Arena.create(2, 100)) as arena:
        view = ArenaView(arena.fd)
        with pytest.raises(TypeError):
            view.set_state(0, READY)
        with pytest.raises(TypeError):
            view.account(0).count = 1
        assert (view.id, view.state(0)) == (arena.id, FREE)
        view.close()
        arena.set_state(0, FREE)


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_file_that_is_too_short_is_refused(tmp_path: Path, size: int) -> None:
    """Reading what is missing would kill the reader."""
    arena = Spool(tmp_path).create(2, 100)
    (file,) = tmp_path.glob("*.arena")
    os.truncate(file, size)
    with file.open("rb") as opened, pytest.raises(ArenaError) as error:
        ArenaView(opened.fileno())
    assert error.value.reason in ("truncated", "foreign")
    with Observer(spool_dir=tmp_path) as observer:
        assert observer.clients() == []
        assert len(observer.problems) == 1
        assert str(file) in observer.problems[0]
    os.truncate(file, Arena.size(2, 100))
    arena.close()


def test_a_client_of_an_earlier_boot_has_ended(tmp_path: Path) -> None:
    arena = Spool(tmp_path).create(2, 100)
    arena.words[8] ^= 1
    arena.close()
    with Observer(spool_dir=tmp_path) as observer:
        (look,) = observer.clients()
    assert look.is_alive is False
    assert look.stats.oldest_pending_seconds is None


def test_of_a_client_in_another_container_it_is_unknown_whether_it_lives(tmp_path: Path) -> None:
    arena = Spool(tmp_path).create(2, 100)
    arena.words[10] ^= 1  # the namespace
    arena.close()
    with Observer(spool_dir=tmp_path) as observer:
        (look,) = observer.clients()
    assert look.is_alive is None
    assert look.workers == ()


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "30"])
    try:
        with pytest.raises(ObserverError, match=f"process {process.pid} has no client"):
            Observer(pid=process.pid).clients()
    finally:
        process.kill()
        process.wait()
    with pytest.raises(ObserverError, match=f"there is no process {process.pid}"):
        Observer(pid=process.pid).clients()
    with pytest.raises(ObserverError, match="No such file"):
        Observer(spool_dir=tmp_path / "missing").clients()
