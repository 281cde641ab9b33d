"""If no worker can be started, the client reports why, and no call hangs."""

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import BufferFullError, Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.supervision import interpreter
from tests.support import Configure, wait_until

TWO_FRAMES: dict[str, Any] = {"flush_buffer_size": 2, "flush_actions_batch_size": 1}
BROKEN: dict[str, Any] = {**TWO_FRAMES, "pool_factory": "a_missing_module:make"}


def fill(client: Client) -> None:
    for _ in range(2):
        client.emit_action("tick", "ann")


def test_emit_raises_the_error_of_the_worker_instead_of_hanging(config: Configure) -> None:
    client = Client(config(**BROKEN))
    fill(client)
    with pytest.raises(BufferFullError, match="No module named 'a_missing_module'"):
        client.emit_action("tick", "ann")
    assert client.flush() == 2
    assert client.close() == 2
    assert client.stats().pending == 2


def test_drop_continues_when_no_worker_can_start(config: Configure) -> None:
    client = Client(config(**BROKEN, overflow="drop"))
    fill(client)
    assert client.emit_action("tick", "ann") is False
    assert client.close(0) == 2
    assert client.stats().dropped == {"buffer full": 1}
    assert client.stats().balanced


@pytest.fixture
def broken_python(tmp_path: Path) -> str:
    """An interpreter that writes to standard error, and fails."""
    path = tmp_path / "python"
    path.write_text("#!/bin/sh\necho 'no such encoding' >&2; exit 1\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_that_fails_is_reported_with_its_error_output(
    config: Configure,
    broken_python: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: broken_python)
    caplog.set_level(logging.ERROR, "dataart_mp")
    client = Client(config(**TWO_FRAMES))
    client.emit_action("tick", "ann")
    wait_until(lambda: "could not start: no such encoding" in caplog.text)
    assert client.close(0) == 1


def test_workers_are_started_again_and_deliver_pending_events(
    config: Configure,
    broken_python: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "dataart_mp")
    with monkeypatch.context() as broken:
        broken.setattr(interpreter, "find", lambda: broken_python)
        client = Client(config(**TWO_FRAMES))
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
assert len(os.listdir("/proc/self/fd")) == before, "each attempt closes its descriptors"
client.emit_action("later", "ann")
while not client.stats().delivered:  # without a flush
    time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of the address space")
def test_no_event_is_accepted_while_no_thread_can_be_started(
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
    errors = done.stdout.splitlines()
    assert len(errors) == 20
    reason = "no worker can deliver events: can't start new thread"
    assert all(line.startswith(reason) for line in errors)
    assert sink.stats()["by_key"] == {"later": 1}
