"""No worker can be started: it is said why, and nothing hangs."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import BufferFullError, Client, ClientConfig
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.supervision import interpreter
from tests.support import wait_until

Configure = Callable[..., ClientConfig]
TINY: dict[str, Any] = {"flush_buffer_size": 2, "flush_actions_batch_size": 1}
BROKEN: dict[str, Any] = {**TINY, "pool_factory": "a_module_that_is_not_there:make"}


def fill(client: Client) -> None:
    for _ in range(2):
        client.emit_action("tick", "ann")


def test_emit_raises_with_the_workers_own_error_instead_of_hanging(config: Configure) -> None:
    client = Client(config(**BROKEN))
    fill(client)
    with pytest.raises(BufferFullError, match="No module named 'a_module_that_is_not_there'"):
        client.emit_action("tick", "ann")
    assert client.flush() == 2
    assert client.close() == 2
    assert client.stats().pending == 2


def test_drop_goes_on_dropping_when_no_worker_can_start(config: Configure) -> None:
    client = Client(config(**BROKEN, overflow="drop"))
    fill(client)
    assert client.emit_action("tick", "ann") is False
    assert client.close(0) == 2
    assert client.stats().dropped == {"buffer full": 1}
    assert client.stats().balanced


@pytest.fixture
def broken_python(tmp_path: Path) -> str:
    """An interpreter that says something, and ends."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho 'no such encoding' >&2; exit 1\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_does_not_run_is_reported_with_its_own_words(
    config: Configure,
    broken_python: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: broken_python)
    caplog.set_level(logging.ERROR, "dataart_mp")
    client = Client(config(**TINY))
    client.emit_action("tick", "ann")
    wait_until(lambda: "could not start: no such encoding" in caplog.text)
    assert client.close(0) == 1


def test_workers_are_tried_again_and_deliver_what_waited(
    config: Configure,
    broken_python: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "dataart_mp")
    with monkeypatch.context() as broken:
        broken.setattr(interpreter, "find", lambda: broken_python)
        client = Client(config(**TINY))
        fill(client)
        wait_until(lambda: "could not start" in caplog.text)
    wait_until(lambda: client.stats().delivered == 2)
    assert client.close(20) == 0


SHORT_OF_THREADS = """
import os, resource, sys, threading, time
from dataart_mp import BufferFullError, Client, ClientConfig

client = Client(ClientConfig("k", base_url=sys.argv[1], flush_interval=0.1))
before = len(os.listdir("/proc/self/fd"))
limits = resource.getrlimit(resource.RLIMIT_AS)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), limits[1]))  # less than a stack
for _ in range(20):
    try:
        client.emit_action("early", "ann")
    except BufferFullError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, limits)
assert threading.active_count() == 1
assert len(os.listdir("/proc/self/fd")) == before, "each try gives back what it took"
client.emit_action("later", "ann")
while not client.stats().delivered:  # and nobody flushes
    time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the address space")
def test_where_no_thread_can_be_started_nothing_is_accepted_until_one_can(
    sink: SinkProcess,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_THREADS, sink.url],
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert len(told) == 20
    assert all(line.startswith("nobody could deliver it: can't start new thread") for line in told)
    assert sink.stats()["by_key"] == {"later": 1}
