"""The station: the sink under attack. Each of its lives writes a journal of its own."""

import signal
from pathlib import Path
from typing import Any

from dataart_mp.devsink.process import SinkProcess
from tests.chaos.procfs import born
from tests.chaos.victim import Victim


class Station:
    """A sink that goes down and up again, on the same port.

    Args:
        folder: for the journals.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = folder / "journal"
        # The journals are what counts: the sink itself need not remember.
        self._process = SinkProcess("--keep", "1", "--keep-requests", "1", journal=self._journal)
        self._lives = 0
        self._up = False
        self._stopped = False

    @property
    def url(self) -> str:
        """Where it is; it stays there."""
        return self._process.url

    @property
    def pid(self) -> int:
        """The process id of this life."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether there is a process, stopped or not."""
        return self._up

    @property
    def up(self) -> bool:
        """Whether it is neither down nor stopped."""
        return self._up and not self._stopped

    def start(self) -> None:
        """Begin a new life."""
        if not self._up:
            self._process.start()
            self._up = True

    def end(self, number: signal.Signals) -> None:
        """End this life: SIGKILL at once, SIGTERM in order."""
        self.go_on()
        if self._up:
            if number == signal.SIGKILL:
                self._process.kill()
            else:
                self._process.stop()
            self._up = False
            self._journal.rename(self._folder / f"journal-{self._lives:06}")
            self._lives += 1

    def stop(self) -> None:
        """Let it hang, with all its connections open."""
        if self.up:
            self._signal(signal.SIGSTOP)
            self._stopped = True

    def go_on(self) -> None:
        """Let it go on, after a stop."""
        if self._stopped:
            self._signal(signal.SIGCONT)
            self._stopped = False

    def set_fault(self, rule: dict[str, Any]) -> None:
        """Let something go wrong."""
        self._process.add_faults(rule)

    def heal(self) -> None:
        """Let all be well."""
        self.go_on()
        self.start()
        self._process.clear_faults()

    def journals(self) -> list[Path]:
        """What it wrote down, oldest first."""
        return sorted(self._folder.glob("journal-*"))

    def close(self) -> None:
        """End for good."""
        self.end(signal.SIGTERM)
        self._process.close()

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        Victim(pid, born(pid) or 0, "sink").hit(number)
