"""A launch: a fresh interpreter on its way to being a worker.

    starter ── Popen ──► python -I -c ── fork ──► exit (the starter reaps it)
                                           └──► worker ── "ready" on the status pipe
                                                          end of file on it: the worker is gone

A fresh interpreter inherits no lock, thread, socket or memory of the application, needs no
`if __name__ == "__main__"` guard, and is allowed in daemonic processes. The fork in it makes the
worker nobody's child: no zombie, and no surprise for an application that waits for its children.
What the worker has to know, the API key included, comes through its standard input: nothing stands
in its arguments or its environment.

Once a launch is made it needs its starter no more: the new process has a session of its own, holds
the arena, and finds its brief in the pipe. So what the starter has accepted is safe from here on.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dataart_mp.config import ClientConfig
from dataart_mp.supervision import interpreter
from dataart_mp.supervision.wiring import Inheritance

# Everything before the fork is paid twice, so there is nothing but the fork.
_BOOTSTRAP: Final = """\
import os, sys
brief = sys.stdin.buffer.readline()
if os.fork():
    os._exit(0)
import json
brief = json.loads(brief)
sys.path[:] = brief["path"]
from dataart_mp.worker.main import main
main(brief)
"""
_READY: Final = b"ready\n"
_TAKEN: Final = b"taken\n"
_STATUS_BYTES: Final = 65536
# A worker outlives its application: what ends a terminal's processes, or a service's, is not for
# it. It goes when all is delivered, or by SIGKILL.
_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


class Launch:
    """One start of a worker, from its starter's side.

    Attributes:
        status: a descriptor that becomes readable when there is news for `read`.
        place: the worker's place.
        ready: whether the worker has said that it works.
    """

    def __init__(
        self, inheritance: Inheritance, config: ClientConfig, place: int, file: Path | None
    ) -> None:
        python = interpreter.find()
        self.place = place
        self.ready = False
        self._text = b""
        # One line, and no end of file to wait for: a child that the application forks right now
        # may hold the pipe open for long.
        brief = json.dumps(_brief(inheritance, config, place, file)).encode() + b"\n"
        self.status, worker_end = os.pipe()
        os.set_blocking(self.status, False)
        try:
            with _kept_from_child(_IGNORED):
                self._process = subprocess.Popen(  # noqa: S603 - nothing here is anybody's input
                    [python, "-I", "-c", _BOOTSTRAP, f"dataart_mp worker {place}"],
                    stdin=subprocess.PIPE,
                    stdout=worker_end,
                    stderr=worker_end,
                    pass_fds=tuple(asdict(inheritance).values()),
                    start_new_session=True,
                    env=_environment(),
                )
        except BaseException:
            os.close(self.status)
            raise
        finally:
            os.close(worker_end)
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        # A worker that is dead already says why in its status.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(brief)

    def reap(self, *, wait: bool) -> bool:
        """Take leave of the interpreter that forks the worker: it goes within milliseconds.

        And of the dead worker, where this process is the one that adopts orphans: process 1 of a
        container.

        Args:
            wait: whether to wait for the interpreter.

        Returns:
            False when one of them has not gone yet.
        """
        if wait:
            self._process.wait()
        return self._process.poll() is not None and self._reap_adopted()

    def _reap_adopted(self) -> bool:
        try:
            pid, _ = os.waitpid(-self._process.pid, os.WNOHANG)  # any child of the worker's group
        except ChildProcessError:
            return True
        return pid != 0

    def kill(self) -> None:
        """End a worker that does not come to life; it has a process group of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def read(self) -> bool:
        """Take in the news; False when the worker is gone, or never came."""
        try:
            news = os.read(self.status, _STATUS_BYTES)
        except BlockingIOError:
            return True
        self._text = (self._text + news)[-_STATUS_BYTES:]
        self.ready = self.ready or self._text.endswith(_READY)
        return bool(news)

    def await_end(self, seconds: float) -> None:
        """Wait until the worker has gone, but not longer than `seconds`."""
        poll = select.poll()
        poll.register(self.status, select.POLLIN)
        deadline = time.monotonic() + seconds
        while self.read() and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            pass

    @property
    def found_its_place_taken(self) -> bool:
        """Whether another worker was quicker."""
        return self._text.endswith(_TAKEN)

    @property
    def error(self) -> str:
        """What the worker, or its interpreter, said instead of "ready"."""
        return self._text.decode(errors="replace").strip() or "it ended without a word"

    def close(self) -> None:
        """Forget the worker; it lives on."""
        os.close(self.status)

    def disown(self) -> None:
        """In a forked child: it is the parent's to reap."""
        self._process.returncode = 0


def _import_path() -> list[str]:
    """Where the application imports from; without what lies in a directory that is gone."""
    with contextlib.suppress(FileNotFoundError):
        return [str(Path(entry).absolute()) for entry in sys.path]
    return [entry for entry in sys.path if Path(entry).is_absolute()]


def _environment() -> dict[str, str]:
    """The application's, without our settings, the API key among them; the brief has those."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATAART_")}
    return {**kept, interpreter.GUARD: "1"}


def _brief(
    inheritance: Inheritance, config: ClientConfig, place: int, file: Path | None
) -> dict[str, Any]:
    return {
        "path": _import_path(),
        "signals": _IGNORED,
        "descriptors": asdict(inheritance),
        "config": config.to_wire(),
        "place": place,
        "file": None if file is None else str(file),
        "processes": config.num_processes,  # which may look different from within the worker
        "report_records": config.on_failure is not None,
    }


@contextlib.contextmanager
def _kept_from_child(signals: tuple[signal.Signals, ...]) -> Iterator[None]:
    """A process that is started inside is born with `signals` blocked.

    It would die of them until it has come to say that it ignores them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
