"""A client and forked, spawned and otherwise made children."""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import Client, ClientConfig
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer import engine
from tests.support import all_gone, wait_until, workers_of

Configure = Callable[..., ClientConfig]
App = Callable[..., "subprocess.CompletedProcess[str]"]


def emit(client: Client, first: int, count: int) -> None:
    for number in range(first, first + count):
        client.emit_action("tick", "ann", metadata={"_id": number})


def in_a_child(work: Callable[[], object]) -> None:
    """Do the work in a forked child that ends without Python's leave."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def each_arrived_once(sink: SinkProcess, count: int) -> None:
    sink.wait_for(lambda stats: stats["actions"] >= count)
    assert sink.ids() == dict.fromkeys(range(count), 1)


def test_a_forked_child_ships_its_own_events(client: Client, sink: SinkProcess) -> None:
    emit(client, 0, 5)
    in_a_child(lambda: emit(client, 5, 5))
    emit(client, 10, 5)
    client.flush(20)
    each_arrived_once(sink, 15)


def test_a_child_forked_before_the_first_event_starts_the_workers(
    client: Client, sink: SinkProcess
) -> None:
    """As in gunicorn with preload_app: the master makes the client, the workers emit."""

    def child() -> None:
        emit(client, 0, 30)
        client.flush(20)

    in_a_child(child)
    each_arrived_once(sink, 30)


def test_a_fork_that_runs_no_hooks_is_noticed(app: App, sink: SinkProcess) -> None:
    """As in uWSGI, which forks in C.

    Python itself does not survive such a fork when one of its threads waits for the GIL just then;
    so the application has none that is awake.
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
def test_a_program_started_by_posix_spawn_ships_its_own_events_and_holds_nothing_of_ours(
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


def test_a_fork_in_the_middle_of_emitting_threads_harms_nobody(
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


def test_a_childs_close_leaves_parent_and_workers_alone(client: Client, sink: SinkProcess) -> None:
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


def test_a_child_that_closes_waits_for_no_worker_that_stays(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that it has started itself are the other processes', too."""
    monkeypatch.setattr(engine, "_STOP_SECONDS", 3600.0)

    def child() -> None:
        emit(client, 0, 5)
        client.close(20)

    in_a_child(child)
    monkeypatch.undo()


def test_workers_stay_for_a_forked_child_when_the_parent_is_killed(
    app: App, sink: SinkProcess
) -> None:
    text = """
import os, signal, sys, time
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1]))
client.emit_action("parent", "ann")
client.flush()
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
while os.getppid() == int(sys.argv[2]):
    time.sleep(0.01)
time.sleep(0.2)
client.emit_action("child", "ann")
print(client.flush(20), *client._engine.workers(), flush=True)
"""
    done = app(text, sink.url, os.getpid())
    left, *workers = map(int, done.stdout.split())
    assert left == 0
    assert sink.stats()["by_key"] == {"parent": 1, "child": 1}
    wait_until(lambda: all_gone(workers))


def test_a_forked_child_replaces_workers_that_die_when_the_parent_is_gone(
    app: App, sink: SinkProcess
) -> None:
    text = """
import os, signal, sys, time
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1]))
client.emit_action("parent", "ann")
client.flush()
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
while os.getppid() == int(sys.argv[2]):
    time.sleep(0.01)
time.sleep(0.2)
client.emit_action("child", "ann")
client.flush()
for worker in client._engine.workers():
    os.kill(worker, signal.SIGKILL)
client.emit_action("child", "ann")
print(client.flush(20), flush=True)
"""
    assert app(text, sink.url, os.getpid()).stdout == "0\n"
    assert sink.stats()["by_key"] == {"parent": 1, "child": 2}


CHILD = """
def child(client, first):
    for number in range(first, first + 5):
        client.emit_action("tick", "ann", metadata={"_id": number})
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_client_can_be_handed_to_a_child_process(
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
        # From Python 3.12 on a fork beside threads warns; that ours is safe is what is tested.
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
    with Client(config()) as client:
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


def test_a_client_cannot_be_pickled_elsewhere(client: Client) -> None:
    with pytest.raises(RuntimeError, match="inheritance"):
        multiprocessing.reduction.ForkingPickler.dumps(client)
