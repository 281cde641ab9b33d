"""A launch: the start of a fresh interpreter that becomes a worker.

    starter ── spawn ──► python -I -c ── fork ──► exit (the starter reaps it)
                                           └──► worker ── "ready" on the status pipe
                                                          end of file on it: the worker has ended

A fresh interpreter inherits no locks, threads, sockets or memory of the application. It needs no
`if __name__ == "__main__"` guard, and is allowed in daemonic processes. Because of the fork, the
worker is not a child of the application: it leaves no zombie, and does not surprise an application
that waits for its children.

`posix_spawn` is used instead of `subprocess`, which waits for the end of file on a pipe. If the
application forks at that moment, for example a worker of a server, the child keeps that pipe open
for its whole life.

A launch does not need its starter once the new process exists: the process has its own session,
holds the arena, and finds its brief in an anonymous file that was written before. From then on,
the records that the starter has accepted are safe.
"""

import contextlib
import itertools
import os
import select
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from dataart_mp import clock
from dataart_mp.config import ClientConfig
from dataart_mp.errors import DescriptorsClosedError
from dataart_mp.queue.anonymous_file import anonymous_file
from dataart_mp.queue.descriptor import Descriptor
from dataart_mp.queue.polling import make_poll
from dataart_mp.supervision import adopted, import_path, interpreter
from dataart_mp.supervision.brief import Brief
from dataart_mp.supervision.wiring import Inheritance

# The process that forks does nothing else, because both processes pay for what happens before.
_BOOTSTRAP: Final = f"""\
import os, sys
try:
    with open("/proc/self/comm", "w") as name:
        name.write("{adopted.WORKER_NAME}")
except OSError:
    pass
brief = sys.stdin.buffer.read()
if os.fork():
    os._exit(0)
import json
sys.path[:] = json.loads(brief)["import_path"] or sys.path
from dataart_mp.worker.main import main
main(brief)
"""
_READY: Final = b"ready\n"
_TAKEN: Final = b"taken\n"
_STATUS_BYTES: Final = 65536
_STREAMS: Final = 3  # standard input, output and error
# Python ignores these signals, and a fresh interpreter decides again.
_DEFAULT_SIGNALS: Final = (signal.SIGPIPE, signal.SIGXFSZ)
# A worker outlives its application, so it ignores the signals that end the processes of a terminal
# or of a service. It ends when everything is delivered, or by SIGKILL.
_IGNORED_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


class Launch:
    """One start of a worker, seen from its starter.

    Attributes:
        place: Number of the worker's place.
        pid: Process id of the interpreter, which is also the worker's process group.
        ready: Whether the worker has reported that it is ready.
    """

    def __init__(
        self, inheritance: Inheritance, config: ClientConfig, place: int, arena_path: Path | None
    ) -> None:
        python = interpreter.find()
        self.place = place
        self.ready = False
        self._text = b""
        self._interpreter_ended = self._worker_ended = False
        status, worker_status = os.pipe()
        self._status = Descriptor(status)
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as always:
            on_failure.callback(self._status.close)
            # The application may close all descriptors at this moment, and open others.
            always.callback(Descriptor(worker_status).close)
            os.set_blocking(status, False)
            brief = anonymous_file()
            always.callback(Descriptor(brief).close)
            numbers = _numbers((*asdict(inheritance).values(), brief, worker_status))
            _write(
                brief,
                Brief(
                    import_path=None if interpreter.is_frozen() else import_path.absolute(),
                    ignored_signals=[*_IGNORED_SIGNALS],
                    inheritance=_renumbered(inheritance, numbers),
                    place=place,
                    arena_path=arena_path,
                    config=_with_fixed_processes(config),
                ),
            )
            self.pid = os.posix_spawn(
                python,
                [python, *interpreter.options(), "-c", _BOOTSTRAP, f"dataart_mp worker {place}"],
                interpreter.environment(),
                file_actions=_inherit(numbers, brief, worker_status),
                setsid=True,
                # Blocked until the worker ignores them, because they would end it before.
                setsigmask=_IGNORED_SIGNALS,
                setsigdef=_DEFAULT_SIGNALS,
            )
            on_failure.pop_all()

    @property
    def status(self) -> int:
        """A descriptor that becomes readable when `read` has something to read."""
        return self._status.number

    def reap(self) -> bool:
        """Reap the interpreter that forks the worker, if it has ended.

        If this process adopts orphans, as process 1 of a container does, reap the dead worker too.

        Returns:
            False if one of them has not ended yet.
        """
        if not self._interpreter_ended:
            self._interpreter_ended = _reap(self.pid)
        if not self._interpreter_ended:
            return False
        if _reap(-self.pid):  # any child in the worker's process group
            return True
        adopted.expect()
        return False

    @property
    def is_ending(self) -> bool:
        """Whether a process will soon be one to reap: the interpreter, or a worker that ends."""
        return not self._interpreter_ended or self._worker_ended

    def kill(self) -> None:
        """Kill the worker and its interpreter: their process group has no other members."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def read(self) -> bool:
        """Read the worker's status; return False if the worker has ended.

        Raises:
            DescriptorsClosedError: The application has closed the status pipe.
        """
        if not self._status.is_intact():
            raise DescriptorsClosedError("the application has closed the status pipe of a worker")
        try:
            text = os.read(self.status, _STATUS_BYTES)
        except BlockingIOError:
            return True
        self._text = (self._text + text)[-_STATUS_BYTES:]
        self.ready = self.ready or self._text.endswith(_READY)
        self._worker_ended = not text
        return bool(text)

    def wait(self, seconds: float) -> None:
        """Wait until the worker has ended, but not longer than `seconds`.

        Raises:
            DescriptorsClosedError: The application has closed the status pipe.
        """
        poll = make_poll()
        poll.register(self.status, select.POLLIN)
        deadline = clock.monotonic() + seconds
        while self.read() and poll.poll(max(0.0, deadline - clock.monotonic()) * 1000):
            pass

    @property
    def place_was_taken(self) -> bool:
        """Whether another worker got the place first."""
        return self._text.endswith(_TAKEN)

    @property
    def is_silent(self) -> bool:
        """Whether the worker has written nothing, like one that was killed."""
        return not self._text.strip()

    @property
    def error(self) -> str:
        """The message of the worker, or of its interpreter, that did not become ready."""
        return self._text.decode(errors="replace").strip() or "it ended without a message"

    def close(self) -> None:
        """Close the status pipe; the worker lives on."""
        self._status.close()


def _with_fixed_processes(config: ClientConfig) -> ClientConfig:
    """Return a copy with the number of processes chosen here: a worker may see other CPUs."""
    return replace(config, flush_num_processes=config.num_processes)


def _write(file: int, brief: Brief) -> None:
    with os.fdopen(os.dup(file), "wb") as writing:
        writing.write(brief.to_wire())
    os.lseek(file, 0, os.SEEK_SET)  # the reader shares this position


def _reap(pid: int) -> bool:
    """Return whether a child has ended; a negative number means any child of that group."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # not our child, or the application has reaped it
        return True


def _numbers(descriptors: tuple[int, ...]) -> dict[int, int]:
    """Choose the number that each descriptor gets in the new process.

    Numbers that are in use here are left out, so that no descriptor is overwritten before it is
    copied. So are those of the standard streams: if the application has closed its streams, the
    descriptors themselves may have these numbers.
    """
    free = (number for number in itertools.count(_STREAMS) if number not in descriptors)
    return dict(zip(descriptors, free, strict=False))


def _renumbered(inheritance: Inheritance, numbers: dict[int, int]) -> Inheritance:
    return Inheritance(**{name: numbers[fd] for name, fd in asdict(inheritance).items()})


def _inherit(
    numbers: dict[int, int], brief: int, status: int
) -> list[tuple[int, int, int] | tuple[int, int]]:
    """Return the actions that give a new process its descriptors and its standard streams."""
    copies = [*numbers.items(), (numbers[brief], 0), (numbers[status], 1), (numbers[status], 2)]
    return [
        *((os.POSIX_SPAWN_DUP2, *copy) for copy in copies),
        *((os.POSIX_SPAWN_CLOSE, numbers[fd]) for fd in (brief, status)),
    ]
