"""A launch: a fresh interpreter on its way to being a worker.

    starter ── spawn ──► python -I -c ── fork ──► exit (the starter reaps it)
                                           └──► worker ── "ready" on the status pipe
                                                          end of file on it: the worker is gone

A fresh interpreter inherits no lock, thread, socket or memory of the application, needs no
`if __name__ == "__main__"` guard, and is allowed in daemonic processes. The fork in it makes the
worker nobody's child: no zombie, and no surprise for an application that waits for its children.
What the worker has to know, the API key included, comes through its standard input: nothing stands
in its arguments or its environment.

The start is `posix_spawn` and not `subprocess`, which waits for the end of file on a pipe that any
child forked by the application just then, a server's worker say, keeps open for all its life.

A launch needs its starter no more from the moment that the new process exists: it has a session of
its own, holds the arena, and finds its brief, a nameless file, written before it was started. So
what the starter has accepted is safe from here on, and so is what a dead sibling has left.
"""

import contextlib
import itertools
import json
import os
import select
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from dataart_mp.config import ClientConfig
from dataart_mp.queue.anonymous_file import anonymous_file
from dataart_mp.supervision import interpreter
from dataart_mp.supervision.wiring import Inheritance

# Everything before the fork is paid twice, so there is nothing but the fork.
_BOOTSTRAP: Final = """\
import os, sys
brief = sys.stdin.buffer.read()
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
_STREAMS: Final = 3  # standard input, output and error
# What Python ignores, and a fresh interpreter decides on for itself.
_DEFAULT: Final = (signal.SIGPIPE, signal.SIGXFSZ)
# A worker outlives its application: what ends a terminal's processes, or a service's, is not for
# it. It goes when all is delivered, or by SIGKILL.
_IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


class Launch:
    """One start of a worker, from its starter's side.

    Attributes:
        status: a descriptor that becomes readable when there is news for `read`.
        place: the worker's place.
        pid: the process id of the interpreter, and with it the worker's process group.
        ready: whether the worker has said that it works.
    """

    def __init__(
        self, inheritance: Inheritance, config: ClientConfig, place: int, file: Path | None
    ) -> None:
        python = interpreter.find()
        self.place = place
        self.ready = False
        self._text = b""
        self._interpreter_left = False
        self.status, worker_end = os.pipe()
        with contextlib.ExitStack() as in_vain, contextlib.ExitStack() as here:
            in_vain.callback(os.close, self.status)
            here.callback(os.close, worker_end)
            os.set_blocking(self.status, False)
            brief = anonymous_file()
            here.callback(os.close, brief)
            numbers = _numbers((*asdict(inheritance).values(), brief, worker_end))
            descriptors = {name: numbers[fd] for name, fd in asdict(inheritance).items()}
            _write(brief, {**_brief(config, place, file), "descriptors": descriptors})
            self.pid = os.posix_spawn(
                python,
                [python, "-I", "-c", _BOOTSTRAP, f"dataart_mp worker {place}"],
                _environment(),
                file_actions=_inherit(numbers, brief, worker_end),
                setsid=True,
                # It would die of them until it has come to say that it ignores them.
                setsigmask=_IGNORED,
                setsigdef=_DEFAULT,
            )
            in_vain.pop_all()  # it was not

    def reap(self, *, wait: bool) -> bool:
        """Take leave of the interpreter that forks the worker: it goes within milliseconds.

        And of the dead worker, where this process is the one that adopts orphans: process 1 of a
        container.

        Args:
            wait: whether to wait for the interpreter.

        Returns:
            False when one of them has not gone yet.
        """
        if not self._interpreter_left:
            self._interpreter_left = _reap(self.pid, 0 if wait else os.WNOHANG)
        # Then any child of the worker's group.
        return self._interpreter_left and _reap(-self.pid, os.WNOHANG)

    def kill(self) -> None:
        """End a worker that does not come to life; it has a process group of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

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
    def is_silent(self) -> bool:
        """Whether it said nothing, as one that somebody has killed."""
        return not self._text.strip()

    @property
    def error(self) -> str:
        """What the worker, or its interpreter, said instead of "ready"."""
        return self._text.decode(errors="replace").strip() or "it ended without a word"

    def close(self) -> None:
        """Forget the worker; it lives on."""
        os.close(self.status)


def _import_path() -> list[str]:
    """Where the application imports from; without what lies in a directory that is gone."""
    with contextlib.suppress(FileNotFoundError):
        return [str(Path(entry).absolute()) for entry in sys.path]
    return [entry for entry in sys.path if Path(entry).is_absolute()]


def _environment() -> dict[str, str]:
    """The application's, without our settings, the API key among them; the brief has those."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DATAART_")}
    return {**kept, interpreter.GUARD: "1"}


def _brief(config: ClientConfig, place: int, file: Path | None) -> dict[str, Any]:
    return {
        "path": _import_path(),
        "signals": _IGNORED,
        "config": config.to_wire(),
        "place": place,
        "file": None if file is None else str(file),
        "processes": config.num_processes,  # which may look different from within the worker
    }


def _write(file: int, brief: dict[str, Any]) -> None:
    with os.fdopen(os.dup(file), "wb") as writing:
        writing.write(json.dumps(brief).encode())
    os.lseek(file, 0, os.SEEK_SET)  # where its reader begins, too: they share the position


def _reap(pid: int, options: int) -> bool:
    """Whether it has gone: a child, or with a negative number any child of that group."""
    try:
        return os.waitpid(pid, options)[0] != 0
    except ChildProcessError:  # no child of ours, or the application reaps whatever it finds
        return True
    except AssertionError:  # gevent's loop, where the collector may find a client, cannot wait
        return False


def _numbers(descriptors: tuple[int, ...]) -> dict[int, int]:
    """The number that each of these gets in the new process.

    None that one of them has here, so that none is overwritten before it is copied; and none of the
    standard streams', which an application that has closed its own may have given to any of these.
    """
    free = (number for number in itertools.count(_STREAMS) if number not in descriptors)
    return dict(zip(descriptors, free, strict=False))


def _inherit(
    numbers: dict[int, int], start: int, end: int
) -> list[tuple[int, int, int] | tuple[int, int]]:
    """What a new process does to have these under their numbers, and two of them as its streams."""
    copies = [*numbers.items(), (numbers[start], 0), (numbers[end], 1), (numbers[end], 2)]
    return [
        *((os.POSIX_SPAWN_DUP2, *copy) for copy in copies),
        *((os.POSIX_SPAWN_CLOSE, numbers[fd]) for fd in (start, end)),
    ]
