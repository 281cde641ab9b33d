"""An application: creates a client, forks producers, and replaces those that end.

It works as a pre-forking server does, until its standard input is closed. The driver closes it, or
the kernel does when the driver dies.
"""

import faulthandler
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dataart_mp import Client, ClientConfig, ConfigError, HTTPOptions
from tests.chaos.error_folder import ErrorFolder
from tests.chaos.plan import READ_TIMEOUT, ApplicationPlan
from tests.chaos.producer import Producer, ProducerContext
from tests.chaos.roster import Roster
from tests.chaos.run_log import RunLog
from tests.support import open_descriptors

_LOOK_SECONDS: Final = 0.05
_REPLACE_SECONDS: Final = 0.2
_CHILDREN_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 30.0
_DISK_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Brief:
    """What an application reads from the first line of its standard input, as JSON.

    Attributes:
        run: The name of the run.
        number: The number of the application.
        plan: The fields of its `ApplicationPlan`.
        url: The address of the sink.
        folder: The folder of the run.
        first_entry: The number of this process's entry in the roster.
        last_entry: The end of the range of entries for its producers, exclusive.
        seconds: All of its processes end after this time at the latest.
    """

    run: str
    number: int
    plan: dict[str, Any]
    url: str
    folder: str
    first_entry: int
    last_entry: int
    seconds: float

    @property
    def spool(self) -> str:
        """The application's spool, if it has one."""
        return str(Path(self.folder) / "spools" / str(self.number))


class Application:
    """The parent of all its producers.

    Args:
        brief: What the driver wants it to do.
    """

    def __init__(self, brief: Brief) -> None:
        folder = Path(brief.folder)
        self._brief = brief
        self._plan = ApplicationPlan(**brief.plan)
        self._rng = random.Random(self._plan.seed)
        self._descriptors = open_descriptors()
        self._outcome = folder / "outcomes" / str(brief.number)
        http = HTTPOptions(read_timeout=READ_TIMEOUT, trust_env=False)
        settings = {**self._plan.settings, "spool_dir": brief.spool if self._plan.spools else None}
        config = ClientConfig("chaos", base_url=brief.url, http=http, **settings)
        self._client = _make_client(config)
        roster = Roster(folder / "roster")
        self._context = ProducerContext(
            client=self._client,
            roster=roster,
            parent=roster.entry(brief.first_entry),
            run=brief.run,
            until=time.monotonic() + brief.seconds,
            errors=ErrorFolder(folder / "errors"),
            log=RunLog(folder),
        )
        self._next_entry = brief.first_entry + 1
        self._children: set[int] = set()
        self._emitter: Producer | None = None
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Fork and replace producers until standard input is closed; then end as planned."""
        self._context.parent.register(orderly=True)
        if self._plan.parent_emits:
            self._start_emitting()
        self._send_arena()
        replace_at = 0.0
        while not _input_closed(_LOOK_SECONDS):
            if self._reap():
                replace_at = time.monotonic() + self._rng.uniform(0, _REPLACE_SECONDS)
            if time.monotonic() >= replace_at:
                self._replace()
        match self._plan.ending:
            case "close":
                self._close_after_producers()
            case "close early":
                self._close_before_producers()
            case "exit early":
                self._context.parent.announce_end()
                sys.exit(0)

    def _send_arena(self) -> None:
        """Send the arena's descriptors to the driver over standard output, which is a socket."""
        arena = self._client._queue.arena
        with socket.socket(fileno=os.dup(sys.stdout.fileno())) as channel:
            socket.send_fds(channel, [b"ready"], [arena.fd, arena.lock_fd])

    def _start_emitting(self) -> None:
        seed = self._rng.getrandbits(32)
        self._emitter = Producer(self._context, self._brief.first_entry, seed, endless=True)
        self._thread = threading.Thread(target=self._emitter.run_in_thread, daemon=True)
        self._thread.start()

    def _replace(self) -> None:
        """Fork missing producers; each gets two entries, one for itself and one for a child."""
        while len(self._children) < self._plan.producers:
            entry, self._next_entry = self._next_entry, self._next_entry + 2
            if entry >= self._brief.last_entry:
                return
            seed = self._rng.getrandbits(32)
            pid = os.fork()
            if not pid:
                # No stack frame of the parent runs any code when the child exits.
                child = Producer(self._context, entry, seed)
                self._context.errors.run_child(child.run)
            self._children.add(pid)

    def _reap(self) -> bool:
        """Reap children; return whether a producer has ended."""
        ended = False
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = found
                if pid in self._children:
                    self._children.remove(pid)
                    ended = True
                    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                        raise AssertionError(f"a producer ended with {os.WEXITSTATUS(status)}")
        return ended

    def _close_after_producers(self) -> None:
        """End in an orderly way, and record the stats: they are final."""
        self._context.parent.request_stop()
        self._stop_emitting()
        self._wait_until(self._childless, "its producers have ended")
        left = self._close()
        self._write_outcome(left=left, stats=self._client.stats().as_json())

    def _close_before_producers(self) -> None:
        """Close while others emit: they get a ClosedError and end."""
        self._close()  # the producers may still have frames open
        self._stop_emitting()
        self._wait_until(self._childless, "its producers have ended")
        self._write_outcome(left=0)

    def _close(self) -> int:
        self._context.parent.announce_end()
        self._context.log.write("application closes")
        left = self._client.close(_CLOSE_SECONDS)
        self._context.log.write(f"application has closed, {self._client.stats()}")
        return left

    def _write_outcome(self, **facts: Any) -> None:
        self._context.roster.close()
        facts["descriptors"] = [self._descriptors, open_descriptors()]
        facts["threads"] = [thread.name for thread in threading.enumerate()]
        self._outcome.write_text(json.dumps(facts))

    def _childless(self) -> bool:
        self._reap()
        return not self._children

    def _stop_emitting(self) -> None:
        if self._emitter is not None and self._thread is not None:
            self._emitter.stop()
            self._thread.join(_CHILDREN_SECONDS)

    @staticmethod
    def _wait_until(reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _CHILDREN_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {_CHILDREN_SECONDS} s: {what}")
            time.sleep(_LOOK_SECONDS)


def _make_client(config: ClientConfig) -> Client:
    """Return a client; wait while there is no room on the disk for its spool."""
    deadline = time.monotonic() + _DISK_SECONDS
    while True:
        try:
            return Client(config)
        except ConfigError as error:
            has_room = "No space left" not in str(error)
            if has_room or time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_SECONDS)


def _input_closed(seconds: float) -> bool:
    """Wait at most so long for standard input to be closed; return whether it is."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready)


def main() -> None:
    """Run the application that the first line of standard input describes."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # Unbuffered: a buffer would read the end of the input, and `_input_closed` would not see it.
    brief = Brief(**json.loads(_first_line(sys.stdin.fileno())))
    application = Application(brief)
    ErrorFolder(Path(brief.folder) / "errors").run(application.run)


def _first_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            raise EOFError("the driver has died")
        line += piece
    return line


if __name__ == "__main__":
    main()
