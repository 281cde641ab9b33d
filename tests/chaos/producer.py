"""A producer: a process that emits, from one thread or several, until it has lived long enough."""

import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from dataart_mp import BufferFullError, Client, ClosedError
from tests.chaos.chronicle import Chronicle
from tests.chaos.event import KEY, identifier, metadata
from tests.chaos.roll import THREADS, Entry, FrameWriter, Roll

Way = str
"""How a producer ends: "close", "exit" (without closing) or "vanish" (`os._exit`)."""

_LIFE_SECONDS: Final = (2.0, 15.0)
_BURST: Final = (1, 30)
_PAUSE_SECONDS: Final = 0.06
_IDENTITY_RATE: Final = 0.02
_FLUSH_RATE: Final = 0.01  # a burst
_STATS_RATE: Final = 0.02
_FLUSH_SECONDS: Final = 3.0
_CLOSE_SECONDS: Final = 20.0


@dataclass(frozen=True)
class Surroundings:
    """What all producers of an application share.

    Attributes:
        client: made before any of them was forked.
        roll: where they note what was accepted.
        parent: the application's entry in it.
        run: the name of the run.
        until: when (monotonic) the last of them is to end, whatever happens.
        troubles: the folder for what they did not expect.
        chronicle: where they say when they come and go.
    """

    client: Client
    roll: Roll
    parent: Entry
    run: str
    until: float
    troubles: Path
    chronicle: Chronicle


class Producer:
    """Emits in this process.

    Args:
        around: what it shares with others.
        entry: the number of its account in the roll.
        seed: of all that it chooses.
        for_good: whether it emits until it is told to stop: the application's own.
    """

    def __init__(
        self, around: Surroundings, entry: int, seed: int, *, for_good: bool = False
    ) -> None:
        self._around = around
        self._client = around.client
        self._entry = around.roll.entry(entry)
        dice = random.Random(seed)
        now = time.monotonic()
        self._ends_at = around.until if for_good else now + dice.uniform(*_LIFE_SECONDS)
        self._threads = dice.choice([1, 1, 2, THREADS])
        self._forks_at = dice.choice([now + dice.uniform(0.5, 3.0), None])
        self._way: Way = dice.choice(["close", "exit", "exit", "vanish"])
        self._seed = dice.getrandbits(32)
        self._stopped = False

    def live(self) -> NoReturn:
        """In a forked process: emit, and end."""
        self._entry.sign(orderly=self._way != "vanish")
        self._around.chronicle.tell(f"begins, entry {self._entry.number}")
        others = [
            threading.Thread(target=self._emit_from, args=(thread,))
            for thread in range(1, self._threads)
        ]
        for other in others:
            other.start()
        self._emit_from(0)
        for other in others:
            other.join()
        self._end()

    def emit_beside(self) -> None:
        """In the application, whose main thread has other things to do: emit until `stop`."""
        self._forks_at = None
        self._emit_from(0)

    def stop(self) -> None:
        """Emit no more."""
        self._stopped = True

    def _over(self) -> bool:
        around = self._around
        return (
            self._stopped
            or around.roll.enough
            or around.parent.leave
            or time.monotonic() > self._ends_at
        )

    def _emit_from(self, thread: int) -> None:
        with_troubles(self._around.troubles, lambda: self._emit(thread))

    def _emit(self, thread: int) -> None:
        dice = random.Random(self._seed + thread)
        emitter = _Emitter(self._client, self._entry.writer(thread), self._around.run, dice)
        try:
            while not self._over():
                for _ in range(dice.randint(*_BURST)):
                    emitter.emit()
                emitter.now_and_then()
                if thread == 0 and self._forks_at and time.monotonic() > self._forks_at:
                    self._forks_at = None
                    self._fork()
                time.sleep(dice.expovariate(1 / _PAUSE_SECONDS))
        except ClosedError:  # by the application, which ends before its producers
            return

    def _fork(self) -> None:
        """Fork again, while the other threads are in the middle of emitting."""
        if os.fork():
            return  # never waited for: it may outlive this process
        successor = Producer(self._around, self._entry.number + 1, self._seed + THREADS)
        successor._forks_at = None
        end_with_troubles(self._around.troubles, successor.live)

    def _end(self) -> NoReturn:
        self._entry.farewell()
        self._around.chronicle.tell(self._way)
        if self._way == "close":
            writer = self._entry.writer(0)
            writer.begin()
            if self._client.close(_CLOSE_SECONDS) == 0 and arrives_when_settled(self._client):
                writer.settle(writer.noted)
            writer.end()
        if self._way == "vanish":
            os._exit(0)
        sys.exit(0)


class _Emitter:
    """Calls the client from one thread, and notes what it answers."""

    def __init__(self, client: Client, writer: FrameWriter, run: str, dice: random.Random) -> None:
        self._client = client
        self._lane = writer
        self._run = run
        self._dice = dice

    def emit(self) -> None:
        """Emit the next event, and note it if it was accepted."""
        writer = self._lane
        producer, number = writer.producer, writer.noted + 1
        carried = metadata(self._run, producer, number)
        writer.begin()
        try:
            if self._dice.random() < _IDENTITY_RATE:
                self._client.identify(identifier(self._run, producer, number), carried)
            else:
                self._client.emit_action(KEY, f"user {producer}", metadata=carried)
        except BufferFullError as error:
            if "no worker can start" not in str(error):  # it has waited for room for very long
                raise
            writer.refuse()
        else:
            writer.note(number)
        finally:
            writer.end()

    def now_and_then(self) -> None:
        """Ask the client something."""
        writer = self._lane
        if self._dice.random() < _FLUSH_RATE:
            before = writer.noted
            writer.begin()
            left = self._client.flush(self._dice.uniform(0, _FLUSH_SECONDS))
            if left == 0 and arrives_when_settled(self._client):
                writer.settle(before)
            writer.end()
        if self._dice.random() < _STATS_RATE:
            writer.begin()
            stats = self._client.stats()
            writer.end()
            if not stats.balanced:
                raise AssertionError(f"not balanced: {stats}")


def arrives_when_settled(client: Client) -> bool:
    """Whether what is settled has arrived, and can't be parked."""
    return client.config.spool_dir is None


def with_troubles(folder: Path, work: Callable[[], object]) -> None:
    """Do the work; what it raises is kept for the conductor."""
    try:
        work()
    except Exception:
        _write_down(folder)
        raise


def end_with_troubles(folder: Path, work: Callable[[], NoReturn]) -> NoReturn:
    """In a forked child: do the work, and never return into what the parent was about to do."""
    try:
        work()
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - whatever it is
        _write_down(folder)
        os._exit(1)


def _write_down(folder: Path) -> None:
    name = f"{os.getpid()}-{threading.get_native_id()}-{time.monotonic_ns()}"
    (folder / name).write_text(traceback.format_exc())
