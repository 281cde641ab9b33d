"""Helpers of the parking tests: a worker that acts one step at a time, and one that dies."""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.arena import WAITING
from dataart_mp.queue.release import wake
from dataart_mp.spool.database import Database
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.stats import Stats
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.retry_outcome import Parked
from dataart_mp.worker.unsent import unsent
from tests.queue import deaths
from tests.queue.tools import claim_all, lines_of, number_of

LARGE = 1 << 30
WIDE = 4000
# The empty file takes 24 KiB, so this has room for one batch of two wide records, not for two.
ONE_BATCH = 38_000

MakeWorker = Callable[..., "ParkingWorker"]
"""The fixture `make_worker`: `make_worker(queue, spool=None, max_bytes=LARGE)`."""


class ParkingWorker:
    """Parks, takes and delivers as a worker does, one step at a time."""

    def __init__(self, queue: RecordQueue, spool: Path, max_bytes: int) -> None:
        self.queue = queue
        self.spool = spool
        self._devnull = os.open(os.devnull, os.O_WRONLY)
        self.reporter = Reporter(queue.arena, self._devnull, with_records=False)
        self.parking_lot = ParkingLot(spool, max_bytes)
        self.parker = Parker(queue, self.parking_lot, self.reporter, ratio=0.0)

    def park(self, frame: Frame) -> object:
        batches = unsent(frame, self.parker.key(frame))
        return self.parker.park(frame, batches, "for the test")

    def park_all(self) -> None:
        for frame in claim_all(self.queue):
            assert self.park(frame) == Parked()

    def load(self) -> None:
        """Take parked batches as if the platform answered."""
        self.parker.load(lambda is_identity: True)

    def deliver(self) -> list[int]:
        """Complete what dead workers began, deliver all frames, and return the records' numbers."""
        numbers: list[int] = []
        janitor.sweep(self.queue.arena)
        for waiting in self.queue.arena.all_in(WAITING):
            wake(self.queue.arena, waiting, 1 << 62)
        for frame in claim_all(self.queue):
            if self.parker.prepare(frame) is None:
                numbers += [number_of(line) for line in lines_of(frame)]
                frame.advance(frame.length)
                assert self.parker.settle(frame) is None
        return numbers

    def deliver_all(self) -> list[int]:
        """Deliver all frames and all parked batches, and return the records' numbers, sorted."""
        numbers: list[int] = []
        while True:
            more = self.deliver()
            self.load()
            more += self.deliver()
            if not more and not self.parking_lot.batches():
                return sorted(numbers)
            numbers += more

    def close(self) -> None:
        self.parking_lot.close()
        if self._devnull >= 0:
            os.close(self._devnull)
            self._devnull = -1


def balanced_counts(stats: Stats) -> tuple[int, int, int, int]:
    """Return accepted, delivered, parked and pending, after checking that all counts balance."""
    assert stats.balanced
    return stats.accepted, stats.delivered, stats.parked, stats.pending


def at_every_step(
    work: Callable[[RecordQueue], object],
    prepare: Callable[[RecordQueue], object] = lambda queue: None,
    tear: deaths.Tear = deaths.nothing,
    **shape: Any,
) -> Iterator[RecordQueue]:
    """As `deaths.at_every_step`, where each SQLite transaction adds two steps."""
    return deaths.at_every_step(work, prepare, tear, install=_install, **shape)


def _install(death: deaths.DeathAtStep, queue: RecordQueue) -> None:
    """Make each write to memory a step, and the moments before and after each transaction.

    It changes `Database` permanently, in a child process that is about to end.
    """
    death.install(queue)
    database: Any = Database
    transaction = Database.transaction

    @contextlib.contextmanager
    def step_by_step(itself: Database, **options: float) -> Iterator[sqlite3.Connection]:
        death.step()
        with transaction(itself, **options) as connection:
            yield connection
        death.step()

    database.transaction = step_by_step
