"""A client works in forked, spawned and other child processes."""

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import Client, Failure
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer import engine
from tests.client.tools import each_arrived_once, emit
from tests.queue.tools import fork, kill
from tests.support import SCRIPT, App, Configure, all_gone, wait_until, workers_of


@pytest.fixture
def client(config: Configure) -> Iterator[Client]:
    with Client(config(flush_num_processes=2)) as client:
        yield client


def in_a_child(work: Callable[[], object]) -> None:
    """Run the work in a forked child that ends without running exit handlers."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_forked_child_ships_its_own_events(client: Client, sink: SinkProcess) -> None:
    emit(client, 0, 5)
    in_a_child(lambda: emit(client, 5, 5))
    emit(client, 10, 5)
    client.flush(20)
    each_arrived_once(sink, 15)


def test_a_child_forked_before_the_first_event_starts_the_workers(
    client: Client, sink: SinkProcess
) -> None:
    """As in gunicorn with preload_app: the master creates the client, its workers emit."""

    def child() -> None:
        emit(client, 0, 30)
        client.flush(20)

    in_a_child(child)
    each_arrived_once(sink, 30)


def test_children_read_the_reports_of_workers_if_their_parent_does_not(
    config: Configure, sink: SinkProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in gunicorn with preload_app: the master creates the client, and never emits."""
    monkeypatch.setattr(engine, "_UNREAD_SECONDS", 0.1)
    sink.set_faults({"kind": "status", "status": 400})
    notes, log = tmp_path / "notes", tmp_path / "log"
    notes.touch()

    def on_failure(failure: Failure) -> None:
        with notes.open("a") as file:
            file.write(f"{os.getpid()}\n")

    def readers() -> list[int]:
        """Return who has called `on_failure`, call by call."""
        return [int(line) for line in notes.read_text().splitlines()]

    def emit_for_ever() -> None:
        logging.getLogger("dataart_mp").addHandler(logging.FileHandler(log))
        while True:
            shared.emit_action("refused", "ann")
            time.sleep(0.02)

    with Client(config(on_failure=on_failure, flush_interval=0.05)) as shared:
        children = [fork(emit_for_ever) for _ in range(2)]
        try:
            wait_until(lambda: len(readers()) > 3)
            (first,) = set(readers())
            assert first in children, "one process reads them all"
            assert "not delivered: rejected, status 400" in log.read_text()
            children.remove(first)
            kill(first)
            (other,) = children
            wait_until(lambda: readers()[-1] == other)
        finally:
            for child in children:
                kill(child)
        shared.emit_action("refused", "ann")
        wait_until(lambda: readers()[-1] == os.getpid())
        sink.clear_faults()


def test_a_fork_that_runs_no_hooks_is_noticed(app: App, sink: SinkProcess) -> None:
    """As in uWSGI, which forks in C.

    Python does not support such a fork while one of its threads waits for the GIL, so no other
    thread of this application runs at that moment.
    """
    text = """
import ctypes, os, sys, time
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1]))
def emit(first):
    for number in range(first, first + 5):
        client.emit_action("tick", "ann", metadata={"_id": number})
emit(0)
client.flush()
emit(5)
time.sleep(0.3)
pid = ctypes.PyDLL(None).fork()  # PyDLL: with the GIL held
if not pid:
    emit(10)
    os._exit(0)
os.waitpid(pid, 0)
client.close()
"""
    assert app(text, sink.url).returncode == 0
    each_arrived_once(sink, 15)


SPAWNED = """
import os, sys
held = [os.readlink(f"/dev/fd/{fd}") for fd in os.listdir("/dev/fd") if int(fd) > 3]
assert not held, held
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1]))
for number in range(5, 10):
    client.emit_action("tick", "ann", metadata={"_id": number})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what descriptors lead to")
def test_a_program_started_by_posix_spawn_ships_its_own_events_and_inherits_no_descriptor(
    app: App, sink: SinkProcess
) -> None:
    text = """
import os, sys
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1]))
for number in range(5):
    client.emit_action("tick", "ann", metadata={"_id": number})
command = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
pid = os.posix_spawn(sys.executable, command, os.environ)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    done = app(text, sink.url, SPAWNED)
    assert (done.returncode, done.stderr) == (0, "")
    each_arrived_once(sink, 10)


def test_a_fork_while_threads_emit_loses_and_duplicates_nothing(
    client: Client, sink: SinkProcess
) -> None:
    stop = threading.Event()
    emitted = [0, 0]

    def work(thread: int) -> None:
        while not stop.is_set():
            emit(client, 1_000_000 * (thread + 1) + emitted[thread], 1)
            emitted[thread] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for child in range(20):
        in_a_child(lambda child=child: emit(client, child * 10, 10))  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join()
    total = 200 + sum(emitted)
    assert client.flush(60) == 0
    sink.wait_for(lambda stats: stats["distinct_ids"] >= total)
    assert set(sink.ids().values()) == {1}
    assert len(sink.ids()) == total
    assert client.stats().accepted == total


def test_close_in_a_child_does_not_affect_the_parent_or_the_workers(
    client: Client, sink: SinkProcess
) -> None:
    emit(client, 0, 5)
    client.flush(20)
    workers = workers_of(client)

    def child() -> None:
        emit(client, 5, 5)
        client.close(20)

    in_a_child(child)
    emit(client, 10, 5)
    assert client.flush(20) == 0
    assert set(workers) <= set(workers_of(client))
    each_arrived_once(sink, 15)


def test_close_in_a_child_does_not_wait_for_workers_to_end(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers that it started serve the other processes too."""
    monkeypatch.setattr(engine, "_STOP_SECONDS", 3600.0)

    def child() -> None:
        emit(client, 0, 5)
        client.close(20)

    in_a_child(child)
    monkeypatch.undo()


ORPHANED_CHILD = (
    SCRIPT
    + """
client = Client(ClientConfig("k", base_url=sys.argv[1]))
client.emit_action("parent", "ann")
client.flush()
parent = os.getpid()
if os.fork():
    os.kill(parent, signal.SIGKILL)
while os.getppid() == parent:
    time.sleep(0.01)
time.sleep(0.2)
client.emit_action("child", "ann")
"""
)


def test_workers_stay_for_a_forked_child_when_the_parent_is_killed(
    app: App, sink: SinkProcess
) -> None:
    text = ORPHANED_CHILD + "print(client.flush(20), *workers_of(client), flush=True)"
    done = app(text, sink.url)
    pending, *workers = map(int, done.stdout.split())
    assert pending == 0
    assert sink.stats()["by_key"] == {"parent": 1, "child": 1}
    wait_until(lambda: all_gone(workers))


def test_a_forked_child_replaces_workers_that_die_when_the_parent_is_gone(
    app: App, sink: SinkProcess
) -> None:
    kill_workers = """
client.flush()
for worker in workers_of(client):
    os.kill(worker, signal.SIGKILL)
client.emit_action("child", "ann")
print(client.flush(20), flush=True)
"""
    assert app(ORPHANED_CHILD + kill_workers, sink.url).stdout == "0\n"
    assert sink.stats()["by_key"] == {"parent": 1, "child": 2}


CHILD = """
def child(client, first):
    for number in range(first, first + 5):
        client.emit_action("tick", "ann", metadata={"_id": number})
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_client_can_be_passed_to_a_child_process(
    method: str, tmp_path: Path, sink: SinkProcess
) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "main.py").write_text(
        f"""
import multiprocessing, sys
from child import child
from dataart_mp import Client, ClientConfig
if __name__ == "__main__":
    client = Client(ClientConfig("k", base_url={sink.url!r}))
    child(client, 0)
    context = multiprocessing.get_context({method!r})
    processes = [context.Process(target=child, args=(client, 5 * n)) for n in (1, 2)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    client.close()
"""
    )
    done = subprocess.run(
        # From Python 3.12 a fork with running threads warns. The test shows that ours is safe.
        [sys.executable, "-X", "dev", "-W", "ignore:This process", tmp_path / "main.py"],
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    each_arrived_once(sink, 15)


def test_a_pool_of_forked_processes_emits(config: Configure, sink: SinkProcess) -> None:
    with Client(config(flush_num_processes=2)) as client:
        _POOL_CLIENT.append(client)
        emit(client, 0, 1)
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(3, mp_context=context) as pool:
            list(pool.map(_emit_in_pool, range(1, 101)))
        client.flush(20)
    each_arrived_once(sink, 101)


_POOL_CLIENT: list[Any] = []


def _emit_in_pool(number: int) -> None:
    emit(_POOL_CLIENT[-1], number, 1)


def test_a_client_can_only_be_pickled_while_a_child_is_spawned(client: Client) -> None:
    with pytest.raises(RuntimeError, match="inheritance"):
        multiprocessing.reduction.ForkingPickler.dumps(client)
