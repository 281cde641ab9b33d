"""The sink under test: a sink process that the harness kills, stops and restarts."""

import signal
from pathlib import Path
from typing import Any

from dataart_mp.devsink.process import SinkProcess
from tests.chaos.process_handle import ProcessHandle
from tests.chaos.procfs import start_time


class SinkUnderTest:
    """A sink that can be ended and started again on the same port.

    Each of its processes writes a separate journal.

    Args:
        folder: The folder for the journals.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = folder / "journal"
        # The audit reads the journals: the sink need not keep requests in memory.
        self._process = SinkProcess("--keep", "1", "--keep-requests", "1", journal=self._journal)
        self._processes = 0
        self._running = False
        self._paused = False

    @property
    def url(self) -> str:
        """The sink's address, which never changes."""
        return self._process.url

    @property
    def pid(self) -> int:
        """The id of the current process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self._running

    @property
    def up(self) -> bool:
        """Whether there is a process that is not paused."""
        return self._running and not self._paused

    def start(self) -> None:
        """Start a process, unless there is one."""
        if not self._running:
            self._process.start()
            self._running = True

    def end(self, number: signal.Signals) -> None:
        """End the process: at once with SIGKILL, in an orderly way with SIGTERM."""
        self.resume()
        if self._running:
            if number == signal.SIGKILL:
                self._process.kill()
            else:
                self._process.stop()
            self._running = False
            self._journal.rename(self._folder / f"journal-{self._processes:06}")
            self._processes += 1

    def pause(self) -> None:
        """Stop the process by SIGSTOP; its connections stay open."""
        if self.up:
            self._signal(signal.SIGSTOP)
            self._paused = True

    def resume(self) -> None:
        """Continue the process after `pause`."""
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def inject_fault(self, rule: dict[str, Any]) -> None:
        """Add a fault rule."""
        self._process.add_faults(rule)

    def restore(self) -> None:
        """Run without faults."""
        self.resume()
        self.start()
        self._process.clear_faults()

    def journals(self) -> list[Path]:
        """Return the journals of all processes, oldest first."""
        return sorted(self._folder.glob("journal-*"))

    def close(self) -> None:
        """End the process, and release the port."""
        self.end(signal.SIGTERM)
        self._process.close()

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        ProcessHandle(pid, start_time(pid) or 0, "sink").send(number)
