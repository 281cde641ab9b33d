"""`dataart-mp agent` delivers what clients of a spool have left behind, until SIGTERM."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.observer.observer import Observer
from tests.cli.terminal import run, start
from tests.client.tools import emit, kill
from tests.support import SCRIPT, Configure, all_gone, wait_until

DOWN = {"kind": "status", "status": 503}

DYING = (
    SCRIPT
    + """
client = Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_buffer_size=50,
                             max_request_bytes=8192, flush_backoff_ratio=0.05,
                             flush_num_retries=int(sys.argv[3])))
for number in range(100):
    client.emit_action("tick", "ann", metadata={"_id": number})
while len(workers_of(client)) < 2 or client.stats().parked < int(sys.argv[4]):
    time.sleep(0.01)
print(*workers_of(client), flush=True)
os.system("kill -9 " + " ".join(map(str, [os.getpid(), *workers_of(client)])))
"""
)

Agent = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def agent(spool: Path, env: dict[str, str]) -> Iterator[Agent]:
    """Starts agents on the spool, and kills them with their workers after the test."""
    with contextlib.ExitStack() as stack:

        def run_agent() -> "subprocess.Popen[bytes]":
            process = stack.enter_context(start("agent", spool, env=env))
            stack.callback(_kill_all_on, spool)
            stack.callback(process.kill)
            assert process.stderr is not None
            assert any(b"agent: delivering what clients" in line for line in process.stderr)
            return process

        yield run_agent


def _kill_all_on(spool: Path) -> None:
    with Observer(spool_dir=spool) as observer:
        for look in observer.clients():
            for pid in (*look.workers, *look.applications):
                if pid != os.getpid():
                    kill(pid)


def leave_behind(sink: SinkProcess, spool: Path, *, parked: int) -> None:
    """Let a client emit 100 events in an outage, and be killed with its workers.

    Args:
        parked: How many of its events are parked at least.
    """
    sink.set_faults(DOWN)
    retries = "0" if parked else "1000"
    command = [sys.executable, "-c", DYING, sink.url, str(spool), retries, str(parked)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: all_gone([*map(int, done.stdout.split())]))
    sink.clear_faults()


@pytest.mark.parametrize("parked", [0, 60])
def test_what_a_killed_client_left_is_delivered_once(
    sink: SinkProcess, spool: Path, agent: Agent, parked: int
) -> None:
    leave_behind(sink, spool, parked=parked)
    agent()
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
    wait_until(lambda: len(list(spool.glob("*.arena"))) == 1)
    assert sink.ids() == dict.fromkeys(range(100), 1)


def test_a_client_that_is_killed_while_the_agent_runs_is_continued(
    sink: SinkProcess, spool: Path, agent: Agent
) -> None:
    agent()
    leave_behind(sink, spool, parked=0)
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
    assert sink.stats()["unexplained_duplicates"] == 0


def test_sigterm_ends_it_cleanly_and_leaves_no_file(
    sink: SinkProcess, spool: Path, agent: Agent
) -> None:
    leave_behind(sink, spool, parked=60)
    process = agent()
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
    wait_until(lambda: len(list(spool.glob("*.arena"))) == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    wait_until(lambda: not list(spool.glob("*.arena")))


def test_an_idle_agent_starts_no_worker_and_ends_at_once(spool: Path, agent: Agent) -> None:
    process = agent()
    assert psutil.Process(process.pid).children() == []
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert process.wait(20) == 0
    assert time.monotonic() - started < 3
    assert list(spool.iterdir()) == []


def test_an_agent_that_is_killed_loses_nothing(
    sink: SinkProcess, spool: Path, agent: Agent
) -> None:
    leave_behind(sink, spool, parked=60)
    sink.set_faults(DOWN)
    process = agent()
    with Observer(spool_dir=spool) as observer:
        wait_until(lambda: any(look.workers for look in observer.clients()))
        process.kill()
        process.wait()
        _kill_all_on(spool)
        wait_until(lambda: all(look.is_alive is False for look in observer.clients()))
    sink.clear_faults()
    agent()
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
    assert sink.stats()["unexplained_duplicates"] == 0


def test_a_second_agent_is_harmless(sink: SinkProcess, spool: Path, agent: Agent) -> None:
    agent()
    agent()
    leave_behind(sink, spool, parked=60)
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
    wait_until(lambda: len(list(spool.glob("*.arena"))) == 2)
    assert sink.ids() == dict.fromkeys(range(100), 1)


def test_a_client_that_is_alive_keeps_its_events(
    config: Configure, sink: SinkProcess, spool: Path, agent: Agent
) -> None:
    sink.set_faults(DOWN)
    settings = {"flush_num_retries": 0, "max_request_bytes": 8192, "flush_buffer_size": 50}
    with Client(config(spool_dir=spool, **settings)) as client:
        emit(client, 0, 100)
        wait_until(lambda: client.stats().parked == 100)
        agent()
        sink.clear_faults()
        wait_until(lambda: client.stats().delivered == 100)
    assert sink.ids() == dict.fromkeys(range(100), 1)


def test_a_spool_that_cannot_be_used_is_a_usage_error(tmp_path: Path, env: dict[str, str]) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    done = run("agent", open_to_all, env=env)
    assert done.returncode == 2
    assert "is writable by other users" in done.stderr
