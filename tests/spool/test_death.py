"""A process may die at any step of parking and taking back, and each record is counted once."""

import pytest

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.spool import arena_file
from tests.queue.deaths import TEARS, Tear, nothing
from tests.queue.tools import NOW, assert_clean, claim_all, queue_of, record
from tests.spool.tools import (
    ONE_BATCH,
    WIDE,
    MakeWorker,
    ParkingWorker,
    at_every_step,
    balanced_counts,
)


def put_three(queue: RecordQueue) -> None:
    for number in range(3):
        queue.producer.append(record(number))
    queue.producer.seal()


def put_six(queue: RecordQueue) -> None:
    for number in range(6):
        queue.producer.append(record(number))


def park_and_take_back(worker: ParkingWorker) -> None:
    """Park two frames, take them back, deliver one, park the rest of the other, take that."""
    worker.park_all()
    worker.load()
    first, second = claim_all(worker.queue)
    end = first.spans()[0][1]
    first.aim(end // 2, NOW)
    first.advance(end // 2, failed=1)
    worker.park(first)
    second.advance(second.length)
    worker.parker.settle(second)
    worker.load()


@pytest.mark.parametrize("tear", [nothing, *TEARS[1:4]], ids=lambda tear: tear.__name__)
def test_a_worker_may_die_at_any_step_of_parking_and_taking_back(
    make_worker: MakeWorker, tear: Tear
) -> None:
    def child(queue: RecordQueue) -> None:
        park_and_take_back(make_worker(queue))

    for queue in at_every_step(child, put_three, tear=tear, frames=3, records=2):
        accepted, _, _, _ = balanced_counts(queue.stats())
        assert accepted == 3, "at every moment"
        worker = make_worker(queue)
        worker.deliver_all()
        end = queue.stats()
        assert end.failed <= 1
        assert balanced_counts(end) == (3, 3 - end.failed, 0, 0), "each in one column"
        assert_clean(queue)
        worker.close()


def join_and_park(worker: ParkingWorker) -> None:
    """Join two frames to the first; one record is rejected, the rest is parked and taken."""
    leader = Frame.claim(worker.queue.arena, 0)
    assert leader is not None
    worker.queue.worker.join_ready(leader, records=6, size=64)
    leader.aim(leader.length, NOW)
    leader.advance(len(record(0)), rejected=1)
    worker.park(leader)
    worker.load()


def test_a_worker_may_die_at_any_step_of_parking_joined_frames(make_worker: MakeWorker) -> None:
    for queue in at_every_step(
        lambda queue: join_and_park(make_worker(queue)), put_six, frames=4, records=2
    ):
        accepted, _, _, _ = balanced_counts(queue.stats())
        assert accepted == 6, "at every moment"
        worker = make_worker(queue)
        numbers = worker.deliver_all()
        end = queue.stats()
        assert numbers == [*range(end.rejected, 6)]
        assert balanced_counts(end) == (6, 6 - end.rejected, 0, 0)
        assert_clean(queue)
        worker.close()


def park_wide(worker: ParkingWorker) -> None:
    for number in range(6):
        worker.queue.producer.append(record(number, WIDE))
    worker.queue.producer.seal()
    worker.park_all()


def test_a_worker_may_die_at_any_step_of_evicting_the_oldest_batches(
    make_worker: MakeWorker,
) -> None:
    evicted = set()
    for queue in at_every_step(
        lambda queue: park_wide(make_worker(queue, max_bytes=ONE_BATCH)),
        frames=6,
        capacity=WIDE * 6,
        records=2,
    ):
        balanced_counts(queue.stats())
        worker = make_worker(queue)
        numbers = worker.deliver_all()
        end = queue.stats()
        assert len(numbers) == len(set(numbers)) == end.delivered
        assert balanced_counts(end) == (end.delivered + end.failed, end.delivered, 0, 0)
        evicted.add(end.failed)
        assert_clean(queue)
        worker.close()
    assert len(evicted) > 1, "some batches were evicted before some of the deaths"


def test_a_new_owner_may_die_at_any_step_and_counts_nothing_twice(
    make_worker: MakeWorker,
) -> None:
    def prepare(living: RecordQueue) -> None:
        with queue_of(frames=3, records=2) as dead:
            put_three(dead)
            dead_worker = make_worker(dead, make_worker(living).spool)
            dead_worker.park_all()
            dead_worker.close()
            arena_file.remove(dead.arena)

    def child(living: RecordQueue) -> None:
        worker = make_worker(living)
        worker.load()
        worker.park_all()
        worker.load()

    for living in at_every_step(child, prepare, frames=3, records=2):
        balanced_counts(living.stats())
        worker = make_worker(living)
        worker.deliver_all()
        assert balanced_counts(living.stats()) == (3, 3, 0, 0)
        assert_clean(living)
        worker.close()
