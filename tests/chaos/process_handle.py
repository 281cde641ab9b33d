"""A handle of one process, which never refers to another process with the same id."""

import os
import signal
from dataclasses import dataclass, field

from tests.chaos.procfs import start_time


@dataclass(frozen=True)
class ProcessHandle:
    """A process, identified by its id and its start time. It is the same in another role.

    Attributes:
        pid: The process id.
        started: The start time, in clock ticks.
        role: What the process does: parent, producer, worker, starting worker, or sink.
    """

    pid: int
    started: int
    role: str = field(compare=False)  # what was a starting worker may be a worker by now

    def __repr__(self) -> str:
        return f"{self.role} {self.pid}"

    @property
    def alive(self) -> bool:
        """Whether the process exists and is not a zombie."""
        return start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; return False if the process has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:  # checked while the descriptor keeps the id from being reused
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True
