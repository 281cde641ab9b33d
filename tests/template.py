"""Processes that start at once: each is forked from a process that has imported what it needs.

A program such as `dataart-mp` takes some tenths of a second of CPU time to start, nearly all of it
for imports, and hundreds of tests need one. The tests of a start itself start it as users do.
"""

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
from typing import Self

ROOT = Path(__file__).parents[1]
_REQUEST_BYTES = 1 << 17
_STREAMS = 3


class Template:
    """The process from which others are forked; a context manager.

    Args:
        main: What a forked process runs, as `module:function`; it returns the exit code.
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
        self._socket.close()
        self._process.wait()

    def fork(
        self,
        arguments: Sequence[str],
        streams: Sequence[int],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> int:
        """Fork a process, in a new session; it is not a child of this process.

        Args:
            arguments: Its `sys.argv`.
            streams: Its standard input, output and error. A fourth descriptor receives its wait
                status as text when it has ended.
            env: Its environment; None: that of the template. What an interpreter reads when it
                starts has no effect.
            cwd: Its working directory; None: that of the template.

        Returns:
            The process id, with a fourth descriptor that of its process group.
        """
        request = json.dumps([[*arguments], env and {**env}, cwd and str(cwd)])
        socket.send_fds(self._socket, [request.encode()], [*streams])
        return int(self._socket.recv(20))


def _wait_for(requests: socket.socket) -> tuple[bytes, list[int]] | None:
    """Fork a process for each request; return the request in that process, and None at the end."""
    while True:
        request, streams, *_ = socket.recv_fds(requests, _REQUEST_BYTES, _STREAMS + 1)
        if not request:
            return None
        pid = os.fork()
        if pid == 0:
            return request, streams
        for stream in streams:
            os.close(stream)
        requests.send(str(pid).encode())


def _report_end(status_fd: int) -> None:
    """Continue in a child, whose end this process reports before it ends itself."""
    child = os.fork()
    if child:
        os.write(status_fd, str(os.waitpid(child, 0)[1]).encode())
        os._exit(0)
    os.close(status_fd)


def _take(streams: Sequence[int]) -> None:
    """Make three descriptors the standard streams of this process."""
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    # A text stream remembers whether what it reads or writes is a terminal, a file or a pipe.
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
    request, streams = forked
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _take(streams[:_STREAMS])
    for status_fd in streams[_STREAMS:]:
        _report_end(status_fd)
    sys.argv[:], environment, directory = json.loads(request)
    if environment is not None:
        os.environ.clear()
        os.environ.update(environment)
    if directory is not None:
        os.chdir(directory)
    return int(run())


if __name__ == "__main__":
    sys.exit(main())
