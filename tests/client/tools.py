"""Shared helpers for tests of the client: emit numbered events, check their arrival, kill."""

import contextlib
import os
import signal
from typing import Any

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess

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
