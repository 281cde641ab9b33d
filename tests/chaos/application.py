"""An application: makes a client, forks producers, replaces the dead, as a pre-forking server does.

It is told to end by the end of its standard input, which also comes when the conductor dies.
"""

import faulthandler
import json
import os
import random
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dataart_mp import Client, ClientConfig, HTTPOptions
from tests.chaos.chronicle import Chronicle
from tests.chaos.plan import READ_TIMEOUT, Cast
from tests.chaos.producer import Producer, Surroundings, end_with_troubles, with_troubles
from tests.chaos.roll import Roll

_LOOK_SECONDS: Final = 0.05
_REPLACE_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 60.0
_CLOSE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Brief:
    """What an application reads on its first line of standard input.

    Attributes:
        run: the name of the run.
        number: the application's.
        cast: as the plan has it, as JSON.
        url: the sink's.
        folder: the run's.
        first_entry: in the roll; this process's.
        last_entry: in the roll; of those that its producers may have.
        seconds: after which all of its processes end, whatever happens.
    """

    run: str
    number: int
    cast: dict[str, Any]
    url: str
    folder: str
    first_entry: int
    last_entry: int
    seconds: float

    @property
    def spool(self) -> str:
        """Where its spool is, if it has one."""
        return str(Path(self.folder) / "spools" / str(self.number))


class Application:
    """The parent of all its producers."""

    def __init__(self, brief: Brief) -> None:
        folder = Path(brief.folder)
        self._brief = brief
        self._cast = Cast(**brief.cast)
        self._dice = random.Random(self._cast.seed)
        self._descriptors = _descriptors()
        self._outcome = folder / "outcomes" / str(brief.number)
        http = HTTPOptions(read_timeout=READ_TIMEOUT, trust_env=False)
        settings = {**self._cast.settings, "spool_dir": brief.spool if self._cast.spools else None}
        self._client = Client(ClientConfig("chaos", base_url=brief.url, http=http, **settings))
        roll = Roll(folder / "roll")
        self._around = Surroundings(
            client=self._client,
            roll=roll,
            parent=roll.entry(brief.first_entry),
            run=brief.run,
            until=time.monotonic() + brief.seconds,
            troubles=folder / "troubles",
            chronicle=Chronicle(folder),
        )
        self._next_entry = brief.first_entry + 1
        self._children: set[int] = set()
        self._emitter: Producer | None = None
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Be a server until told to end."""
        self._around.parent.sign(orderly=True)
        if self._cast.parent_emits:
            self._emit_beside()
        print(json.dumps({"arena": self._client._queue.arena.fd}), flush=True)
        replace_at = 0.0
        while not _told_to_end(_LOOK_SECONDS):
            if self._reap():
                replace_at = time.monotonic() + self._dice.uniform(0, _REPLACE_SECONDS)
            if time.monotonic() >= replace_at:
                self._replace()
        match self._cast.ending:
            case "close":
                self._end_after_all_others()
            case "close early":
                self._end_before_the_others()
            case "exit early":
                self._around.parent.farewell()
                sys.exit(0)

    def _emit_beside(self) -> None:
        seed = self._dice.getrandbits(32)
        self._emitter = Producer(self._around, self._brief.first_entry, seed, for_good=True)
        self._thread = threading.Thread(target=self._emitter.emit_beside, daemon=True)
        self._thread.start()

    def _replace(self) -> None:
        """Fork what is missing; each child has an entry of its own, and one for its own child."""
        while len(self._children) < self._cast.producers:
            entry, self._next_entry = self._next_entry, self._next_entry + 2
            if entry >= self._brief.last_entry:
                return
            seed = self._dice.getrandbits(32)
            pid = os.fork()
            if not pid:
                # No frame of the parent has anything to undo when this one exits.
                child = Producer(self._around, entry, seed)
                end_with_troubles(self._around.troubles, child.live)
            self._children.add(pid)

    def _reap(self) -> bool:
        """Whether a producer has ended."""
        ended = False
        with suppress(ChildProcessError):
            while (gone := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = gone
                if pid in self._children:
                    self._children.remove(pid)
                    ended = True
                    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
                        raise AssertionError(f"a producer ended with {os.WEXITSTATUS(status)}")
        return ended

    def _end_after_all_others(self) -> None:
        """The orderly way; this process can tell how it went."""
        self._around.parent.tell_to_leave()
        self._end_emitter()
        self._wait_until(self._childless, "its producers have ended")
        left = self._close()
        self._note_outcome(left=left, stats=asdict(self._client.stats()))

    def _end_before_the_others(self) -> None:
        """Close while others emit: they get a ClosedError, and end."""
        left = self._close()
        self._end_emitter()
        self._wait_until(self._childless, "its producers have ended")
        self._note_outcome(left=left)

    def _close(self) -> int:
        self._around.parent.farewell()
        self._around.chronicle.tell("closes")
        left = self._client.close(_CLOSE_SECONDS)
        self._around.chronicle.tell(f"closed, {self._client.stats()}")
        return left

    def _note_outcome(self, **facts: Any) -> None:
        self._around.roll.close()
        facts["descriptors"] = [self._descriptors, _descriptors()]
        facts["threads"] = [thread.name for thread in threading.enumerate()]
        self._outcome.write_text(json.dumps(facts))

    def _childless(self) -> bool:
        self._reap()
        return not self._children

    def _end_emitter(self) -> None:
        if self._emitter is not None and self._thread is not None:
            self._emitter.stop()
            self._thread.join(_PATIENCE_SECONDS)

    @staticmethod
    def _wait_until(reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {_PATIENCE_SECONDS} s: {what}")
            time.sleep(_LOOK_SECONDS)


def _told_to_end(seconds: float) -> bool:
    """Whether standard input has ended; waits for it so long."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main() -> None:
    """Be the application that the first line of standard input describes."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    # Not through a buffer, which would swallow the end of the input.
    brief = Brief(**json.loads(_first_line(sys.stdin.fileno())))
    application = Application(brief)
    with_troubles(Path(brief.folder) / "troubles", application.run)


def _first_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            raise EOFError("the conductor has died")
        line += piece
    return line


if __name__ == "__main__":
    main()
