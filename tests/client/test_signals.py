"""Events survive processes that are stopped, continued or killed, in any order."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import each_arrived_once, emit, kill
from tests.support import SCRIPT, Configure, all_gone, stop, wait_until, workers_of

FAMILY = (
    SCRIPT
    + """
client = Client(ClientConfig("k", base_url=sys.argv[1], flush_num_processes=2))
client.emit_action("tick", "ann", metadata={"_id": 0})
child = os.fork()
first = 1 if child else 501
for number in range(first, first + 500):
    client.emit_action("tick", "ann", metadata={"_id": number})
if child:
    while len(workers_of(client)) < 2:
        time.sleep(0.01)
    print(child, *workers_of(client), flush=True)
else:
    os.write(int(sys.argv[2]), b"x")
signal.pause()
"""
)


@contextmanager
def family(tmp_path: Path, sink: SinkProcess) -> Iterator[list[int]]:
    """An application, its forked child and two workers, in this order; both have emitted."""
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    child_has_emitted, notify = os.pipe()
    process = subprocess.Popen(
        [sys.executable, script, sink.url, str(notify)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(notify,),
    )
    os.close(notify)
    with process:
        assert process.stdout is not None
        pids = [process.pid, *map(int, process.stdout.readline().split())]
        os.read(child_has_emitted, 1)
        os.close(child_has_emitted)
        try:
            yield pids
        finally:
            for pid in pids:
                kill(pid)


def each_arrived(sink: SinkProcess) -> None:
    sink.wait_for(lambda stats: stats["distinct_ids"] == 1001)
    assert sink.stats()["unexplained_duplicates"] == 0


@pytest.mark.parametrize(
    "order",
    [order for order in itertools.permutations(range(3)) if order[0] != 2],
    ids=lambda order: "-".join(("parent", "child", "worker")[number] for number in order),
)
def test_events_outlive_parent_child_and_worker_killed_in_any_order(
    tmp_path: Path, sink: SinkProcess, order: tuple[int, ...]
) -> None:
    """The second worker remains, and delivers all events."""
    with family(tmp_path, sink) as pids:
        for victim in order:
            kill(pids[victim])
        each_arrived(sink)
    wait_until(lambda: all_gone(pids[2:]))


def test_events_outlive_kill_9_of_the_whole_process_group(
    tmp_path: Path, sink: SinkProcess
) -> None:
    with family(tmp_path, sink) as pids:
        os.killpg(pids[0], signal.SIGKILL)
        each_arrived(sink)
        assert set(sink.ids().values()) == {1}
    wait_until(lambda: all_gone(pids[2:]))


def test_a_stopped_worker_delays_only_its_current_batches(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(flush_num_processes=2)) as client:
        client.emit_action("tick", "ann", metadata={"_id": 0})
        wait_until(lambda: len(workers_of(client)) == 2)
        client.flush(20)
        stopped = workers_of(client)[0]
        stop(stopped)
        try:
            emit(client, 1, 400)
            # The stopped worker may have read one notification for each of its threads.
            sink.wait_for(lambda stats: stats["actions"] >= 401 - 2 * 20)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert client.flush(20) == 0
    each_arrived_once(sink, 401)


def test_a_stopped_application_continues_where_it_was(tmp_path: Path, sink: SinkProcess) -> None:
    """Workers send its full batches meanwhile, but not the open one, which it may still fill."""
    script = tmp_path / "app.py"
    script.write_text(
        """
import sys
from dataart_mp import Client, ClientConfig
with Client(ClientConfig("k", base_url=sys.argv[1], flush_interval=0.1)) as client:
    number = 0
    print("emitting", flush=True)
    while number < 50_000:
        client.emit_action("tick", "ann", metadata={"_id": number})
        number += 1
"""
    )
    with subprocess.Popen([sys.executable, script, sink.url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(5):
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGCONT)
        assert process.wait(60) == 0
    each_arrived_once(sink, 50_000)


def test_exit_waits_no_longer_than_exit_timeout_for_all_clients_together(
    tmp_path: Path, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "hang"})
    script = tmp_path / "app.py"
    script.write_text(
        """
import sys, time
from dataart_mp import Client, ClientConfig
config = ClientConfig("k", base_url=sys.argv[1], exit_timeout=2)
clients = [Client(config) for _ in range(10)]
for client in clients:
    client.emit_action("tick", "ann", metadata={"_id": 0})
print(time.monotonic())
"""
    )
    done = subprocess.run(
        [sys.executable, script, sink.url], timeout=90, check=True, stdout=subprocess.PIPE
    )
    assert 2 <= time.monotonic() - float(done.stdout) < 15, "one after the other, they take 20 s"
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["actions"] == 10)
