"""Shared helpers for tests of the client: emit numbered events, check their arrival, kill."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from tests.support import SCRIPT, all_gone, wait_until

TINY: dict[str, Any] = {
    "flush_buffer_size": 3,
    "flush_actions_batch_size": 2,
    "flush_max_batch_size": 2,
}
"""Settings of a buffer that is full after six events."""


def emit(client: Client, first: int, count: int) -> None:
    """Emit `count` events, numbered from `first`."""
    for number in range(first, first + count):
        client.emit_action("tick", "ann", metadata={"_id": number})


def each_arrived_once(sink: SinkProcess, count: int) -> None:
    """Wait until the events 0 to count-1 have arrived, and check that none is duplicated."""
    sink.wait_for(lambda stats: stats["actions"] >= count)
    assert sink.ids() == dict.fromkeys(range(count), 1)


def kill(pid: int) -> None:
    """Kill a process, unless it has ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_together(pids: Collection[int]) -> None:
    """Kill processes before one of them can react to the end of another, as a worker does."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


_DYING = (
    SCRIPT
    + """
client = Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_buffer_size=50,
                             max_request_bytes=8192, flush_backoff_ratio=0.05,
                             flush_num_retries=int(sys.argv[3]), flush_num_processes=2))
for number in range(100):
    client.emit_action("tick", "ann", metadata={"_id": number})
while len(workers_of(client)) < 2 or client.stats().parked < int(sys.argv[4]):
    time.sleep(0.01)
print(*workers_of(client), flush=True)
os.system("kill -9 " + " ".join(map(str, [os.getpid(), *workers_of(client)])))
"""
)


def leave_behind(sink: SinkProcess, spool: Path, *, parked: int) -> None:
    """Let a client emit 100 events in an outage, and be killed with its workers.

    Args:
        parked: How many of its events are parked at least.
    """
    sink.set_faults({"kind": "status", "status": 503})
    retries = "0" if parked else "1000"
    command = [sys.executable, "-c", _DYING, sink.url, str(spool), retries, str(parked)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: all_gone([*map(int, done.stdout.split())]))
    sink.clear_faults()
