"""An application in a real host, observed from outside.

A host is started as its operator starts it. A mark in the environment identifies its processes and
those of the shipper, so that a test can check that none is left.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from dataart_mp.devsink.process import SinkProcess
from tests.support import is_stopped, stop

SECONDS = 20.0
_LOOK_SECONDS = 0.02
_BLOCKED = re.compile(r"^buffer full: \w+ has been blocking for .*\n", re.MULTILINE)
_MARK = "MP_HOST_TEST"  # workers do not inherit variables that begin with DATAART_

CLIENT = """
import os
from dataart_mp import Client, ClientConfig

client = Client(
    ClientConfig(
        "key",
        base_url=os.environ["SINK_URL"],
        flush_backoff_ratio=0.05,
        flush_interval=float(os.environ["FLUSH_INTERVAL"]),
        flush_num_processes=1,  # each takes 0.2 s of CPU time to start
    )
)

def emit(number):
    client.emit_action("tick", "ann", metadata={"_id": number})

"""
"""The first lines of every application."""

WSGI = (
    CLIENT
    + """
import signal, time

if "EMIT_AT_IMPORT" in os.environ:
    emit(1_000_000 + os.getpid())

def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path != "/":
        emit(int(query))
    if path == "/hang":
        if "IGNORE_SIGABRT" in os.environ:
            signal.signal(signal.SIGABRT, signal.SIG_IGN)
        time.sleep(1000)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
)
"""A WSGI application: `/emit?7` emits event 7, and `/hang?7` then never responds."""


class Host:
    """One application in its host.

    Args:
        command: The command that starts the host.
        folder: The folder of the application, in which the host runs.
        sink: The sink to which the application ships.
        flush_interval: The application's `flush_interval`.
        port: The port of the host's HTTP server, if it has one.
        stdin: The host's standard input.
        environment: Additional environment variables of the host.

    Attributes:
        process: The host's first process.
    """

    def __init__(
        self,
        command: Iterable[object],
        folder: Path,
        sink: SinkProcess,
        *,
        flush_interval: float = 0.3,
        port: int = 0,
        stdin: int = subprocess.DEVNULL,
        **environment: str,
    ) -> None:
        self.sink = sink
        self.folder = folder
        self.port = port
        self._mark = uuid.uuid4().hex
        self._log = folder / "host.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*map(str, command)],
                cwd=folder,
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **os.environ,
                    "HOME": str(folder),  # servers write files there
                    "SINK_URL": sink.url,
                    "FLUSH_INTERVAL": str(flush_interval),
                    "PYTHONUNBUFFERED": "1",
                    _MARK: self._mark,
                    **environment,
                },
            )

    # Output and responses

    @property
    def log(self) -> str:
        """Everything that the host wrote to its standard streams."""
        return self._log.read_text(errors="replace")

    @property
    def output(self) -> str:
        """The log without what a client says when a slow machine fills its buffer."""
        return _BLOCKED.sub("", self.log)

    def get(self, path: str, seconds: float = SECONDS) -> str | None:
        """Return the body of the response; None if there is none, or its status is not 200."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=seconds
            ) as response:
                return str(response.read().decode())
        except (OSError, ValueError):  # refused, reset, or closed in the middle of the response
            return None

    def emit(self, numbers: Iterable[int], *, at_once: int = 4) -> dict[int, str]:
        """Have the host emit these events.

        Args:
            numbers: The numbers of the events.
            at_once: How many requests are made at a time.

        Returns:
            By number, the process ids that responded; numbers without a response are missing.
        """
        with ThreadPoolExecutor(at_once) as pool:
            numbers = list(numbers)
            responses = zip(numbers, pool.map(self._emit, numbers), strict=True)
            return {number: body for number, body in responses if body is not None}

    def emit_from_two_processes(self) -> dict[int, str]:
        """Have the host emit events, as `emit` does, until two of its processes have responded."""
        answered: dict[int, str] = {}
        while len(set(answered.values())) < 2:
            answered |= self.emit(range(len(answered), len(answered) + 30))
        return answered

    def _emit(self, number: int) -> str | None:
        return self.get(f"/emit?{number}")

    # Checks

    def until(self, reached: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Wait until a condition holds; fail with the log if it does not in time."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"{what}: not in {seconds} s\n{self.log}"
            time.sleep(_LOOK_SECONDS)

    def check_arrived(self, numbers: Iterable[int], attempted: Iterable[int] | None = None) -> None:
        """Check that events arrive, each once.

        Args:
            numbers: The events that must arrive.
            attempted: The events that may arrive; None if only `numbers` may.
        """
        wanted = set(numbers)
        self.until(lambda: wanted <= self.sink.ids().keys(), f"{len(wanted)} events")
        ids = self.sink.ids()
        assert set(ids.values()) <= {1}, f"duplicates\n{self.log}"
        assert ids.keys() <= (wanted if attempted is None else set(attempted))

    def check_every_event_arrives(self) -> None:
        """Check that events of two processes arrive, and so do unsent events after a stop."""
        answered = self.emit_from_two_processes()
        self.check_arrived(answered)
        later = self.emit(range(len(answered), len(answered) + 5))
        assert self.stop() == 0
        self.check_arrived(answered | later)

    def check_end(self, seconds: float = SECONDS) -> int:
        """Check that the host ends by itself and leaves no process; return its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.processes()} did not end in {seconds} s\n{self.log}")
        self.until(lambda: not self.processes(), "no process is left")
        assert "dataart_mp" not in self.log, f"a traceback through the client\n{self.log}"
        return code

    def check_clean_end(self) -> None:
        """Check that the host ends by itself with exit code 0, and has written nothing."""
        assert self.check_end() == 0, self.log
        assert self.output == ""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, check that the host ends, and return its exit code."""
        self.process.send_signal(number)
        return self.check_end()

    # Processes

    def processes(self) -> list[psutil.Process]:
        """Return all processes with the mark: the host's and the shipper's."""
        return [process for process in psutil.process_iter() if self._is_marked(process)]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark
        except psutil.Error:  # it has ended, or belongs to another user
            return False

    def shippers(self) -> list[psutil.Process]:
        """Return the shipper's processes."""
        return [process for process in self.processes() if _is_shipper(process)]

    def host_pids(self) -> set[int]:
        """Return the ids of the host's processes, without the shipper's."""
        return {process.pid for process in self.processes() if not _is_shipper(process)}

    def freeze(self) -> None:
        """Stop all processes, also those that are started meanwhile."""
        while running := [each.pid for each in self.processes() if not is_stopped(each.pid)]:
            for pid in running:
                with contextlib.suppress(ProcessLookupError):  # it has ended
                    stop(pid)

    def thaw(self) -> None:
        """Let all processes continue."""
        for process in self.processes():
            process.send_signal(signal.SIGCONT)

    def kill_host(self) -> None:
        """Kill all processes of the host, but not the shipper's."""
        for pid in self.host_pids():
            with contextlib.suppress(ProcessLookupError):  # it ended with its parent
                os.kill(pid, signal.SIGKILL)

    def destroy(self) -> None:
        """Kill all processes that are left."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with its parent
                process.kill()
        self.process.wait(SECONDS)
        if self.process.stdin is not None:
            self.process.stdin.close()


def _is_shipper(process: psutil.Process) -> bool:
    try:
        return any(argument.startswith("dataart_mp worker") for argument in process.cmdline())
    except psutil.Error:
        return False


StartHost = Callable[..., Host]
"""The fixture `host`: writes files and starts a command."""

StartScript = Callable[..., Host]
"""The fixture `script`: starts the text of a script."""
