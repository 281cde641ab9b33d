"""A producer: a process that emits from one or more threads for a limited time."""

import os
import random
import stat
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn

from dataart_mp import BufferFullError, Client, ClosedError, DescriptorsClosedError
from tests.chaos.error_folder import ErrorFolder
from tests.chaos.event import KEY, identifier, metadata
from tests.chaos.roster import THREADS, Entry, Roster, ThreadAccount
from tests.chaos.run_log import RunLog

Ending = Literal["close", "exit", "os._exit", "close descriptors"]
"""How a producer ends: it closes the client, exits without closing it, or calls `os._exit`.

Or it closes all descriptors of the process first, as a program that becomes a daemon does.
"""

_LIFE_SECONDS: Final = (2.0, 15.0)
_BURST: Final = (1, 30)
_PAUSE_SECONDS: Final = 0.06
_IDENTITY_RATE: Final = 0.02
_FLUSH_RATE: Final = 0.01  # per burst
_STATS_RATE: Final = 0.02
_READ_RATE: Final = 0.02
_FLUSH_SECONDS: Final = 3.0
_CLOSE_SECONDS: Final = 20.0
_MOST_DESCRIPTORS: Final = 4096
_OTHER_FILES: Final = 30
_READ_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class ProducerContext:
    """What all producers of an application share.

    Attributes:
        client: The client, created before any producer was forked.
        roster: Where producers confirm accepted events.
        parent: The application's entry in the roster.
        run: The name of the run.
        until: When the last producer ends at the latest (monotonic, seconds).
        errors: Where unexpected exceptions are recorded.
        log: Where starts and ends are logged.
    """

    client: Client
    roster: Roster
    parent: Entry
    run: str
    until: float
    errors: ErrorFolder
    log: RunLog


class Producer:
    """Emits in this process.

    Args:
        context: What it shares with the other producers.
        entry: The number of its entry in the roster.
        seed: The seed of all its random choices.
        endless: Whether it emits until it is stopped; for the application's own thread.
    """

    def __init__(
        self, context: ProducerContext, entry: int, seed: int, *, endless: bool = False
    ) -> None:
        self._context = context
        self._client = context.client
        self._entry = context.roster.entry(entry)
        rng = random.Random(seed)
        now = time.monotonic()
        self._ends_at = context.until if endless else now + rng.uniform(*_LIFE_SECONDS)
        self._threads = rng.choice([1, 1, 2, THREADS])
        self._forks_at = rng.choice([now + rng.uniform(0.5, 3.0), None])
        self._ending: Ending = rng.choice(
            ["close", "exit", "exit", "os._exit", "close descriptors"]
        )
        self._seed = rng.getrandbits(32)
        self._stopped = False

    def run(self) -> NoReturn:
        """In a forked process, emit and then end the process."""
        self._entry.register(orderly=self._ending in ("close", "exit"))
        self._context.log.write(f"producer starts, entry {self._entry.number}")
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

    def run_in_thread(self) -> None:
        """Emit from one thread of the application until `stop`."""
        self._forks_at = None
        self._emit_from(0)

    def stop(self) -> None:
        """Stop emitting."""
        self._stopped = True

    def _is_over(self) -> bool:
        context = self._context
        return (
            self._stopped
            or context.roster.stopped
            or context.parent.stop_requested
            or time.monotonic() > self._ends_at
        )

    def _emit_from(self, thread: int) -> None:
        self._context.errors.run(lambda: self._emit(thread))

    def _emit(self, thread: int) -> None:
        rng = random.Random(self._seed + thread)
        emitter = _Emitter(self._client, self._entry.account(thread), self._context.run, rng)
        try:
            while not self._is_over():
                for _ in range(rng.randint(*_BURST)):
                    emitter.emit()
                emitter.sometimes_query()
                emitter.sometimes_read_files()
                if thread == 0 and self._forks_at and time.monotonic() > self._forks_at:
                    self._forks_at = None
                    self._fork()
                time.sleep(rng.expovariate(1 / _PAUSE_SECONDS))
        except ClosedError:  # the application closes the client before its producers end
            return

    def _fork(self) -> None:
        """Fork another producer while the other threads are emitting."""
        if os.fork():
            return  # the child is not waited for: it may outlive this process
        child = Producer(self._context, self._entry.number + 1, self._seed + THREADS)
        child._forks_at = None
        self._context.errors.run_child(child.run)

    def _end(self) -> NoReturn:
        self._entry.announce_end()
        self._context.log.write(f"producer ends: {self._ending}")
        if self._ending == "close":
            account = self._entry.account(0)
            account.begin_call()
            if self._client.close(_CLOSE_SECONDS) == 0 and settled_means_arrived(self._client):
                account.settle(account.confirmed)
            account.end_call()
        if self._ending == "close descriptors":
            self._context.errors.run(self._close_descriptors)
        if self._ending in ("os._exit", "close descriptors"):
            os._exit(0)
        sys.exit(0)

    def _close_descriptors(self) -> None:
        """Close all descriptors, and emit while their numbers belong to other files."""
        account = self._entry.account(0)
        emitter = _Emitter(self._client, account, self._context.run, random.Random(self._seed))
        os.closerange(3, _MOST_DESCRIPTORS)
        others = [os.memfd_create("other") for _ in range(_OTHER_FILES)]
        account.descriptors_closed()
        for _ in range(_OTHER_FILES):
            try:
                emitter.emit()
            except (ClosedError, DescriptorsClosedError):  # its application may close it early
                continue
        written = [number for number in others if os.fstat(number).st_size]
        if written:
            raise AssertionError(f"the client has written to files of the application: {written}")


class _Emitter:
    """Calls the client from one thread, and records the results in the thread's account."""

    def __init__(
        self, client: Client, account: ThreadAccount, run: str, rng: random.Random
    ) -> None:
        self._client = client
        self._account = account
        self._run = run
        self._rng = rng

    def emit(self) -> None:
        """Emit the next event, and confirm it if it was accepted."""
        account = self._account
        producer, number = account.producer, account.confirmed + 1
        data = metadata(self._run, producer, number)
        account.begin_call()
        try:
            if self._rng.random() < _IDENTITY_RATE:
                self._client.identify(identifier(self._run, producer, number), data)
            else:
                self._client.emit_action(KEY, f"user {producer}", metadata=data)
        except BufferFullError as error:
            if "no worker can start" not in str(error):  # it has waited for room for too long
                raise
            account.refuse()
        else:
            account.confirm(number)
        finally:
            account.end_call()

    def sometimes_query(self) -> None:
        """At random, flush the client and check its stats."""
        account = self._account
        if self._rng.random() < _FLUSH_RATE:
            before = account.confirmed
            account.begin_call()
            left = self._client.flush(self._rng.uniform(0, _FLUSH_SECONDS))
            if left == 0 and settled_means_arrived(self._client):
                account.settle(before)
            account.end_call()
        if self._rng.random() < _STATS_RATE:
            account.begin_call()
            stats = self._client.stats()
            account.end_call()
            if not stats.balanced:
                raise AssertionError(f"not balanced: {stats}")

    def sometimes_read_files(self) -> None:
        """At random, open, read and close files of the client, as a backup does."""
        if self._rng.random() < _READ_RATE:
            self._account.add_files_read(sum(_read(path) for path in _files_of(self._client)))


def _files_of(client: Client) -> Iterator[Path]:
    """Yield the files in the client's spool, and every file that this process has open."""
    spool = client.config.spool_dir
    if spool is not None:
        yield from Path(spool).rglob("*")
    yield from Path("/proc/self/fd").iterdir()


def _read(path: Path) -> bool:
    """Open, read and close a file, if it is one; return whether it was read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:  # a socket, or removed or closed in the meantime
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and bool(os.read(descriptor, _READ_BYTES))
    finally:
        os.close(descriptor)


def settled_means_arrived(client: Client) -> bool:
    """Whether a settled event has arrived at the sink, because it cannot be parked."""
    return client.config.spool_dir is None
