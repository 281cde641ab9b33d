"""An arena with durability is continued from what its checksums prove, on any boot."""

from collections.abc import Iterator

import pytest

from dataart_mp.queue import RecordQueue
from dataart_mp.queue.account import ACTIONS
from dataart_mp.queue.arena import FREE, READY, SETTLED, WAITING
from dataart_mp.queue.durability import INTERVAL
from dataart_mp.queue.frame import Frame
from dataart_mp.queue.frame_writer import FrameWriter
from dataart_mp.queue.sync_rounds import SyncRounds
from dataart_mp.spool.recovery import Cut, recover
from dataart_mp.spool.repair import repair
from tests.queue.deaths import TEARS, Tear, at_every_step, nothing
from tests.queue.tools import (
    NOW,
    SharedCounts,
    assert_clean,
    audit,
    can_follow,
    claim,
    drain,
    numbers_of,
    queue_of,
    record,
)

NOTHING = Cut(0, 0)


@pytest.fixture
def queue() -> Iterator[RecordQueue]:
    with queue_of(records=2, durability=INTERVAL) as queue:
        yield queue


def put(queue: RecordQueue, *numbers: int) -> None:
    for number in numbers:
        queue.producer.append(record(number))


def restart(queue: RecordQueue) -> None:
    """Make the arena one of another boot."""
    queue.arena.words[8] ^= 1


def test_on_the_same_boot_intact_frames_stay_as_they_are(queue: RecordQueue) -> None:
    put(queue, 0, 1, 2, 3)
    frame = claim(queue, 0)
    frame.aim(frame.length, NOW)
    frame.postpone(NOW, NOW)
    assert recover(queue.arena, may_be_parked=True) == NOTHING
    assert queue.arena.state(0) == WAITING
    assert queue.arena.account(0).attempts == 1
    assert sorted(drain(queue)) == [0, 1, 2, 3]


def test_a_torn_frame_is_not_sent_on_the_same_boot_either(queue: RecordQueue) -> None:
    put(queue, 0, 1, 2, 3)
    queue.arena.write(0, 0, record(7))
    assert recover(queue.arena, may_be_parked=False) == Cut(frames=1, lost=2)
    assert queue.stats().balanced
    assert queue.stats().failed == 2
    assert sorted(drain(queue)) == [2, 3]
    assert_clean(queue)


def test_an_open_frame_is_sent_as_far_as_its_checksum_reaches(queue: RecordQueue) -> None:
    put(queue, 0)
    queue.arena.write(0, len(record(0)), record(1))  # an append that did not return
    recover(queue.arena, may_be_parked=False)
    assert queue.arena.state(0) == READY
    assert drain(queue) == [0]
    assert_clean(queue)


def test_what_was_synced_is_sent_when_later_content_is_missing(queue: RecordQueue) -> None:
    put(queue, 0)
    SyncRounds(queue.arena).run()
    put(queue, 1)
    queue.arena.wipe(0, len(record(0)), 2 * len(record(0)))
    restart(queue)
    assert recover(queue.arena, may_be_parked=False) == NOTHING, (
        "content that never reached it is unknown"
    )
    SyncRounds(queue.arena).run()
    restart(queue)
    assert recover(queue.arena, may_be_parked=False) == NOTHING
    assert drain(queue) == [0], "after another power failure, too"


def test_what_a_repair_has_changed_survives_a_power_failure(queue: RecordQueue) -> None:
    put(queue, 0, 1, 2, 3)
    leader = claim(queue, 0)
    queue.worker.join_ready(leader, records=4, size=64)
    queue.arena.write(0, 2, b"\0\0")
    queue.arena.locks.release(0)
    recover(queue.arena, may_be_parked=False)
    queue.arena.settle_in()
    assert repair(queue.arena).lost == 1
    SyncRounds(queue.arena).run()
    restart(queue)
    assert recover(queue.arena, may_be_parked=False) == NOTHING
    assert {1, 2, 3} <= set(drain(queue))


def test_progress_that_lies_behind_its_batch_is_not_believed(queue: RecordQueue) -> None:
    put(queue, 0, 1)
    account = queue.arena.account(0)
    account.progress = account.progress._replace(through=len(record(0)))
    restart(queue)
    recover(queue.arena, may_be_parked=False)
    assert drain(queue) == [0, 1]


def test_progress_and_key_are_kept_and_the_frame_is_joined_to_no_other(queue: RecordQueue) -> None:
    put(queue, 0, 1)
    frame = claim(queue, 0)
    key, size = frame.key, len(record(0))
    frame.aim(size, NOW)
    frame.advance(size, rejected=1)
    restart(queue)
    recover(queue.arena, may_be_parked=False)
    again = Frame.claim(queue.arena, 0)
    assert again is None, "this process has it"
    queue.arena.locks.release(0)
    again = claim(queue, 0)
    assert (again.key, again.spans()) == (key, [(size, 2 * size)])
    assert not again.can_lead
    assert not can_follow(again)
    assert again.since > 0
    queue.worker.settle(again)
    stats = queue.stats()
    assert (stats.accepted, stats.delivered, stats.rejected) == (2, 1, 1)


def test_joined_frames_are_sent_separately_after_a_restart(queue: RecordQueue) -> None:
    put(queue, 0, 1, 2, 3)
    leader = claim(queue, 0)
    queue.worker.join_ready(leader, records=4, size=64)
    leader.aim(leader.length, NOW)
    leader.advance(leader.length, rejected=3)  # of all four
    queue.arena.locks.release(0)
    restart(queue)
    assert recover(queue.arena, may_be_parked=False) == NOTHING
    assert [numbers_of(claim(queue, frame)) for frame in (0, 1)] == [[0, 1], [2, 3]]
    assert queue.stats().pending == 4


def test_a_frame_that_was_filled_from_a_parked_batch_is_left_to_the_parking_lot(
    queue: RecordQueue,
) -> None:
    writer = FrameWriter.open(queue.arena, ACTIONS, 2, 0.0, (7, False))
    assert writer is not None
    writer.fill(record(0) + record(1))
    writer.seal()
    before = queue.stats().parked
    restart(queue)
    assert recover(queue.arena, may_be_parked=True) == NOTHING
    assert queue.stats().parked == before == 0
    assert_clean(queue)


@pytest.mark.parametrize("state", [FREE, SETTLED])
def test_a_settled_frame_that_was_not_wiped_is_not_sent_again(
    queue: RecordQueue, state: int
) -> None:
    put(queue, 0, 1)
    content = record(0) + record(1)
    queue.worker.settle(claim(queue, 0))
    queue.arena.write(0, 0, content)
    queue.arena.set_state(0, state)
    restart(queue)
    assert recover(queue.arena, may_be_parked=False) == NOTHING
    assert queue.stats().delivered == 2
    assert_clean(queue)


def test_workers_look_for_parked_batches_before_they_send(queue: RecordQueue) -> None:
    put(queue, 0, 1)
    restart(queue)
    recover(queue.arena, may_be_parked=True)
    assert claim(queue, 0).may_be_parked


def test_a_sum_below_zero_is_corrected(queue: RecordQueue) -> None:
    put(queue, 0, 1)
    account = queue.arena.account(0)
    account.set_totals([(1 << 64) - 3, 0, 0, 0, (1 << 64) - 3], [0] * 5)
    restart(queue)
    recover(queue.arena, may_be_parked=False)
    stats = queue.stats()
    assert (stats.accepted, stats.parked, stats.pending) == (2, 0, 2)


def test_an_arena_without_durability_is_left_alone() -> None:
    with queue_of() as queue:
        put(queue, 0)
        restart(queue)
        assert recover(queue.arena, may_be_parked=True) == NOTHING
        assert not queue.arena.account(0).parking
        assert drain(queue) == [0]


# A death at any step of the stores


@pytest.mark.parametrize("tear", [nothing, *TEARS[1:5]], ids=lambda tear: tear.__name__)
def test_a_new_owner_finds_each_record_whose_append_returned(tear: Tear) -> None:
    returned = SharedCounts()

    def put(queue: RecordQueue) -> None:
        for number in range(5):
            queue.producer.append(record(number))
            returned.add(number)
        queue.producer.seal()

    def use_the_frames(queue: RecordQueue) -> None:
        """Fill each frame once before, with other records of the same length."""
        for number in range(5, 9):
            queue.producer.append(record(number))
        for frame in (0, 1):
            queue.worker.settle(claim(queue, frame))

    for queue in at_every_step(put, use_the_frames, tear=tear, records=2, durability=INTERVAL):
        promised = returned.numbers()
        for _ in taken_over_on_both_boots(queue):
            assert queue.stats().balanced
            numbers = audit(queue)
            assert len(numbers) == len(set(numbers)), "no record is found twice"
            assert set(numbers) in (promised, promised | {len(promised)}), "at most the current one"
        returned.clear()


def test_a_new_owner_finds_each_record_that_a_dead_worker_has_not_sent() -> None:
    sent = SharedCounts()

    def put(queue: RecordQueue) -> None:
        for number in range(8):
            queue.producer.append(record(number))

    def send(frame: Frame) -> None:
        for number in numbers_of(frame):
            sent.add(number)
        frame.aim(frame.length, NOW)
        frame.advance(frame.length)

    def work(queue: RecordQueue) -> None:
        """Join two frames, send a part of the third one, let it wait, and settle the fourth."""
        leader, other = claim(queue, 0), claim(queue, 2)
        queue.worker.join_ready(leader, records=4, size=64)
        send(leader)
        queue.worker.settle(leader)
        size = len(record(0))
        other.aim(size, NOW)
        sent.add(numbers_of(other)[0])
        other.advance(size, rejected=1)
        other.aim(2 * size, NOW)
        other.postpone(NOW, NOW)
        last = claim(queue, 3)
        send(last)
        queue.worker.settle(last)

    for queue in at_every_step(work, put, records=2, durability=INTERVAL):
        for _ in taken_over_on_both_boots(queue):
            assert queue.stats().accepted == 8
            left = drain(queue)
            assert len(left) == len(set(left)), "no record is found twice"
            assert sent.numbers() | set(left) == set(range(8))
            stats = queue.stats()
            assert stats.balanced
            assert (stats.accepted, stats.failed, stats.pending) == (8, 0, 0)
        sent.clear()


def taken_over_on_both_boots(queue: RecordQueue) -> Iterator[None]:
    """Let a new owner take the arena over as it is, and again as after a restart."""
    left = queue.arena.memory[:]
    for has_restarted in (False, True):
        queue.arena.memory[:] = left
        if has_restarted:
            restart(queue)
        recover(queue.arena, may_be_parked=False)
        queue.arena.settle_in()
        assert repair(queue.arena).lost == 0
        yield
