"""An application in a real host, watched from outside.

A host is started as its operator would start it. Its processes, the shipper's among them, are known
by a mark in their environment, so that a test can tell that none is left.
"""

import os
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

SECONDS = 20.0
_LOOK_SECONDS = 0.02
_MARK = "DATAART_MP_HOST_TEST".removeprefix("DATAART_")  # our own settings don't get to workers

# What every application here begins with.
CLIENT = """
import os
from dataart_mp import Client, ClientConfig

client = Client(
    ClientConfig(
        "key",
        base_url=os.environ["SINK_URL"],
        flush_backoff_ratio=0.05,
        flush_interval=float(os.environ["FLUSH_INTERVAL"]),
    )
)

def emit(number):
    client.emit_action("tick", "ann", metadata={"_id": number})

"""


class Host:
    """One application in its host.

    Args:
        command: starts the host.
        folder: where the application lies; the host runs there.
        sink: what the application ships to.
        options: `flush_interval` of the application, and of the host's environment.
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
                    "HOME": str(folder),  # servers leave things there
                    "SINK_URL": sink.url,
                    "FLUSH_INTERVAL": str(flush_interval),
                    "PYTHONUNBUFFERED": "1",
                    _MARK: self._mark,
                    **environment,
                },
            )

    # What it says

    @property
    def log(self) -> str:
        """All that it wrote to its standard streams."""
        return self._log.read_text(errors="replace")

    def get(self, path: str, seconds: float = SECONDS) -> str | None:
        """The body of its answer; None when it is not 200, or when there is none."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=seconds
            ) as answer:
                return str(answer.read().decode())
        except (OSError, ValueError):  # refused, reset, or ended in the middle of the answer
            return None

    def emit(self, numbers: Iterable[int], *, at_once: int = 4) -> dict[int, str]:
        """Have it emit each of these; those for which it answered, with the process that did."""
        with ThreadPoolExecutor(at_once) as pool:
            numbers = list(numbers)
            answers = zip(numbers, pool.map(self._emit, numbers), strict=True)
            return {number: body for number, body in answers if body is not None}

    def _emit(self, number: int) -> str | None:
        return self.get(f"/emit?{number}")

    # What becomes of it

    def until(self, reached: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Wait for a fact."""
        deadline = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < deadline, f"{what}: not in {seconds} s\n{self.log}"
            time.sleep(_LOOK_SECONDS)

    def arrived(self, numbers: Iterable[int], attempted: Iterable[int] | None = None) -> None:
        """Each of these arrives, none twice, and nothing that was not even attempted."""
        wanted = set(numbers)
        self.until(lambda: wanted <= self.sink.ids().keys(), f"{len(wanted)} events")
        ids = self.sink.ids()
        assert set(ids.values()) <= {1}, f"duplicates\n{self.log}"
        assert ids.keys() <= (wanted if attempted is None else set(attempted))

    def family(self) -> list[psutil.Process]:
        """Every process that carries the mark: the host's, and the shipper's."""
        return [process for process in psutil.process_iter() if self._is_marked(process)]

    def _is_marked(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark
        except psutil.Error:  # gone, a zombie, or somebody else's
            return False

    def shippers(self) -> list[psutil.Process]:
        """The shipper's processes."""
        return [process for process in self.family() if _is_shipper(process)]

    def others(self) -> set[int]:
        """The process ids of the host's own processes."""
        return {process.pid for process in self.family() if not _is_shipper(process)}

    def ends(self, seconds: float = SECONDS) -> int:
        """It ends by itself, and leaves nobody behind. Returns its exit code."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.family()} did not end in {seconds} s\n{self.log}")
        self.until(lambda: not self.family(), "nobody left")
        assert "dataart_mp" not in self.log, f"a traceback through the client\n{self.log}"
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and see that it does."""
        self.process.send_signal(number)
        return self.ends()

    def destroy(self) -> None:
        """After a test, whatever became of it."""
        for process in self.family():
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
