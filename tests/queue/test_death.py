"""Each accepted record is counted once, at whatever step a process dies."""

import os

import pytest

from dataart_mp.queue import RecordQueue
from dataart_mp.queue.durability import BATCH, NONE
from tests.queue.deaths import TEARS, DeathAtStep, Tear, at_every_step, nothing, tail
from tests.queue.internals import FILLING, READY, SENDING, SETTLED, WAITING, janitor, wake
from tests.queue.tools import (
    FAR_FUTURE,
    KILLED,
    NOW,
    SharedCounts,
    assert_clean,
    audit,
    claim_all,
    die,
    drain,
    in_a_child,
    lines_of,
    number_of,
    numbers_of,
    put_seven,
    queue_of,
    record,
)

tears = pytest.mark.parametrize("tear", TEARS, ids=lambda tear: tear.__name__)
synced_tears = pytest.mark.parametrize(
    ("tear", "durability"),
    [*((tear, NONE) for tear in TEARS), (nothing, BATCH)],
    ids=[*(tear.__name__ for tear in TEARS), "nothing, synced"],
)


def put_all(queue: RecordQueue, returned: SharedCounts) -> None:
    """Append seven actions in frames of three records, and an identity; fill one frame by size."""
    for number, width in enumerate([0, 0, 0, 30, 30, 30, 0]):
        queue.producer.append(record(number, width))
        returned.add(number)
    queue.producer.append_alone(record(7))
    returned.add(7)
    queue.producer.seal()


@synced_tears
def test_no_record_whose_append_returned_is_lost_if_the_producer_dies_at_any_step(
    tear: Tear, durability: int
) -> None:
    returned = SharedCounts()
    for queue in at_every_step(
        lambda queue: put_all(queue, returned),
        tear=tear,
        frames=6,
        records=3,
        durability=durability,
    ):
        accepted = queue.stats().accepted
        numbers = audit(queue)
        promised = returned.numbers()
        assert len(numbers) == len(set(numbers)) == accepted
        assert set(numbers) in (promised, promised | {len(promised)}), "at most the current one"
        returned.clear()


@tears
def test_a_record_torn_by_a_death_is_cut_off(tear: Tear) -> None:
    """The process dies while it copies its third record."""
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))  # so that the child uses another frame than the first
        queue.producer.seal()

        def child() -> None:
            queue.producer.append(record(1))
            queue.producer.append(record(2))
            DeathAtStep(0, tear).install(queue)
            queue.producer.append(record(3))

        assert in_a_child(child) == KILLED
        whole = 3 if tear(10) == [slice(0, 10)] else 2
        assert queue.stats().pending == 1 + whole, "even before the frame is recovered"
        assert sorted(audit(queue)) == [0, 1, 2, 3][: 1 + whole]


def test_a_frame_recovered_from_a_dead_process_can_be_filled_again() -> None:
    with queue_of(1, 64, records=5) as queue:
        for tear in TEARS:

            def child(tear: Tear = tear) -> None:
                queue.producer.append(record(1))
                DeathAtStep(0, tear).install(queue)
                queue.producer.append(record(2, 60 - len(record(1))))

            assert in_a_child(child) == KILLED
            assert 1 in audit(queue)
            queue.producer.append(record(3, 64))
            assert audit(queue) == [3]


def send_all(queue: RecordQueue, sent: SharedCounts) -> None:
    """Do what a worker does: deliver, reject, abandon, wait for a retry, and deliver after it."""
    first, second, third = claim_all(queue)
    for number in numbers_of(first):
        sent.add(number)
    first.advance(first.length)
    queue.worker.settle(first)

    (start, end) = second.spans()[0]
    lines = lines_of(second)
    cut = start + len(lines[0])
    second.aim(cut, NOW)
    sent.add(number_of(lines[0]))
    second.advance(cut, rejected=1)
    second.aim(end, NOW)
    second.postpone(0, FAR_FUTURE)

    for number in numbers_of(third):
        sent.add(number)
    third.advance(third.length, failed=1)
    queue.worker.settle(third)

    assert wake(queue.arena, second.number, FAR_FUTURE)
    (retried,) = claim_all(queue)
    assert retried.attempts == 1
    for number in numbers_of(retried):
        sent.add(number)
    retried.advance(retried.length)
    queue.worker.settle(retried)


def test_every_record_is_counted_once_if_the_worker_dies_at_any_step() -> None:
    sent = SharedCounts()
    for queue in at_every_step(lambda queue: send_all(queue, sent), put_seven, frames=4, records=3):
        middle = queue.stats()
        assert middle.accepted == 7
        assert middle.balanced
        left = drain(queue)
        end = queue.stats()
        assert (end.accepted, end.pending) == (7, 0)
        assert end.balanced
        assert end.rejected <= 1
        assert end.failed <= 1
        assert sent.numbers() | set(left) == set(range(7)), "no record is lost"
        assert len(left) == len(set(left)), "no record is duplicated in the queue"
        # At most the frame that the dead process owned is sent twice.
        assert len(sent.numbers() & set(left)) <= 3
        assert end.delivered + end.rejected + end.failed == 7
        assert_clean(queue)
        sent.clear()


def test_a_frame_interrupted_by_a_death_is_sent_again_with_the_same_key() -> None:
    def keys(queue: RecordQueue) -> dict[str, list[bytes]]:
        return {frame.key: lines_of(frame) for frame in claim_all(queue)}

    for queue in at_every_step(claim_all, put_seven, frames=4, records=3):
        janitor.sweep(queue.arena)
        first = keys(queue)
        assert sorted(number_of(line) for lines in first.values() for line in lines) == [*range(7)]
        janitor.recover(queue.arena)  # no variable refers to the frames, so they are READY again
        assert keys(queue) == first
        janitor.recover(queue.arena)
        audit(queue)


def test_progress_made_before_a_death_is_kept() -> None:
    def child(queue: RecordQueue) -> None:
        (frame,) = claim_all(queue)
        end = frame.spans()[0][1]
        frame.aim(end // 3, NOW)
        frame.advance(end // 3, rejected=1)
        frame.aim(2 * end // 3, NOW)
        os._exit(os.EX_OK)

    with queue_of(records=3) as queue:
        for number in range(3):
            queue.producer.append(record(number))
        assert in_a_child(lambda: child(queue)) == os.EX_OK
        janitor.sweep(queue.arena)
        (frame,) = claim_all(queue)
        size = len(record(0))
        assert frame.spans() == [(size, 2 * size), (2 * size, 3 * size)], "the same parts"
        assert numbers_of(frame) == [1, 2]
        queue.worker.settle(frame)
        stats = queue.stats()
        assert (stats.delivered, stats.rejected) == (2, 1)


def abandon_frames(queue: RecordQueue) -> None:
    """Abandon a frame in each state in which a process can die as its owner."""

    def settle_and_die() -> None:
        DeathAtStep(0, tail).install(queue)  # the wipe is the only copy when a frame is settled
        (frame,) = claim_all(queue)
        queue.worker.settle(frame)

    def claim_and_die() -> None:
        claim_all(queue)
        die()

    def append_and_die() -> None:
        queue.producer.append(record(2))
        DeathAtStep(0, tail).install(queue)
        queue.producer.append(record(3))

    def open_and_die() -> None:
        queue.producer.append(record(4))
        (frame,) = queue.arena.all_in(FILLING)[-1:]
        queue.arena.wipe(frame, 0, len(record(4)))
        die()

    for number, death in enumerate([settle_and_die, claim_and_die]):
        queue.producer.append(record(number))
        queue.producer.seal()
        assert in_a_child(death) == KILLED
    assert in_a_child(append_and_die) == KILLED
    assert in_a_child(open_and_die) == KILLED
    states = [queue.arena.state(frame) for frame in range(4)]
    assert states == [SETTLED, SENDING, FILLING, FILLING]


@synced_tears
def test_a_sweep_finishes_what_another_began_whose_process_died_at_any_step(
    tear: Tear, durability: int
) -> None:
    for queue in at_every_step(
        lambda queue: janitor.sweep(queue.arena),
        abandon_frames,
        tear=tear,
        frames=6,
        records=5,
        durability=durability,
    ):
        assert queue.stats().accepted == 3
        assert audit(queue) == [1, 2]
        assert queue.stats().delivered == 3


def test_a_waiting_frame_is_not_lost_if_the_process_that_wakes_it_dies() -> None:
    def prepare(queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        (frame,) = claim_all(queue)
        frame.postpone(0, 5)

    for queue in at_every_step(lambda queue: wake(queue.arena, 0, 5), prepare):
        assert queue.arena.state(0) in (WAITING, READY)
        assert audit(queue) == [0]


def test_no_record_is_lost_if_a_process_that_calls_get_and_task_done_dies_at_any_step() -> None:
    done = SharedCounts()

    def work(queue: RecordQueue) -> None:
        for _ in range(7):
            number = number_of(queue.get(timeout=1))
            done.add(number)
            queue.task_done()

    for queue in at_every_step(work, put_seven, frames=4, records=3):
        left = audit(queue)
        assert done.numbers() | set(left) == set(range(7))
        assert queue.stats().accepted == 7
        done.clear()


def test_a_sweep_leaves_no_frame_of_a_dead_process_in_a_state_that_needs_an_owner() -> None:
    """After it each frame is FREE, READY or WAITING, at whatever step its owner died."""
    returned = SharedCounts()
    for queue in at_every_step(lambda queue: put_all(queue, returned), frames=6, records=3):
        janitor.sweep(queue.arena)
        for state in (FILLING, SENDING, SETTLED):
            assert queue.arena.all_in(state) == []
