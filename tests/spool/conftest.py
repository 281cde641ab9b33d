"""Fixtures of the spool's tests: workers that park batches."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataart_mp.queue import RecordQueue
from tests.spool.tools import LARGE, MakeWorker, ParkingWorker


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for spools, in memory where that is possible: some tests create hundreds."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as path:
        yield Path(path)


@pytest.fixture
def make_worker(folder: Path) -> Iterator[MakeWorker]:
    """Make workers of queues; the queue's arena has a file in the spool, as a client's has.

    A worker uses the spool `spool`, or else one that belongs to its queue.
    """
    made: list[ParkingWorker] = []

    def make(
        queue: RecordQueue, spool: Path | None = None, max_bytes: int = LARGE
    ) -> ParkingWorker:
        spool = spool or folder / queue.arena.id
        spool.mkdir(exist_ok=True)
        queue.arena.path = spool / f"{queue.arena.id}.arena"
        queue.arena.path.touch()
        made.append(ParkingWorker(queue, spool, max_bytes))
        return made[-1]

    yield make
    for each in made:
        each.close()
