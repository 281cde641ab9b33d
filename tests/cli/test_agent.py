"""`dataart-mp agent` delivers what clients of a spool have left behind, until SIGTERM."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.observer.observer import Observer
from tests.cli.terminal import run, start
from tests.client.tools import emit, kill_together, leave_behind
from tests.support import Configure, wait_until

if TYPE_CHECKING:
    import subprocess

DOWN = {"kind": "status", "status": 503}

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
            kill_together({*look.workers, *look.applications} - {os.getpid()})


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
