"""Whatever becomes of the spool, live events are sent, and each problem is reported once."""

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataart_mp.queue import RecordQueue
from dataart_mp.spool.database import ParkingError
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.worker import parker
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.parking import NotParked
from dataart_mp.worker.retry_outcome import Parked, Postponed
from tests.queue.tools import assert_clean, claim_all, put_seven, queue_of, record
from tests.spool.tools import LARGE, MakeWorker, ParkingWorker, at_every_step, balanced_counts


@pytest.fixture
def queue() -> Iterator[RecordQueue]:
    with queue_of(frames=8, records=1) as made:
        yield made


@pytest.fixture
def worker(queue: RecordQueue, make_worker: MakeWorker) -> ParkingWorker:
    return make_worker(queue)


@pytest.fixture
def troubles(worker: ParkingWorker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was reported, in a list that grows."""
    reported: list[str] = []
    monkeypatch.setattr(worker.reporter, "trouble", reported.append)
    return reported


@pytest.fixture
def lost(worker: ParkingWorker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records were reported as lost, in a list that grows."""
    monkeypatch.setattr(parker, "_MISSING_SECONDS", 0.0)
    reported: list[int] = []
    monkeypatch.setattr(worker.reporter, "lost", reported.append)
    return reported


def put(queue: RecordQueue, *numbers: int) -> None:
    for number in numbers:
        queue.producer.append(record(number))


def remove_database(spool: Path) -> None:
    for file in spool.glob("parked.db*"):
        file.unlink()


# A spool that cannot be reached


def test_a_spool_that_cannot_be_reached_is_reported_once_and_so_is_its_return(
    queue: RecordQueue, worker: ParkingWorker, troubles: list[str]
) -> None:
    put(queue, 0)
    worker.park_all()
    away = worker.spool.with_name("away")
    for _ in range(2):
        worker.spool.rename(away)
        for _ in range(3):
            worker.load()
        put(queue, 1)
        assert worker.deliver() == [1]
        away.rename(worker.spool)
        for _ in range(3):
            worker.load()
        assert worker.deliver_all() in ([0], [])
    first, last, *again = troubles
    assert first.startswith("parked batches cannot be read: ")
    assert last == "parked batches can be read again"
    assert len(again) == 2


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EROFS])
def test_no_error_of_the_directory_stops_a_worker(
    queue: RecordQueue,
    worker: ParkingWorker,
    troubles: list[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    put(queue, 0, 1)
    parked, live = claim_all(queue)
    assert worker.park(parked) == Parked()
    queue.worker.hand_back(live)

    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "iterdir", "unlink"):
            patch.setattr(Path, name, fail)
        worker.load()
        put(queue, 2)
        assert sorted(worker.deliver()) == [1, 2]
        put(queue, 3)
        assert isinstance(worker.park(claim_all(queue)[0]), Postponed)
    assert len(troubles) == 2, "it can be neither read nor written"
    assert worker.deliver_all() == [0, 3]
    assert balanced_counts(queue.stats()) == (4, 4, 0, 0)
    assert len(troubles) == 4, "the end of both"


def test_a_problem_that_all_workers_notice_is_reported_by_one(
    queue: RecordQueue, worker: ParkingWorker, make_worker: MakeWorker, troubles: list[str]
) -> None:
    other = make_worker(queue)
    other.reporter.trouble = worker.reporter.trouble  # type: ignore[method-assign]
    put(queue, 0)
    worker.park_all()
    worker.spool.rename(worker.spool.with_name("away"))
    worker.load()
    other.load()
    worker.spool.with_name("away").rename(worker.spool)
    other.load()
    worker.load()
    assert len(troubles) == 2


def test_writing_works_again_is_found_out_without_a_batch_to_park(
    queue: RecordQueue, worker: ParkingWorker, troubles: list[str]
) -> None:
    (worker.spool / "parked.db").mkdir()
    put(queue, 0)
    assert isinstance(worker.park(claim_all(queue)[0]), Postponed)
    assert worker.deliver() == [0]
    worker.load()
    (worker.spool / "parked.db").rmdir()
    worker.load()
    assert troubles[-2:] == [
        "parked batches can be written again",
        "parked batches can be read again",
    ]


# A spool that was removed


def test_what_cannot_be_parked_is_abandoned_if_the_spool_was_removed_and_no_producer_is_left(
    queue: RecordQueue, worker: ParkingWorker
) -> None:
    has_producers = [True]
    worker.parker = Parker(
        queue, worker.parking_lot, worker.reporter, 0.0, lambda: has_producers[0]
    )
    put(queue, 0)
    worker.park_all()
    worker.load()
    put(queue, 1)
    shutil.rmtree(worker.spool)
    for frame in claim_all(queue):
        outcome = worker.parker.prepare(frame) or worker.park(frame)
        assert isinstance(outcome, Postponed), "the application may make it again"
    has_producers[0] = False
    assert sorted(worker.deliver()) == [0, 1], "the platform may be reachable"
    put(queue, 2)
    (frame,) = claim_all(queue)
    assert worker.park(frame) == NotParked()
    frame.advance(frame.length, failed=1)
    assert worker.parker.settle(frame) is None
    assert_clean(queue)


# A database that cannot be read


def test_a_batch_keeps_its_key_while_the_database_cannot_be_read(
    queue: RecordQueue, worker: ParkingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(queue, 0, 1)
    worker.park_all()
    keys = [batch.key for batch in worker.parking_lot.batches()]
    worker.load()
    known, unknown = claim_all(queue)
    assert worker.parker.prepare(known) is None

    def fail(*_: object) -> None:
        raise ParkingError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(ParkingLot, "find", fail)
        assert isinstance(worker.parker.prepare(unknown), Postponed)
        assert worker.parker.key(known) in keys
    queue.worker.hand_back(known)
    queue.worker.retry_now()
    frames = claim_all(queue)
    assert [worker.parker.prepare(frame) for frame in frames] == [None, None]
    assert sorted(worker.parker.key(frame) for frame in frames) == sorted(keys)


# A database that is gone


def test_parked_records_whose_file_was_removed_are_counted_as_failed_and_reported_once(
    queue: RecordQueue, worker: ParkingWorker, lost: list[int]
) -> None:
    put(queue, *range(5))
    worker.park_all()
    worker.load()
    sending = len(claim_all(queue))
    assert balanced_counts(queue.stats()) == (5, 0, 5, 0)
    remove_database(worker.spool)
    for _ in range(3):
        worker.load()
    assert lost == [5 - sending]
    assert queue.stats().failed == 5 - sending
    assert balanced_counts(queue.stats()) == (5, 0, sending, 0), "frames hold them"
    put(queue, 7)
    worker.park_all()
    for _ in range(3):
        worker.load()
    assert lost == [5 - sending], "a new file holds what was parked since"
    queue.arena.locks.forget()
    assert 7 in worker.deliver_all()
    assert balanced_counts(queue.stats()) == (6, 1 + sending, 0, 0)


def test_parked_records_are_counted_as_failed_if_no_worker_has_seen_tsuccessor_file(
    queue: RecordQueue, worker: ParkingWorker, lost: list[int]
) -> None:
    put(queue, 0, 1)
    worker.park_all()
    remove_database(worker.spool)
    for _ in range(3):
        worker.load()
    assert lost == [2]


def test_parked_records_are_counted_as_failed_if_there_is_a_new_file_already(
    queue: RecordQueue, worker: ParkingWorker, lost: list[int]
) -> None:
    put(queue, 0, 1)
    worker.park_all()
    worker.load()
    assert worker.deliver() == [0, 1]
    put(queue, 2, 3)
    worker.park_all()
    remove_database(worker.spool)
    put(queue, 4)
    worker.park_all()
    for _ in range(3):
        worker.load()
    assert lost == [2]
    assert worker.deliver_all() == [4]
    assert balanced_counts(queue.stats()) == (5, 3, 0, 0)


def test_records_that_are_missing_for_a_moment_only_are_not_counted_as_lost(
    queue: RecordQueue, worker: ParkingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker has evicted them and has not counted that yet."""
    put(queue, 0, 1)
    worker.park_all()
    with monkeypatch.context() as patch:
        patch.setattr(ParkingLot, "held", lambda *_: 1)
        worker.load()
    worker.load()
    assert worker.deliver_all() == [0, 1]
    assert balanced_counts(queue.stats()) == (2, 2, 0, 0)


def test_a_death_while_lost_records_are_written_off_counts_them_once(
    make_worker: MakeWorker,
) -> None:
    for queue in at_every_step(
        lambda queue: queue.worker.write_off(3), put_and_park(make_worker), frames=8
    ):
        failed = queue.stats().failed
        assert failed in (0, 3)
        assert queue.stats().balanced
        worker = make_worker(queue)
        worker.deliver()
        assert queue.stats().failed in (0, 3)
        assert queue.stats().parked == 7 - queue.stats().failed
        assert_clean(queue)


def put_and_park(make_worker: MakeWorker) -> Callable[[RecordQueue], None]:
    def prepare(queue: RecordQueue) -> None:
        put_seven(queue)
        make_worker(queue).park_all()

    return prepare


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("only root may mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system does not let root mount")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill(directory: Path) -> None:
    with (directory / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break


@pytest.mark.parametrize("sync", [False, True], ids=["unsynced", "synced"])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_parked_batches_are_delivered_though_the_disk_is_full(
    make_worker: MakeWorker, small_disk: Path, is_restarted: bool, sync: bool
) -> None:
    with queue_of(frames=8, capacity=20_000, records=1) as queue:
        worker = make_worker(queue, small_disk)
        worker.parking_lot = ParkingLot(small_disk, LARGE, spare=3 << 19, sync=sync)
        worker.parker = Parker(queue, worker.parking_lot, worker.reporter, 0.0)
        for start in range(0, 60, 4):
            for number in range(start, start + 4):
                queue.producer.append(record(number, 20_000))
            worker.park_all()
        if is_restarted:
            worker.parking_lot.close()  # a new process must make the files of the log again
        fill(small_disk)
        queue.producer.append(record(60, 20_000))
        assert worker.deliver_all() == [*range(61)]
        assert balanced_counts(queue.stats()) == (61, 61, 0, 0)
        worker.close()


def test_room_is_reserved_only_while_something_is_parked(
    queue: RecordQueue, worker: ParkingWorker
) -> None:
    worker.parking_lot = ParkingLot(worker.spool, LARGE, spare=1 << 16)
    worker.parker = Parker(queue, worker.parking_lot, worker.reporter, 0.0)
    spare = worker.spool / "parked.db.spare"
    put(queue, 0)
    worker.park_all()
    assert spare.stat().st_size == 1 << 16
    assert worker.deliver_all() == [0]
    assert not spare.exists()


# A database that is locked


def test_loading_does_not_wait_for_a_locked_database(
    queue: RecordQueue, worker: ParkingWorker, make_worker: MakeWorker, troubles: list[str]
) -> None:
    put(queue, 0)
    worker.park_all()
    other = ParkingLot(worker.spool, LARGE)
    with other._database.transaction():
        start = time.monotonic()
        worker.load()
        assert time.monotonic() - start < 1
    other.close()
    assert troubles == []
    assert worker.deliver_all() == [0]


# Marks


def test_a_mark_says_that_an_ended_client_has_parked_something(
    queue: RecordQueue, worker: ParkingWorker, make_worker: MakeWorker
) -> None:
    put(queue, 0)
    mark = worker.spool / f"{queue.arena.id}.parked"
    assert not mark.exists()
    worker.park_all()
    assert mark.exists()
    assert queue.arena.path is not None
    queue.arena.path.unlink()
    with queue_of() as later:
        successor = make_worker(later, worker.spool)
        assert successor.deliver_all() == [0]
        successor.load()
        assert not mark.exists()
        later.arena.close_permanently()
        successor.parker.close()
    assert list(worker.spool.glob("*.parked")) == []
