"""Processes that start at once: each is forked from a process that has imported what it needs.

A program such as `dataart-mp` takes some tenths of a second of CPU time to start, nearly all of it
for imports, and hundreds of tests need one. The tests of a start itself start it as users do.
"""

import fcntl
import gc
import importlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[1]
_REQUEST_BYTES = 1 << 17
_MOST_DESCRIPTORS = 64


class Template:
    """The process from which others are forked; a context manager.

    Args:
        main: What a forked process runs, as `module:function`; it returns the exit code, or None.
        modules: What the template imports before.
    """

    def __init__(self, main: str, *modules: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.template", str(number), main, *modules],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[number],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the template; what was forked from it continues."""
        self._socket.shutdown(socket.SHUT_RDWR)  # a process that a test forked may hold it, too
        self._socket.close()
        self._process.wait()

    def fork(
        self,
        arguments: Sequence[str],
        descriptors: Mapping[int, int],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        status: int | None = None,
    ) -> int:
        """Fork a process, in a new session; it is not a child of this process.

        Args:
            arguments: Its `sys.argv`.
            descriptors: What its descriptors are here, by their numbers there. It has no others.
            env: Its environment; None: that of the template. What an interpreter reads when it
                starts has no effect.
            cwd: Its working directory; None: that of the template.
            status: A descriptor to which its wait status is written as text when it has ended.

        Returns:
            The id of its process group, which is its process id unless there is a `status`.
        """
        request = _Request(
            [*arguments],
            [*descriptors],
            None if env is None else {**env},
            None if cwd is None else str(cwd),
        )
        reply, theirs = os.pipe()  # another thread, or a forked process, may make requests, too
        extra = [theirs] if status is None else [theirs, status]
        sent = [*extra, *descriptors.values()]
        socket.send_fds(self._socket, [json.dumps(request).encode()], sent)
        os.close(theirs)
        with os.fdopen(reply, "rb") as file:
            return int(file.read())


class _Request(NamedTuple):
    arguments: list[str]
    numbers: list[int]
    env: dict[str, str] | None
    cwd: str | None


def _wait_for(requests: socket.socket) -> tuple[_Request, list[int]] | None:
    """Fork a process for each request; return the request in that process, and None at the end."""
    while True:
        text, received, *_ = socket.recv_fds(requests, _REQUEST_BYTES, _MOST_DESCRIPTORS)
        if not text:
            return None
        request = _Request(*json.loads(text))
        pid = os.fork()
        if pid == 0:
            return request, received
        for descriptor in received:
            os.close(descriptor)


def _report_end(status: int) -> None:
    """Continue in a child, whose end this process reports before it ends itself."""
    child = os.fork()
    if child:
        os.write(status, str(os.waitpid(child, 0)[1]).encode())
        os._exit(0)
    os.close(status)


def _renumber(numbers: list[int], received: list[int]) -> None:
    """Give descriptors their numbers, and close all others."""
    above = [fcntl.fcntl(each, fcntl.F_DUPFD, _MOST_DESCRIPTORS) for each in received]
    os.closerange(0, _MOST_DESCRIPTORS)
    for number, each in zip(numbers, above, strict=True):
        os.dup2(each, number)
    os.closerange(_MOST_DESCRIPTORS, 2 * _MOST_DESCRIPTORS)


def _reopen_streams() -> None:
    """Make new standard streams: each remembers whether it is a terminal, a file or a pipe."""
    modes = {"stdin": "r", "stdout": "w", "stderr": "w"}
    for descriptor, (name, mode) in enumerate(modes.items()):
        old = getattr(sys, name)
        new = io.TextIOWrapper(
            open(descriptor, f"{mode}b", closefd=False),  # noqa: SIM115 - open until the end
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=old.line_buffering,
            write_through=old.write_through,
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def main() -> int:
    """Run the template until the process that started it closes its end of the socket."""
    number, target, *modules = sys.argv[1:]
    module, name = target.split(":")
    run = getattr(importlib.import_module(module), name)
    for each in modules:
        importlib.import_module(each)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps what was forked
    gc.freeze()  # the collector of a forked process would copy all pages
    with socket.socket(fileno=int(number)) as requests:
        forked = _wait_for(requests)
    if forked is None:
        return 0
    request, (reply, *received) = forked
    os.setsid()
    os.write(reply, str(os.getpid()).encode())  # from now on, its group can be killed
    os.close(reply)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if len(received) > len(request.numbers):
        _report_end(received.pop(0))
    _renumber(request.numbers, received)
    _reopen_streams()
    sys.argv[:] = request.arguments
    if request.env is not None:
        os.environ.clear()
        os.environ.update(request.env)
    if request.cwd is not None:
        os.chdir(request.cwd)
    return int(run() or 0)


if __name__ == "__main__":
    sys.exit(main())
