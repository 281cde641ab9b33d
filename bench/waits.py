"""How long the threads of this process have waited for a CPU, while they could run."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

_TASKS: Final = Path("/proc/self/task")  # schedstat's second number: ns on the run queue


class ThreadWaits:
    """Reads, again and again, how long each thread has waited; zeros where that is not known."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}

    def look(self) -> dict[int, int]:
        """Return the nanoseconds that each thread has waited since its start, by its native id."""
        waits: dict[int, int] = {}
        for thread in threading.enumerate():
            identity = thread.native_id
            if identity is not None:
                with contextlib.suppress(OSError):  # it has ended, or the system does not say
                    waits[identity] = int(self._read(identity).split()[1])
        return waits

    def _read(self, identity: int) -> bytes:
        if identity not in self._files:
            path = _TASKS / str(identity) / "schedstat"
            self._files[identity] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._files[identity], 100, 0)

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
