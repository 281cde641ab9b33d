"""Faults that tasks and executors have, at real processes."""

import contextlib
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.support import wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    import pyarrow
    from pyspark.sql import DataFrame

    Batches = Iterator[pyarrow.RecordBatch]

READ_AHEAD = 30_000
"""Rows that are surely more than a task reads before it sends the first request."""

_START_SECONDS = 200.0
"""Seconds that a job may take to send its first request, on a machine that is busy."""

EXECUTOR = "CoarseGrainedExecutorBackend"


def failing_once(df: "DataFrame", flag: Path, arrivals: str, partition: int = 1) -> "DataFrame":
    """Let the first attempt of a partition fail when some of its requests have arrived.

    Args:
        df: The rows; the partition has more than are read ahead.
        flag: A file that says that it has failed; it does not exist yet.
        arrivals: A URL that returns the requests that have arrived.
        partition: The number of the partition.
    """

    def pass_on(batches: "Batches") -> "Batches":
        from pyspark import TaskContext

        context: Any = TaskContext.get()
        passed = 0
        for batch in batches:
            yield batch
            passed += batch.num_rows
            if context.partitionId() == partition and passed > READ_AHEAD and not flag.exists():
                _wait_for_request(arrivals, f"-{partition}-")
                flag.touch()
                raise RuntimeError("this attempt fails on purpose")

    return df.mapInArrow(pass_on, df.schema)


def slow(df: "DataFrame", seconds: float) -> "DataFrame":
    """Wait before each few rows."""

    def wait(batches: "Batches") -> "Batches":
        for batch in batches:
            for start in range(0, batch.num_rows, 500):
                time.sleep(seconds)
                yield batch.slice(start, 500)

    return df.mapInArrow(wait, df.schema)


def _wait_for_request(url: str, part: str) -> None:
    """Wait until a request has arrived whose key contains the name of a part."""

    def has_arrived() -> bool:
        with urllib.request.urlopen(url) as response:
            return part in response.read().decode()

    wait_until(has_arrived)


def kill_a_sending_executor(port: int) -> None:
    """Kill an executor with SIGKILL, one of whose tasks is connected to a port.

    Another one may be the replacement of an executor that was killed before, and still be starting.
    """
    for process in psutil.Process(_a_sender(port)).parents():
        if EXECUTOR in " ".join(_command(process)):
            process.kill()


def executors() -> list[psutil.Process]:
    """Return the processes of the executors that this process has started through Spark."""
    return [one for one in _descendants() if EXECUTOR in " ".join(_command(one))]


def kill_a_sender(port: int) -> None:
    """Kill a Python process that is connected to a port, as soon as there is one."""
    os.kill(_a_sender(port), signal.SIGKILL)


def kill_with_descendants(program: "subprocess.Popen[bytes]") -> None:
    """Kill a program with its JVM and its Python workers, and wait until all have ended."""
    processes = psutil.Process(program.pid).children(recursive=True)
    program.kill()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    program.wait()
    psutil.wait_procs(processes)


def _a_sender(port: int) -> int:
    """Return a Python process that is connected to a port, as soon as there is one."""
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [one.pid for one in _descendants() if _is_connected(one, port)]
        return bool(found)

    wait_until(is_there, _START_SECONDS)
    return found[0]


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_connected(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections("tcp")
    except psutil.Error:
        return False
    return any(one.raddr[1:2] == (port,) for one in connections)
