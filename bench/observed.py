"""An observed application (`bench.application`): the memory and CPU time of its processes."""

import json
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Final, Self

import psutil

from dataart_mp.cli.bench.cpu import cpu_seconds
from dataart_mp.cli.bench.load import EVENT

_MB: Final = 1e6
_START_SECONDS: Final = 30.0
_BARE: Final = "import orjson, sys; print(flush=True); sys.stdin.read()"


class Observed:
    """A running application; a context manager.

    Args:
        config: The configuration of its client, from `ClientConfig.to_wire`.

    Attributes:
        workers: The process ids of its workers, as it has reported them last.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self.workers: list[int] = []

    def __enter__(self) -> Self:
        self._child = _piped("-m", "bench.application")
        self._write({"config": self._config, "event": [*EVENT[:3], str(EVENT.timestamp), EVENT[4]]})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _end(self._child)

    def begin_emit(self, events: int) -> None:
        """Have it emit so many events and flush; `end_emit` must follow."""
        self._write(events)

    def end_emit(self) -> int:
        """Wait until it has flushed; return how many events it has delivered since its start."""
        result = json.loads(self._stdout().readline())
        self.workers = result["workers"]
        return int(result["delivered"])

    def emit(self, events: int) -> int:
        """Have it emit so many events and flush, and return what `end_emit` returns."""
        self.begin_emit(events)
        return self.end_emit()

    def start_all(self) -> None:
        """Emit one event, and wait until all workers have started."""
        processes = self._config["flush_num_processes"]
        deadline = time.monotonic() + _START_SECONDS
        self.emit(1)
        while len(self.workers) < processes:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.workers)} of {processes} workers have started")
            self.emit(0)

    def memory(self) -> list[float]:
        """Return the proportional set sizes of the application and of each worker, in MB."""
        return [_pss(pid) for pid in (self._child.pid, *self.workers)]

    def cpu(self) -> float:
        """Return the CPU seconds of the application and its workers since their start."""
        return cpu_seconds((self._child.pid, *self.workers))

    def _write(self, message: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def _stdout(self) -> Any:
        return self._child.stdout


def bare_memory() -> float:
    """Return the proportional set size of an interpreter that has imported orjson, in MB."""
    child = _piped("-c", _BARE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        return _pss(child.pid)
    finally:
        _end(child)


def _piped(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _end(child: "subprocess.Popen[str]") -> None:
    child.communicate()
    if child.returncode:
        raise RuntimeError(f"the application ended with {child.returncode}")


def _pss(pid: int) -> float:
    """Return the proportional set size in MB: a page counts 1/n in each of n processes."""
    return float(psutil.Process(pid).memory_full_info().pss / _MB)
