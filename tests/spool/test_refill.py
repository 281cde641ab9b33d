"""Frames are filled from parked batches beside the live traffic, as far as there is room."""

import pytest

from dataart_mp.queue import Frame, checksum
from dataart_mp.queue.durability import INTERVAL
from dataart_mp.spool import arena_file
from dataart_mp.worker.retry_outcome import Parked
from tests.queue.tools import (
    assert_clean,
    claim_all,
    lines_of,
    number_of,
    put_seven,
    queue_of,
    record,
)
from tests.spool.tools import MakeWorker, balanced_counts


@pytest.mark.parametrize(("answers", "taken"), [(True, 4), (False, 1)])
def test_half_of_the_frames_stay_free_and_an_unreachable_platform_gets_one_batch(
    make_worker: MakeWorker, answers: bool, taken: int
) -> None:
    """The one batch finds out whether the platform is reachable again."""
    with queue_of(frames=8) as queue:
        worker = make_worker(queue)
        for number in range(8):
            queue.producer.append(record(number))
        worker.park_all()
        assert worker.parker.load(lambda is_identity: answers) is answers, "whether there is more"
        assert queue.arena.free() == 8 - taken
        if answers:
            assert not worker.parker.load(lambda is_identity: True)
            assert queue.arena.free() == 4


@pytest.mark.parametrize(("in_use", "then"), [(3, [4, 5, 5]), (4, [5, 5, 5]), (5, [5, 5, 5])])
def test_a_batch_is_taken_to_reach_the_platform_although_half_of_the_frames_wait(
    make_worker: MakeWorker, in_use: int, then: list[int]
) -> None:
    """Frames are parked until half of them are in use, and those may wait for hours."""
    with queue_of(frames=8) as queue:
        worker = make_worker(queue)
        for number in range(8):
            queue.producer.append(record(number))
        for frame in claim_all(queue)[in_use:]:
            assert worker.park(frame) == Parked()
        found = []
        for _ in then:
            worker.parker.load(lambda is_identity: False)
            found.append(8 - queue.arena.free())
        assert found == then


def test_no_batch_is_taken_into_a_closed_arena(make_worker: MakeWorker) -> None:
    with queue_of(frames=8, records=3) as queue:
        put_seven(queue)
        worker = make_worker(queue)
        worker.park_all()
        queue.arena.close_permanently()
        worker.load()
        assert balanced_counts(queue.stats()) == (7, 0, 7, 0)
        assert_clean(queue)


def test_a_batch_that_is_larger_than_a_frame_is_split(make_worker: MakeWorker) -> None:
    with queue_of(frames=2, capacity=640, records=64) as dead, queue_of(frames=40) as living:
        for number in range(64):
            dead.producer.append(record(number, 10))
        dead_worker = make_worker(dead)
        dead_worker.park_all()
        arena_file.remove(dead.arena)
        worker = make_worker(living, dead_worker.spool)
        assert worker.deliver_all() == [*range(64)]
        assert balanced_counts(living.stats()) == (64, 64, 0, 0)


def test_an_event_that_is_larger_than_a_frame_does_not_delay_others(
    make_worker: MakeWorker,
) -> None:
    """Not even while the platform is unreachable and one batch at a time is taken."""
    with queue_of(capacity=60) as dead, queue_of(capacity=32) as living:
        for number, width in enumerate([60, 0, 60, 0]):
            dead.producer.append(record(number, width))
        dead_worker = make_worker(dead)
        dead_worker.park_all()
        arena_file.remove(dead.arena)
        worker = make_worker(living, dead_worker.spool)
        for _ in range(4):
            worker.parker.load(lambda is_identity: False)
        lines = [line for frame in claim_all(living) for line in lines_of(frame)]
        assert sorted(number_of(line) for line in lines) == [1, 3]


def test_a_frame_that_was_or_may_be_parked_is_not_joined_to_another(
    make_worker: MakeWorker,
) -> None:
    """The parking lot counts its records, too, so it cannot be settled with another frame."""
    with queue_of(frames=8, records=1) as queue:
        worker = make_worker(queue)
        for number in range(3):
            queue.producer.append(record(number))
        first, second, third = claim_all(queue)
        assert worker.park(first) == Parked()
        second.mark_parking(True)
        queue.worker.hand_back(second)
        queue.worker.hand_back(third)
        worker.load()
        leader = Frame.claim(queue.arena, third.number)
        assert leader is not None
        queue.worker.join_ready(leader, records=8, size=64)
        assert leader.length == len(record(2))
        queue.worker.hand_back(leader)
        assert worker.deliver_all() == [0, 1, 2]
        assert balanced_counts(queue.stats()) == (3, 3, 0, 0)
        assert_clean(queue)


def test_a_frame_that_was_filled_again_has_the_checksum_of_its_new_content(
    make_worker: MakeWorker,
) -> None:
    """The batch has been in the same frame before, in another generation."""
    with queue_of(frames=8, records=3, durability=INTERVAL) as queue:
        worker = make_worker(queue)
        put_seven(queue)
        worker.park_all()
        worker.load()
        for frame in claim_all(queue):
            assert frame.taken
            proof = checksum.Proof(frame.length, frame.owner.generation, int(frame.is_identity))
            assert checksum.proof(queue.arena, frame.number) == proof
