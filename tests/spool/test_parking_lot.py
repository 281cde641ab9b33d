"""Parked batches wait on disk, oldest first, within a limit, and keep their keys."""

import time
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.queue import disk, janitor
from dataart_mp.queue.accounting import parked_at_rest
from dataart_mp.queue.owner import Owner
from dataart_mp.spool import parking_lot as parking_lot_module
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import MAX_REST_SECONDS, BatchContent
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.parking import NotParked
from dataart_mp.worker.retry_outcome import Parked, Postponed
from tests.queue.tools import (
    NOW,
    assert_clean,
    claim_all,
    lines_of,
    put_seven,
    queue_of,
    record,
    stats_while,
)
from tests.spool.tools import LARGE, WIDE, MakeWorker, balanced_counts


def test_parked_batches_are_taken_oldest_first_and_delivered_under_their_keys(
    make_worker: MakeWorker,
) -> None:
    with queue_of(frames=8, records=3) as queue:
        worker = make_worker(queue)
        put_seven(queue)
        frames = claim_all(queue)
        keys = [(frame.key, lines_of(frame)) for frame in frames]
        for frame in frames:
            assert worker.park(frame) == Parked()
        assert balanced_counts(queue.stats()) == (7, 0, 7, 0)
        assert_clean(queue)
        worker.load()
        assert balanced_counts(queue.stats()) == (7, 0, 7, 0)
        assert parked_at_rest(queue.arena) == 0
        taken = [(worker.parker.key(frame), lines_of(frame)) for frame in claim_all(queue)]
        assert sorted(taken) == sorted(keys)
        janitor.recover(queue.arena)
        assert worker.deliver_all() == [*range(7)]
        assert balanced_counts(queue.stats()) == (7, 7, 0, 0)


def test_a_record_that_changes_frames_while_stats_are_read_is_pending_once(
    make_worker: MakeWorker,
) -> None:
    with queue_of(frames=4, records=1) as queue:
        worker = make_worker(queue)
        queue.producer.append(record(0))

        def move() -> None:
            worker.park_all()
            queue.producer.append(record(1))  # takes the first frame, so that the second is loaded
            worker.load()

        assert balanced_counts(stats_while(queue, 1, move)) == (1, 0, 0, 1)
        assert balanced_counts(queue.stats()) == (2, 0, 1, 1)
        assert parked_at_rest(queue.arena) == 0
        assert worker.deliver_all() == [0, 1]


def test_only_unsettled_records_are_parked(make_worker: MakeWorker) -> None:
    with queue_of(records=3) as queue:
        worker = make_worker(queue)
        for number in range(3):
            queue.producer.append(record(number))
        (frame,) = claim_all(queue)
        end = len(record(0))
        frame.aim(end, NOW)
        frame.advance(end, rejected=1)
        frame.aim(2 * end, NOW)
        assert worker.park(frame) == Parked()
        assert queue.stats().rejected == 1
        assert balanced_counts(queue.stats()) == (3, 0, 2, 0)
        keys = [batch.key for batch in worker.parking_lot.batches()]
        arena = queue.arena.id
        assert keys == [f"{arena}-0-1+8-16", f"{arena}-0-1+16-24"], "split as they were sent"
        assert worker.deliver_all() == [1, 2]
        assert balanced_counts(queue.stats()) == (3, 2, 0, 0)


def test_a_frame_does_not_remove_a_batch_of_a_new_file_that_has_the_same_id(
    make_worker: MakeWorker,
) -> None:
    with queue_of(frames=8, records=1) as queue:
        worker = make_worker(queue)
        for number in range(3):
            queue.producer.append(record(number))
        worker.park_all()
        worker.load()
        delivered, parked, tried = claim_all(queue)
        for file in worker.spool.glob("parked.db*"):
            file.unlink()
        for number in range(3, 6):
            queue.producer.append(record(number))
        worker.park_all()
        ids = {batch.id for batch in worker.parking_lot.batches()}
        assert {delivered.taken, parked.taken, tried.taken} <= ids
        assert worker.parker.key(tried) == tried.key, "not that of the batch with the same id"
        delivered.advance(delivered.length)
        assert worker.parker.settle(delivered) is None
        assert worker.park(parked) == Parked()
        queue.worker.hand_back(tried)
        assert worker.deliver_all() == [1, 2, 3, 4, 5]
        assert balanced_counts(queue.stats()) == (6, 6, 0, 0)


def test_records_that_cannot_be_parked_can_still_be_sent(make_worker: MakeWorker) -> None:
    """The platform may be reachable again before the disk has room."""
    with queue_of(frames=4, records=1) as queue:
        worker = make_worker(queue)
        (worker.spool / "parked.db").mkdir()
        queue.producer.append(record(0))
        (frame,) = claim_all(queue)
        assert isinstance(worker.park(frame), Postponed)
        assert worker.deliver() == [0]
        assert balanced_counts(queue.stats()) == (1, 1, 0, 0)


def test_records_for_which_the_parking_lot_has_no_room_can_still_be_sent(
    make_worker: MakeWorker,
) -> None:
    with queue_of(capacity=WIDE) as queue:
        worker = make_worker(queue, max_bytes=WIDE)
        queue.producer.append(record(0, WIDE))
        (frame,) = claim_all(queue)
        assert worker.park(frame) == NotParked("spool full")
        assert not frame.may_be_parked
        queue.worker.hand_back(frame)
        assert worker.deliver() == [0]


def test_finding_identities_costs_the_same_however_many_actions_are_parked(
    make_worker: MakeWorker,
) -> None:
    """After an outage, a worker looks for them fifty times a second."""
    with queue_of() as queue:
        parking_lot, ownership = make_worker(queue).parking_lot, Ownership(queue.arena)
        steps: list[int] = []
        for _ in range(2):
            contents = [BatchContent("key", is_identity=False, records=record(0))] * 1000
            parking_lot.park(
                contents, Owner(queue.arena.id, 0, 0), ownership, since=NOW, not_before=0
            )
            steps.append(0)

            def step() -> None:
                steps[-1] += 1

            parking_lot._database._open(5.0).set_progress_handler(step, 1)
            assert list(parking_lot.waiting(NOW, ownership, is_identity=True)) == []
            parking_lot._database._open(5.0).set_progress_handler(None, 0)
        assert steps[0] == steps[1] > 0


def test_a_batch_that_is_parked_again_keeps_its_age(make_worker: MakeWorker) -> None:
    with queue_of(frames=8) as queue:
        worker = make_worker(queue)
        for number in range(2):
            queue.producer.append(record(number))
            worker.park_all()
        before = [batch.since for batch in worker.parking_lot.batches()]
        worker.parker.load(lambda is_identity: False)
        worker.park_all()
        assert [batch.since for batch in worker.parking_lot.batches()] == before


@pytest.mark.parametrize("again", [False, True])
def test_setting_the_clock_back_does_not_delay_parked_batches(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    with queue_of(records=3) as queue:
        worker = make_worker(queue)
        worker.parker = Parker(queue, worker.parking_lot, worker.reporter, MAX_REST_SECONDS)
        queue.producer.append(record(0))
        queue.producer.seal()
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
        worker.park_all()
        if again:
            worker.load()
            worker.park_all()
            worker.load()
            assert parked_at_rest(queue.arena) == 1, "it rests"
        monkeypatch.setattr(time, "time_ns", lambda: now)
        worker.load()
        assert balanced_counts(queue.stats()) == (1, 0, 1, 0)
        assert parked_at_rest(queue.arena) == 0


@pytest.mark.parametrize(("sync", "level"), [(False, 1), (True, 2)])
def test_a_synced_parking_lot_has_each_transaction_on_the_disk(
    folder: Path, sync: bool, level: int
) -> None:
    parking_lot = ParkingLot(folder, max_bytes=WIDE, sync=sync)
    assert parking_lot.batches() == []
    with parking_lot._database.transaction() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    parking_lot.close()


def test_with_sync_the_names_of_database_and_mark_are_on_the_disk_before_a_batch_is_parked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its mark, no client that emits nothing would look for the batch."""
    on_disk: set[str] = set()
    synced: list[Path] = []

    def sync_directory(path: Path) -> None:
        synced.append(path)
        on_disk.update(each.name for each in path.iterdir())

    monkeypatch.setattr(disk, "sync_directory", sync_directory)
    insert = parking_lot_module._insert

    def checked_insert(*arguments: Any) -> None:
        assert {"parked.db", f"{queue.arena.id}.parked"} <= on_disk
        insert(*arguments)

    with queue_of(frames=8, records=3) as queue:
        parking_lot = ParkingLot(folder, LARGE, sync=True)
        monkeypatch.setattr(parking_lot_module, "_insert", checked_insert)
        for number in range(3):
            batch = BatchContent(f"k{number}", False, record(number))
            owner = Owner(queue.arena.id, number, 1)
            parking_lot.park([batch], owner, Ownership(queue.arena), since=1, not_before=0)
            assert synced == [folder, folder], "once for each name, not for each batch"
        (folder / "parked.db").unlink()
        parking_lot.park([batch], owner, Ownership(queue.arena), since=1, not_before=0)
        assert synced == [folder] * 3, "the name of the new file"
        parking_lot.close()


def test_without_sync_no_call_waits_for_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_directory", synced.append)
    with queue_of() as queue:
        parking_lot = ParkingLot(folder, LARGE)
        owner = Owner(queue.arena.id, 0, 1)
        batch = BatchContent("k", False, record(0))
        parking_lot.park([batch], owner, Ownership(queue.arena), since=1, not_before=0)
        parking_lot.close()
    assert synced == []
