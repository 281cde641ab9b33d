"""A victim: one process that can be hit, and no other by mistake."""

import os
import signal
from dataclasses import dataclass

from tests.chaos.procfs import born


@dataclass(frozen=True)
class Victim:
    """A process by number and birth, so that a reused number never hits a stranger.

    Attributes:
        role: parent, producer or worker.
    """

    pid: int
    born: int
    role: str

    def __repr__(self) -> str:
        return f"{self.role} {self.pid}"

    @property
    def alive(self) -> bool:
        """Whether it is there, and not as a zombie."""
        return born(self.pid) == self.born

    def hit(self, number: signal.Signals) -> bool:
        """Send a signal; False when the process has gone."""
        try:
            reference = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:  # asked while the number cannot change its owner
                return False
            signal.pidfd_send_signal(reference, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(reference)
        return True
