"""After a power failure, nothing that was on the disk is lost, and nothing torn is sent."""

import contextlib
import functools
import hashlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.anonymous_file import anonymous_file
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.durability import BATCH, INTERVAL
from dataart_mp.queue.sync_rounds import SyncRounds
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.database import Database
from dataart_mp.spool.recovery import recover
from dataart_mp.spool.repair import repair
from dataart_mp.stats import Stats
from tests.queue.tools import NOW, assert_clean, claim_all, drain, lines_of, number_of, queue_of
from tests.spool.power import Outage, WriteRecorder
from tests.spool.tools import LARGE, MakeWorker, ParkingWorker

RECORDS = 3
WIDTH = 1600
SHAPE: dict[str, Any] = {"frames": 4, "capacity": 4 * WIDTH, "records": RECORDS}


def line(number: int) -> bytes:
    """Return a record no piece of which occurs in another one; all have the same length."""
    start = b'{"n":%d,"is":"' % (100 + number)
    return start + bytes([ord("A") + number]) * (WIDTH - len(start) - 3) + b'"}\n'


class Run:
    """A run of a client and its worker, step by step, of which all writes are recorded."""

    def __init__(self, queue: RecordQueue) -> None:
        self.queue = queue
        self.recorder = WriteRecorder(self.queue)
        self._rounds = SyncRounds(queue.arena)
        self._open: list[int] = []
        self._appended: list[int] = []

    def append(self, *numbers: int) -> None:
        for number in numbers:
            self.recorder.mark("begun", number)
            self.queue.producer.append(line(number))
            self._appended.append(number)
            self._open.append(number)
            if len(self._open) == RECORDS:
                self._sealed()

    def seal(self) -> None:
        self.queue.producer.seal()
        self._sealed()

    def sync(self) -> None:
        """Run a sync round: what was appended before is older than a second now."""
        before = list(self._appended)
        self._rounds.run()
        for number in before:
            self.recorder.mark("safe", number)

    def claim(self) -> list[Frame]:
        return claim_all(self.queue)

    def finish(self, frame: Frame, **outcome: int) -> None:
        """Send what is left of a frame, and settle it."""
        ((_, end),) = frame.spans()[-1:]
        for each in lines_of(frame):
            self.recorder.mark("sent", number_of(each) - 100)
        frame.aim(end, NOW)
        frame.advance(end, **outcome)
        self.queue.worker.settle(frame)

    def _sealed(self) -> None:
        if self.queue.arena.durability == BATCH:
            for number in self._open:
                self.recorder.mark("safe", number)
        self._open.clear()


def fill_and_fill_again(run: Run) -> None:
    """Frames are filled, delivered, and filled with other records of the same length."""
    run.append(0)
    run.sync()
    run.append(1)
    run.sync()
    run.append(2, 3)
    first, *_ = run.claim()
    run.finish(first)
    run.append(4, 5)
    run.sync()
    run.append(6, 7)
    for frame in run.claim():
        run.finish(frame)
    run.append(8, 9)
    run.seal()


def send_in_parts(run: Run) -> None:
    """A frame is sent in parts, one is rejected, it waits, and the rest is delivered."""
    run.append(0, 1, 2, 3)
    (frame,) = run.claim()
    run.sync()
    frame.aim(WIDTH, NOW)
    run.recorder.mark("sent", 0)
    frame.advance(WIDTH, rejected=1)
    frame.aim(2 * WIDTH, NOW)
    frame.postpone(NOW, NOW)
    run.sync()
    run.queue.worker.retry_now()
    run.append(4, 5)
    for each in run.claim():
        run.finish(each)
    run.append(6)


def join_and_send(run: Run) -> None:
    """Frames are joined, sent in one request, and filled again."""
    run.append(0)
    run.seal()
    run.append(1)
    run.seal()
    run.append(2, 3)
    run.seal()
    run.sync()
    leader = Frame.claim(run.queue.arena, 0)
    assert leader is not None
    run.queue.worker.join_ready(leader, records=2, size=4 * WIDTH)
    assert leader.length == 2 * WIDTH
    run.sync()
    run.finish(leader, failed=2)
    run.append(4, 5, 6)
    run.seal()


SCENARIOS = [fill_and_fill_again, send_in_parts, join_and_send]


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.__name__)
def scenario(request: pytest.FixtureRequest) -> Callable[[Run], None]:
    return request.param  # type: ignore[no-any-return]


@contextlib.contextmanager
def recovered(image: bytes) -> Iterator[RecordQueue]:
    """Recover an image of an arena as the next client does."""
    fd = anonymous_file()
    os.write(fd, image)
    arena = Arena(fd)
    recover(arena, may_be_parked=False)
    arena.settle_in()
    assert repair(arena) == (0, 0), "nothing is damaged"
    queue = RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), RECORDS, 60.0)
    try:
        yield queue
    finally:
        queue.close()


def assert_consistent(stats: Stats) -> None:
    assert stats.balanced, stats
    columns = (stats.delivered, stats.pending, stats.rejected, stats.failed, stats.parked)
    assert min(columns) >= 0, stats


def find(image: bytes) -> set[int]:
    """Return what the next client finds in an image of an arena."""
    found: list[int] = []
    with recovered(image) as queue:
        assert_consistent(queue.stats())
        for frame in claim_all(queue):
            for each in lines_of(frame):
                number = number_of(each) - 100
                assert each == line(number), "nothing torn is sent"
                found.append(number)
            queue.worker.hand_back(frame)
        assert queue.stats().pending >= len(found)
        drain(queue)
        assert_consistent(queue.stats())
        assert queue.stats().pending == 0
        assert_clean(queue)
    assert len(found) == len(set(found)), "each is found once"
    return set(found)


class Finds:
    """Remembers what was found in each image: most outages can leave one that was there before.

    Args:
        find: Finds it.
    """

    def __init__(self, find: Callable[[bytes], set[int]]) -> None:
        self._find = find
        self._known: dict[bytes, set[int]] = {}

    def __getitem__(self, image: bytes) -> set[int]:
        digest = hashlib.blake2b(image).digest()
        if digest not in self._known:
            self._known[digest] = self._find(image)
        return self._known[digest]


def check(outage: Outage, finds: Finds, step: int) -> int:
    """Check what the next client finds after an outage, in every `step`-th image of it.

    Returns:
        How many images were checked.
    """
    begun, safe, sent = (set(outage.marks.get(kind, [])) for kind in ("begun", "safe", "sent"))
    images = 0
    for image in itertools.islice(outage.images, 0, None, step):
        images += 1
        assert safe - sent <= finds[image] <= begun, "what was on the disk is not lost"
    return images


@pytest.mark.parametrize("samples", [1, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.parametrize("durability", [INTERVAL, BATCH], ids=["interval", "batch"])
def test_a_power_failure_loses_nothing_that_was_synced_and_tears_nothing(
    scenario: Callable[[Run], None], durability: int, samples: int
) -> None:
    with queue_of(**SHAPE, durability=durability) as queue:
        run = Run(queue)
        scenario(run)
        finds = Finds(find)
        step = 1 if samples > 1 else 2
        images = sum(check(outage, finds, step) for outage in run.recorder.outages(samples))
    assert images > 200 * samples


# Parked batches


class ParkingRun(Run):
    """A run whose worker parks frames. A transaction is on the disk when it ends."""

    def __init__(
        self, queue: RecordQueue, make_worker: MakeWorker, patch: pytest.MonkeyPatch
    ) -> None:
        super().__init__(queue)
        self.worker = make_worker(self.queue)
        transaction = Database.transaction

        @contextlib.contextmanager
        def recorded(itself: Database, **options: float) -> Iterator[sqlite3.Connection]:
            with transaction(itself, **options) as connection:
                yield connection
            self.recorder.mark("database", connection.serialize())

        patch.setattr(Database, "transaction", recorded)

    def deliver(self, frame: Frame) -> None:
        for each in lines_of(frame):
            self.recorder.mark("sent", number_of(each) - 100)
        frame.advance(frame.length)
        assert self.worker.parker.settle(frame) is None


def park_and_take_back(run: ParkingRun) -> None:
    """Batches are parked and taken back; one is delivered then, and one is parked again."""
    run.append(*range(6))
    run.worker.park_all()
    run.worker.load()
    run.append(6, 7, 8)
    first, second, third = run.claim()
    run.deliver(first)
    run.worker.park(second)
    run.deliver(third)
    run.sync()
    run.worker.load()
    run.append(9, 10, 11)
    for frame in run.claim():
        run.deliver(frame)


def find_all(folder: Path, image: bytes, *, database: bytes | None) -> set[int]:
    """Return what the next client finds in a spool."""
    spool = folder / "after the power failure"
    spool.mkdir()
    try:
        return {each - 100 for each in deliver_all(spool, image, database)}
    finally:
        shutil.rmtree(spool)


def deliver_all(folder: Path, image: bytes, database: bytes | None) -> list[int]:
    """Deliver what the next client finds in a spool."""
    (folder / f"{image[16:32].hex()}.arena").write_bytes(image)
    if database is not None:
        (folder / "parked.db").write_bytes(database)
    found: list[int] = []
    spool = Spool(folder)
    orphans = list(spool.take_over_orphans())
    for arena in orphans:
        arena.close_permanently()  # so only the new client takes batches back
    for arena in [*orphans, spool.create(4, 4 * WIDTH)]:
        queue = RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), RECORDS, 60.0)
        assert_consistent(queue.stats())
        worker = ParkingWorker(queue, folder, LARGE)
        found += worker.deliver() if arena.closed else worker.deliver_all()
        assert_consistent(queue.stats())
        assert_clean(queue)
        worker.close()
        arena_file.remove(arena)
        queue.close()
    return found


@pytest.mark.parametrize("samples", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_a_power_failure_loses_no_parked_batch(
    samples: int, make_worker: MakeWorker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue_of(**SHAPE, durability=BATCH) as queue:
        with monkeypatch.context() as patch:
            run = ParkingRun(queue, make_worker, patch)
            park_and_take_back(run)
        found: dict[bytes | None, Finds] = {}
        for outage in run.recorder.outages(samples):
            safe, sent = (set(outage.marks.get(kind, [])) for kind in ("safe", "sent"))
            database = outage.marks.get("database", [None])[-1]
            finds = found.setdefault(
                database, Finds(functools.partial(find_all, folder, database=database))
            )
            for image in itertools.islice(outage.images, 0, None, 1 if samples > 1 else 8):
                assert safe - sent <= finds[image], "what was on the disk is not lost"
