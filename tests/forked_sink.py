"""Sinks that start at once: each is forked from a template.

The tests of the sink start it as users do.
"""

import os
import select
import signal
import subprocess
from typing import IO, Any

from dataart_mp.devsink.process import SinkProcess
from tests.template import Template


def sink_template() -> Template:
    """Return a template of sinks."""
    return Template("dataart_mp.devsink.__main__:main", "dataart_mp.devsink.server")


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

    def __init__(self, template: Template, *options: str, **settings: Any) -> None:
        super().__init__(*options, **settings)
        self._template = template

    def _launch(self, options: list[str], log: IO[bytes]) -> Any:
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        arguments = ["dataart_mp.devsink", *options]
        streams = {0: stdin_read, 1: stdout_write, 2: log.fileno()}
        pid = self._template.fork(arguments, streams)
        os.close(stdin_read)
        os.close(stdout_write)
        return ForkedProcess(pid, os.fdopen(stdin_write, "wb"), os.fdopen(stdout_read, "rb"))
