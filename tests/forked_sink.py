"""Sinks that start at once: each is forked from a process that has imported what a sink needs.

`python -m dataart_mp.devsink` takes a third of a second of CPU time, nearly all of it for imports,
and hundreds of tests need a sink for themselves. The tests of the sink start it as users do.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dataart_mp.devsink import __main__ as command
from dataart_mp.devsink.process import SinkProcess

ROOT = Path(__file__).parents[1]


class SinkTemplate:
    """The process from which sinks are forked; a context manager."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked_sink", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
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
        self._socket.close()
        self._process.wait()

    def fork(self, options: list[str], log: IO[bytes]) -> "ForkedProcess":
        """Fork a process that becomes a sink with these options; `log` is its standard error."""
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        streams = [stdin_read, stdout_write, log.fileno()]
        socket.send_fds(self._socket, [json.dumps(options).encode()], streams)
        os.close(stdin_read)
        os.close(stdout_write)
        pid = int(self._socket.recv(20))
        return ForkedProcess(pid, os.fdopen(stdin_write, "wb"), os.fdopen(stdout_read, "rb"))


class ForkedProcess:
    """A process that another one forked, with what `SinkProcess` uses of `Popen`.

    Args:
        pid: Its process id.
        stdin: A pipe to its standard input.
        stdout: A pipe from its standard output.
    """

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._pidfd = os.pidfd_open(pid)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if not self._has_ended(0):
            signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill the process with SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the process has ended. Must be called once, and last.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            subprocess.TimeoutExpired: It has not ended in time.
        """
        if not self._has_ended(timeout):
            raise subprocess.TimeoutExpired("sink", timeout or 0.0)
        os.close(self._pidfd)

    def _has_ended(self, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))


class ForkedSink(SinkProcess):
    """A sink that is forked from a template.

    Args:
        template: The template.
        options: As for `SinkProcess`.
        settings: As for `SinkProcess`.
    """

    def __init__(self, template: SinkTemplate, *options: str, **settings: Any) -> None:
        super().__init__(*options, **settings)
        self._template = template

    def _launch(self, options: list[str], log: IO[bytes]) -> Any:
        return self._template.fork(options, log)


def main() -> int:
    """Run the template until the process that started it closes its end of the socket."""
    importlib.import_module("dataart_mp.devsink.server")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the sinks
    gc.freeze()  # the collector of a sink would copy all pages
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            request, streams, *_ = socket.recv_fds(requests, 65536, 3)
            if not request:
                return 0
            pid = os.fork()
            if pid == 0:
                break
            for stream in streams:
                os.close(stream)
            requests.send(str(pid).encode())
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv[1:] = json.loads(request)
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
