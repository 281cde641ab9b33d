"""Stopped and continued, killed one by one and all together."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataart_mp import Client, ClientConfig
from dataart_mp.devsink.process import SinkProcess
from tests.support import all_gone, wait_until, workers_of

Configure = Callable[..., ClientConfig]

FAMILY = """
import os, signal, sys, time
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("k", base_url=sys.argv[1], flush_num_processes=2))
client.emit_action("tick", "ann", metadata={"_id": 0})
child = os.fork()
first = 1 if child else 501
for number in range(first, first + 500):
    client.emit_action("tick", "ann", metadata={"_id": number})
if child:
    while len(client._engine.workers()) < 2:
        time.sleep(0.01)
    print(child, *client._engine.workers(), flush=True)
else:
    os.write(int(sys.argv[2]), b"x")
signal.pause()
"""


@contextmanager
def family(tmp_path: Path, sink: SinkProcess) -> Iterator[list[int]]:
    """An application, a child it has forked, and two workers, in this order; all have emitted."""
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    child_has_emitted, told = os.pipe()
    process = subprocess.Popen(
        [sys.executable, script, sink.url, str(told)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        pass_fds=(told,),
    )
    os.close(told)
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


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def all_arrived(sink: SinkProcess) -> None:
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
    """The second worker is left, and does it all."""
    with family(tmp_path, sink) as pids:
        for victim in order:
            kill(pids[victim])
        all_arrived(sink)
    wait_until(lambda: all_gone(pids[2:]))


def test_events_outlive_kill_9_of_the_whole_process_group(
    tmp_path: Path, sink: SinkProcess
) -> None:
    with family(tmp_path, sink) as pids:
        os.killpg(pids[0], signal.SIGKILL)
        all_arrived(sink)
        assert set(sink.ids().values()) == {1}
    wait_until(lambda: all_gone(pids[2:]))


def test_a_stopped_worker_delays_only_what_it_has_in_its_hands(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config()) as client:
        client.emit_action("tick", "ann", metadata={"_id": 0})
        wait_until(lambda: len(workers_of(client)) == 2)
        client.flush(20)
        stopped = workers_of(client)[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            for number in range(1, 401):
                client.emit_action("tick", "ann", metadata={"_id": number})
            # Of the bell's rings the stopped worker may have taken one for each of its threads.
            sink.wait_for(lambda stats: stats["actions"] >= 401 - 2 * 20)
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert client.flush(20) == 0
    assert sink.ids() == dict.fromkeys(range(401), 1)


def test_a_stopped_application_goes_on_where_it_was(tmp_path: Path, sink: SinkProcess) -> None:
    """Its full batches are sent meanwhile; its open one waits for it, for it may still write."""
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
    sink.wait_for(lambda stats: stats["actions"] >= 50_000)
    assert sink.ids() == dict.fromkeys(range(50_000), 1)


def test_exit_waits_no_longer_than_exit_timeout_for_all_clients_together(
    tmp_path: Path, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "hang"})
    script = tmp_path / "app.py"
    script.write_text(
        """
import sys
from dataart_mp import Client, ClientConfig
config = ClientConfig("k", base_url=sys.argv[1], exit_timeout=2)
clients = [Client(config) for _ in range(10)]
for client in clients:
    client.emit_action("tick", "ann", metadata={"_id": 0})
"""
    )
    subprocess.run([sys.executable, script, sink.url], timeout=15, check=True)
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["actions"] == 10)
