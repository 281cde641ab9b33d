"""Joined frames: several frames that a worker sends as one request."""

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from dataart_mp.queue import RecordQueue, joining
from dataart_mp.queue.arena import JOINED
from dataart_mp.stats import Stats
from tests.queue.deaths import Tear, at_every_step, beginning, nothing, tail
from tests.queue.interleavings import InALivingProcess, Observer
from tests.queue.internals import READY, ProducerEnd, janitor, wake
from tests.queue.steps import intercept
from tests.queue.tools import (
    FAR_FUTURE,
    NOW,
    SharedCounts,
    assert_clean,
    audit,
    can_follow,
    claim,
    claim_all,
    drain,
    fork,
    kill,
    lines_of,
    number_of,
    numbers_of,
    put_eight,
    queue_of,
    reap,
    record,
    stats_while,
)
from tests.support import wait_until


def join_and_send(queue: RecordQueue, sent: SharedCounts) -> None:
    """Join two frames to the first; reject one record, and deliver the others."""
    first = claim(queue, queue.arena.all_in(READY)[0])
    queue.worker.join_ready(first, records=6, size=64)
    lines = lines_of(first)
    for line in lines:
        sent.add(number_of(line))
    first.aim(first.length, NOW)
    first.advance(len(lines[0]), rejected=1)
    first.advance(first.length)
    queue.worker.settle(first)


def end_after_a_death(queue: RecordQueue, sent: SharedCounts) -> Stats:
    """Deliver what a dead worker has left of eight records, and check that none is lost."""
    middle = queue.stats()
    assert middle.accepted == 8, "after a death at any step"
    assert middle.balanced
    left = drain(queue)
    end = queue.stats()
    assert (end.accepted, end.pending) == (8, 0)
    assert end.balanced
    assert sent.numbers() | set(left) == set(range(8)), "no record is lost"
    assert len(left) == len(set(left)), "no record is duplicated in the queue"
    assert_clean(queue)
    sent.clear()
    return end


@pytest.mark.parametrize("tear", [nothing, beginning, tail], ids=lambda tear: tear.__name__)
def test_every_record_is_counted_once_if_the_worker_dies_while_joining_frames(tear: Tear) -> None:
    sent = SharedCounts()
    for queue in at_every_step(
        lambda queue: join_and_send(queue, sent), put_eight, tear, frames=6, records=2
    ):
        end = end_after_a_death(queue, sent)
        assert end.delivered + end.rejected == 8


def send_release_and_join(queue: RecordQueue, sent: SharedCounts) -> None:
    """Send joined frames that are not processed, join another one, and deliver all of them."""
    leader = claim(queue, queue.arena.all_in(READY)[0])
    queue.worker.join_ready(leader, records=4, size=64)
    leader.aim(leader.length, NOW)
    leader.mark_sent()
    leader.release_batch()
    number = leader.number
    leader.keep_waiting(NOW, NOW)
    assert wake(queue.arena, number, FAR_FUTURE)
    again = claim(queue, number)
    queue.worker.join_ready(again, records=6, size=128)
    for line in lines_of(again):
        sent.add(number_of(line))
    again.aim(again.length, NOW)
    again.advance(again.length)
    queue.worker.settle(again)


@pytest.mark.parametrize("tear", [nothing, beginning, tail], ids=lambda tear: tear.__name__)
def test_every_record_is_counted_once_if_the_worker_dies_while_it_joins_a_released_frame(
    tear: Tear,
) -> None:
    sent = SharedCounts()
    for queue in at_every_step(
        lambda queue: send_release_and_join(queue, sent), put_eight, tear, frames=6, records=2
    ):
        assert end_after_a_death(queue, sent).delivered == 8


def test_a_released_frame_can_lead_and_follow_and_keeps_the_time_of_its_first_attempt() -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        released = claim(queue, 1)
        released.aim(released.length, 5)
        released.release_batch()
        assert (released.is_in_progress, released.was_refused, released.since) == (False, True, 5)
        released.aim(released.length, NOW)
        assert (released.since, released.attempts) == (5, 0)
        released.release_batch()
        queue.worker.hand_back(released)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=4, size=128, refused_too=False)
        assert numbers_of(leader) == [0, 1, 4, 5]
        assert not can_follow(leader), "a frame has one leader"
        queue.worker.join_ready(leader, records=6, size=128)
        assert numbers_of(leader) == [0, 1, 4, 5, 2, 3]
        leader.advance(leader.length)
        queue.worker.settle(leader)
        assert sorted(drain(queue)) == [6, 7]
        assert_clean(queue)


def test_the_part_after_a_finished_one_has_a_separate_time() -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        frame = claim(queue, 0)
        frame.aim(frame.length, 5)
        frame.release_batch()
        frame.aim(8, 6)
        frame.advance(8)
        assert (frame.since, frame.was_refused) == (0, False)
        frame.aim(frame.length, 7)
        assert frame.since == 7
        frame.advance(frame.length)
        queue.worker.settle(frame)
        drain(queue)


def test_joined_frames_are_sent_as_one_and_each_counts_its_records() -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=5, size=64)
        assert numbers_of(leader) == [0, 1, 2, 3], "six records are more than five"
        assert queue.stats().pending == 8
        generation = queue.arena.generation(1)
        leader.aim(leader.length, NOW)
        leader.postpone(0, FAR_FUTURE)
        assert wake(queue.arena, 0, FAR_FUTURE)
        retried = claim(queue, 0)
        assert retried.attempts == 1
        assert not retried.can_lead, "a frame that was sent keeps its content"
        assert queue.arena.generation(1) == generation
        retried.advance(retried.length, failed=4)
        queue.worker.settle(retried)
        stats = queue.stats()
        assert (stats.accepted, stats.delivered, stats.failed, stats.pending) == (8, 0, 4, 4)
        assert sorted(drain(queue)) == [4, 5, 6, 7]
        assert_clean(queue)


def test_delivered_is_never_negative_while_joined_frames_fail() -> None:
    with queue_of(frames=6, records=2) as queue:
        for number in range(4):
            queue.producer.append(record(number))
        leader = claim(queue, 1)
        queue.worker.join_ready(leader, records=4, size=64)

        def fail() -> None:
            leader.advance(leader.length, failed=4)
            queue.worker.settle(leader)

        between = stats_while(queue, 1, fail)
        assert between.balanced
        assert (between.accepted, between.delivered, between.failed) == (4, 0, 4)
        assert queue.stats().failed == 4


@pytest.mark.parametrize("put", [ProducerEnd.append, ProducerEnd.append_alone])
def test_the_cost_of_joining_does_not_depend_on_the_number_of_waiting_frames(
    put: Callable[[ProducerEnd, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    for frames in (1000, 2000):
        with queue_of(frames, 16) as queue:
            queue.producer.append(record(0))
            for number in range(1, frames):
                put(queue.producer, record(number))
            leader = claim(queue, 0)
            find, looks = queue.arena.find, itertools.count(1)

            def counted(*args: int, find: Any = find, looks: Iterator[int] = looks) -> int:
                seen[-1] = next(looks)
                return int(find(*args))

            seen.append(0)
            monkeypatch.setattr(queue.arena, "find", counted)
            queue.worker.join_ready(leader, records=2, size=16)
            queue.worker.hand_back(leader)
    assert seen[0] == seen[1] > 0


@pytest.mark.parametrize("size", [0, 8, 31, 32, 40])
def test_no_more_frames_are_joined_than_fit(size: int) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=100, size=size)
        assert leader.length == max(16, size // 16 * 16)
        janitor.recover(queue.arena)
        del leader
        janitor.recover(queue.arena)
        assert sorted(audit(queue)) == [*range(8)]


def test_identities_and_frames_that_were_sent_before_are_not_joined() -> None:
    with queue_of(frames=6, records=2) as queue:
        queue.producer.append_alone(record(0))
        queue.producer.append(record(1))
        queue.producer.seal()
        identity, sent = claim_all(queue)
        assert identity.is_identity
        assert not identity.can_lead
        sent.aim(sent.length, NOW)
        assert not sent.can_lead
        queue.worker.hand_back(sent)
        queue.worker.hand_back(identity)
        queue.producer.append(record(2))
        queue.producer.seal()
        leader = claim(queue, 2)
        queue.worker.join_ready(leader, records=100, size=64)
        assert numbers_of(leader) == [2]
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [0, 1, 2]


@pytest.mark.parametrize("refill", ["an identity", "a larger frame"])
def test_a_frame_that_was_filled_again_before_it_was_locked_is_left_to_another_worker(
    monkeypatch: pytest.MonkeyPatch, refill: str
) -> None:
    with queue_of(frames=6, records=1) as queue:
        queue.producer.append(record(0))
        leader = claim(queue, 0)
        queue.producer.append(record(1))
        locks = queue.arena.locks

        def lock_too_late(numbers: Sequence[int], holder: object) -> list[range]:
            monkeypatch.undo()
            queue.worker.settle(claim(queue, numbers[0]))
            if refill == "an identity":
                queue.producer.append_alone(record(2))
            else:
                queue.producer.append(record(2, 60))
            while queue.work.has_notifications():
                queue.work.wait_at_most(0)
            return locks.acquire_many(numbers, holder)

        monkeypatch.setattr(locks, "acquire_many", lock_too_late)
        queue.worker.join_ready(leader, records=8, size=64)
        assert leader.length == len(record(0))
        assert queue.arena.all_in(READY) == [1]
        assert locks.owner(1) is None
        assert queue.work.wait_at_most(0) == 1, "it is announced"
        queue.worker.settle(leader)
        assert audit(queue) == [2]


def test_a_joined_frame_counts_all_its_records_as_delivered() -> None:
    with queue_of(frames=6, records=1) as queue:
        for number in range(2):
            queue.producer.append(record(number))
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=8, size=64)
        follower = queue.arena.account(1)
        follower.set_totals([100, 90, 5, 4, 1], [77] * 5)  # the last were of an earlier filling
        leader.advance(leader.length, failed=2)
        queue.worker.settle(leader)
        assert follower.closing() == [101, 91, 5, 4, 1]
        assert queue.arena.account(0).closing() == [1, (1 - 2) % 2**64, 0, 2, 0]


def test_frames_that_another_worker_has_locked_are_not_joined() -> None:
    with queue_of(frames=8, records=1) as queue:
        for number in range(6):
            queue.producer.append(record(number))
        leader = claim(queue, 0)

        def lock_and_wait() -> None:
            assert queue.arena.locks.acquire(3)
            signal.pause()

        other = fork(lock_and_wait)
        wait_until(lambda: queue.arena.locks.owner(3) == other)
        queue.worker.join_ready(leader, records=8, size=64)
        assert numbers_of(leader) == [0, 1, 2, 4, 5]
        assert queue.arena.locks.held() == [0], "the leader's"
        kill(other)
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [0, 1, 2, 3, 4, 5]


def test_followers_are_freed_when_another_worker_dies_while_it_settles_them() -> None:
    """The worker that joined them lives, and has nothing to do with them any more."""

    def join_and_postpone(queue: RecordQueue) -> None:
        put_eight(queue)
        leader = claim(queue, queue.arena.all_in(READY)[0])
        queue.worker.join_ready(leader, records=8, size=64)
        assert leader.followers
        leader.aim(leader.length, NOW)
        leader.postpone(NOW, NOW)
        assert wake(queue.arena, leader.number, NOW)

    def settle(queue: RecordQueue) -> None:
        for leader in claim_all(queue):
            leader.advance(leader.length)
            queue.worker.settle(leader)

    joiner = InALivingProcess(join_and_postpone)
    for queue in at_every_step(settle, joiner, nothing, frames=6, records=2):
        drain(queue)
        assert queue.stats().delivered == 8
        assert_clean(queue)
        joiner.end()


@pytest.mark.parametrize(("records", "followers"), [(2, 0), (3, 0), (4, 1), (5, 1), (6, 2)])
def test_frames_are_joined_up_to_a_number_of_records(records: int, followers: int) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=records, size=64)
        assert len(leader.followers) == followers
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [*range(8)]


def test_a_frame_follows_the_leader_that_it_was_joined_to_and_no_later_filling_of_it() -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=4, size=64)
        arena = queue.arena
        assert joining.follows(arena, 1, 0)
        assert not joining.follows(arena, 1, 2), "another leader"
        assert not joining.follows(arena, 2, 0), "it was not joined"
        arena.account(0).generation += 1
        assert not joining.follows(arena, 1, 0), "another filling"
        arena.account(0).generation -= 1
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [*range(8)]


def test_a_join_says_what_it_will_be_before_it_says_that_it_has_begun() -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        arena, seen = queue.arena, []

        def look() -> None:
            account = arena.account(0)
            if account.joining:
                follower = arena.account(account.joining - 1)
                whole = account.length in (16 * account.joining, 16 * (account.joining - 1))
                assert whole
                assert account.joined_length == 16 * account.joining
                seen.append(follower.length)

        intercept(queue, Observer(look))
        queue.worker.join_ready(leader, records=6, size=64)
        assert set(seen) == {16}
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [*range(8)]


def test_a_follower_whose_lock_another_process_has_for_a_moment_is_settled_too() -> None:
    sign = SharedCounts()
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=6, size=64)

        def look_at_it() -> None:
            assert queue.arena.locks.acquire(1)
            sign.add(0)
            time.sleep(0.1)
            queue.arena.locks.release(1)

        other = fork(look_at_it)
        wait_until(lambda: sign[0])
        leader.advance(leader.length)
        queue.worker.settle(leader)
        assert reap(other) == 0
        assert queue.arena.all_in(JOINED) == []
        assert queue.stats().delivered == 6
        assert sorted(audit(queue)) == [6, 7]


def test_a_frame_that_was_joined_writes_no_note_when_others_are_joined_to_it() -> None:
    with queue_of(8, 64, records=1) as queue:
        for number in range(3):  # so that the first frame is in its third filling
            queue.producer.append(record(number))
            queue.worker.settle(claim(queue, 0))
        queue.producer.append(record(3))
        queue.producer.append(record(4))
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=2, size=64)
        leader.aim(leader.length, NOW)
        leader.advance(leader.length)
        queue.worker.settle(leader)
        queue.producer.append(record(5))  # stays in the first frame
        for number in range(6, 10):
            queue.producer.append(record(number))
            frame = claim(queue, 1)
            frame.aim(frame.length, NOW)
            frame.advance(frame.length)
            queue.worker.settle(frame)
        assert queue.arena.generation(1) > queue.arena.generation(0) - 1 == 4
        assert queue.arena.note_head == 0, "all records were delivered"


# Memory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can give memory back")
def test_a_frame_that_others_were_joined_to_gives_its_memory_back() -> None:
    body = b'{"text": "' + b"x" * 4000 + b'"}\n'
    with queue_of(40, 1 << 20, records=1) as queue:

        def fill_and_settle(joined: int) -> int:
            for _ in range(40):
                queue.producer.append(body)
            while ready := queue.arena.all_in(READY):
                frame = claim(queue, ready[0])
                queue.worker.join_ready(frame, records=joined, size=1 << 20)
                frame.aim(frame.length, NOW)
                frame.advance(frame.length)
                queue.worker.settle(frame)
            assert queue.arena.all_free()
            return os.fstat(queue.arena.fd).st_blocks

        before = fill_and_settle(joined=1)
        assert fill_and_settle(joined=40) <= before
        assert queue.stats().delivered == 80
        for number in range(40):
            assert not queue.arena.content(number, 0, 1 << 20).strip(b"\0")
