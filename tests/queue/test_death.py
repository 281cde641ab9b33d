"""Whatever step a process dies at, each record that it was promised for is accounted for, once."""

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.arena import (
    FILLING,
    READY,
    SENDING,
    SETTLED,
    WAITING,
    Arena,
)
from dataart_mp.queue.producer_end import ProducerEnd
from dataart_mp.queue.release import wake
from tests.queue.deaths import TEARS, Fate, Tear, at_every_step, beginning, nothing, tail
from tests.queue.tools import (
    FAR_FUTURE,
    KILLED,
    NOW,
    Slate,
    assert_clean,
    audit,
    claim_all,
    die,
    drain,
    in_a_child,
    lines_of,
    number_of,
    put_eight,
    put_seven,
    queue_of,
    record,
    stats_while,
)

tears = pytest.mark.parametrize("tear", TEARS, ids=lambda tear: tear.__name__)


def put_all(queue: RecordQueue, returned: Slate) -> None:
    """Seven actions in frames of three, one of which is full before, and an identity."""
    for number, width in enumerate([0, 0, 0, 30, 30, 30, 0]):
        queue.producer.append(record(number, width))
        returned.mark(number)
    queue.producer.append_alone(record(7))
    returned.mark(7)
    queue.producer.seal()


@tears
def test_a_producer_may_die_at_any_step_and_loses_nothing_that_append_returned_for(
    tear: Tear,
) -> None:
    returned = Slate()
    for queue in at_every_step(
        lambda queue: put_all(queue, returned), tear=tear, frames=6, records=3
    ):
        accepted = queue.stats().accepted
        numbers = audit(queue)
        promised = returned.marked()
        assert len(numbers) == len(set(numbers)) == accepted
        assert set(numbers) in (promised, promised | {len(promised)}), "at most the one under way"
        returned.wipe()


@tears
def test_a_record_torn_by_a_death_is_cut_off(tear: Tear) -> None:
    """The third record's copy is the step that is died in."""
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))  # so that the child's frame is not the first
        queue.producer.seal()

        def child() -> None:
            queue.producer.append(record(1))
            queue.producer.append(record(2))
            Fate(0, tear).rule(queue)
            queue.producer.append(record(3))

        assert in_a_child(child) == KILLED
        whole = 3 if tear(10) == [slice(0, 10)] else 2
        assert queue.stats().pending == 1 + whole, "also before anybody has salvaged it"
        assert sorted(audit(queue)) == [0, 1, 2, 3][: 1 + whole]


def test_a_frame_salvaged_from_the_dead_takes_its_next_records_cleanly() -> None:
    with queue_of(1, 64, records=5) as queue:
        for tear in TEARS:

            def child(tear: Tear = tear) -> None:
                queue.producer.append(record(1))
                Fate(0, tear).rule(queue)
                queue.producer.append(record(2, 60 - len(record(1))))

            assert in_a_child(child) == KILLED
            assert 1 in audit(queue)
            queue.producer.append(record(3, 64))
            assert audit(queue) == [3]


def work_off(queue: RecordQueue, taken: Slate) -> None:
    """What a worker does: deliver, reject, give up, wait for another try, and deliver again."""
    first, second, third = claim_all(queue)
    taken_by = [number_of(line) for line in lines_of(first)]
    for number in taken_by:
        taken.mark(number)
    first.advance(first.length)
    queue.worker.settle(first)

    (start, end) = second.spans()[0]
    lines = lines_of(second)
    cut = start + len(lines[0])
    second.aim(cut, NOW)
    taken.mark(number_of(lines[0]))
    second.advance(cut, rejected=1)
    second.aim(end, NOW)
    second.postpone(0, FAR_FUTURE)

    for line in lines_of(third):
        taken.mark(number_of(line))
    third.advance(third.length, failed=1)
    queue.worker.settle(third)

    assert wake(queue.arena, second.number, FAR_FUTURE)
    (again,) = claim_all(queue)
    assert again.attempts == 1
    for line in lines_of(again):
        taken.mark(number_of(line))
    again.advance(again.length)
    queue.worker.settle(again)


def test_a_worker_may_die_at_any_step_and_every_record_is_still_accounted_for_once() -> None:
    taken = Slate()
    for queue in at_every_step(
        lambda queue: work_off(queue, taken), put_seven, frames=4, records=3
    ):
        middle = queue.stats()
        assert middle.accepted == 7
        assert middle.balanced
        left = drain(queue)
        end = queue.stats()
        assert (end.accepted, end.pending) == (7, 0)
        assert end.balanced
        assert end.rejected <= 1
        assert end.failed <= 1
        assert taken.marked() | set(left) == set(range(7)), "none is lost"
        assert len(left) == len(set(left)), "none is left twice"
        # Doubled is at most the frame that was in the dead one's owner.
        assert len(taken.marked() & set(left)) <= 3
        assert end.delivered + end.rejected + end.failed == 7
        assert_clean(queue)
        taken.wipe()


def test_a_frame_that_a_death_interrupted_is_sent_again_under_the_same_key() -> None:
    def keys(queue: RecordQueue) -> dict[str, list[bytes]]:
        return {frame.key: lines_of(frame) for frame in claim_all(queue)}

    for queue in at_every_step(claim_all, put_seven, frames=4, records=3):
        janitor.sweep(queue.arena)
        first = keys(queue)
        assert sorted(number_of(line) for lines in first.values() for line in lines) == [*range(7)]
        janitor.recover(queue.arena)  # the frames were dropped, so they are READY again
        assert keys(queue) == first
        janitor.recover(queue.arena)
        audit(queue)


def join_and_work_off(queue: RecordQueue, taken: Slate) -> None:
    """Two frames are joined to the first; one record is rejected, and the rest is delivered."""
    first, *_ = (Frame.claim(queue.arena, number) for number in queue.arena.all_in(READY)[:1])
    assert first is not None
    queue.worker.join_ready(first, records=6, size=64)
    lines = lines_of(first)
    for line in lines:
        taken.mark(number_of(line))
    first.aim(first.length, NOW)
    first.advance(len(lines[0]), rejected=1)
    first.advance(first.length)
    queue.worker.settle(first)


@pytest.mark.parametrize("tear", [nothing, beginning, tail], ids=lambda tear: tear.__name__)
def test_a_worker_may_die_at_any_step_of_joining_frames(tear: Tear) -> None:
    taken = Slate()
    for queue in at_every_step(
        lambda queue: join_and_work_off(queue, taken), put_eight, tear, frames=6, records=2
    ):
        middle = queue.stats()
        assert middle.accepted == 8, "at every moment"
        assert middle.balanced
        left = drain(queue)
        end = queue.stats()
        assert (end.accepted, end.pending) == (8, 0)
        assert end.balanced
        assert end.delivered + end.rejected == 8
        assert taken.marked() | set(left) == set(range(8)), "none is lost"
        assert len(left) == len(set(left)), "none is left twice"
        assert_clean(queue)
        taken.wipe()


def test_joined_frames_go_out_as_one_and_each_counts_its_own() -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = Frame.claim(queue.arena, 0)
        assert leader is not None
        queue.worker.join_ready(leader, records=5, size=64)
        assert [number_of(line) for line in lines_of(leader)] == [0, 1, 2, 3], "six were too many"
        assert queue.stats().pending == 8
        first_of_both = queue.arena.generation(1)
        leader.aim(leader.length, NOW)
        leader.postpone(0, FAR_FUTURE)
        assert wake(queue.arena, 0, FAR_FUTURE)
        again = Frame.claim(queue.arena, 0)
        assert again is not None
        assert again.attempts == 1
        assert not again.is_joinable, "what was sent keeps its content"
        assert queue.arena.generation(1) == first_of_both
        again.advance(again.length, failed=4)
        queue.worker.settle(again)
        stats = queue.stats()
        assert (stats.accepted, stats.delivered, stats.failed, stats.pending) == (8, 0, 4, 4)
        assert sorted(drain(queue)) == [4, 5, 6, 7]
        assert_clean(queue)


def test_what_fails_with_its_leader_is_not_delivered_less_than_never() -> None:
    with queue_of(frames=6, records=2) as queue:
        for number in range(4):
            queue.producer.append(record(number))
        leader = Frame.claim(queue.arena, 1)
        assert leader is not None
        queue.worker.join_ready(leader, records=4, size=64)

        def give_up() -> None:
            leader.advance(leader.length, failed=4)
            queue.worker.settle(leader)

        between = stats_while(queue, 1, give_up)
        assert between.balanced
        assert (between.accepted, between.delivered, between.failed) == (4, 0, 4)
        assert queue.stats().failed == 4


@pytest.mark.parametrize("put", [ProducerEnd.append, ProducerEnd.append_alone])
def test_to_join_costs_the_same_however_many_frames_wait(
    put: Callable[[ProducerEnd, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    for frames in (1000, 2000):
        with queue_of(frames, 16) as queue:
            queue.producer.append(record(0))
            for number in range(1, frames):
                put(queue.producer, record(number))
            leader = Frame.claim(queue.arena, 0)
            assert leader is not None
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
def test_no_more_is_joined_than_fits(size: int) -> None:
    with queue_of(frames=6, records=2) as queue:
        put_eight(queue)
        leader = Frame.claim(queue.arena, 0)
        assert leader is not None
        queue.worker.join_ready(leader, records=100, size=size)
        assert leader.length == max(16, size // 16 * 16)
        janitor.recover(queue.arena)
        del leader
        janitor.recover(queue.arena)
        assert sorted(audit(queue)) == [*range(8)]


def test_an_identity_and_what_was_tried_before_go_alone() -> None:
    with queue_of(frames=6, records=2) as queue:
        queue.producer.append_alone(record(0))
        queue.producer.append(record(1))
        queue.producer.seal()
        identity, tried = claim_all(queue)
        assert identity.is_identity
        assert not identity.is_joinable
        tried.aim(tried.length, NOW)
        assert not tried.is_joinable
        queue.worker.hand_back(tried)
        queue.worker.hand_back(identity)
        queue.producer.append(record(2))
        queue.producer.seal()
        leader = Frame.claim(queue.arena, 2)
        assert leader is not None
        queue.worker.join_ready(leader, records=100, size=64)
        assert [number_of(line) for line in lines_of(leader)] == [2]
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [0, 1, 2]


def test_a_frame_that_has_become_another_one_since_it_was_seen_is_not_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with queue_of(frames=6, records=1) as queue:
        queue.producer.append(record(0))
        leader = Frame.claim(queue.arena, 0)
        assert leader is not None
        queue.producer.append(record(1))
        claim = Frame.claim

        def come_too_late(arena: Arena, number: int) -> Frame | None:
            monkeypatch.undo()
            seen = claim(arena, number)
            assert seen is not None
            queue.worker.settle(seen)
            queue.producer.append_alone(record(2))
            return claim(arena, number)

        monkeypatch.setattr(Frame, "claim", come_too_late)
        queue.worker.join_ready(leader, records=8, size=64)
        assert leader.length == len(record(0))
        queue.worker.hand_back(leader)
        assert sorted(audit(queue)) == [0, 2]


def test_progress_that_was_made_before_a_death_is_kept() -> None:
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
        assert frame.spans() == [(size, 2 * size), (2 * size, 3 * size)], "in the same cut"
        assert [number_of(line) for line in lines_of(frame)] == [1, 2]
        queue.worker.settle(frame)
        stats = queue.stats()
        assert (stats.delivered, stats.rejected) == (2, 1)


def leave_behind(queue: RecordQueue) -> None:
    """One frame of each kind that the dead leave."""

    def settle_and_die() -> None:
        Fate(0, tail).rule(queue)  # in the middle of the wipe, the only copy of a settlement
        (frame,) = claim_all(queue)
        queue.worker.settle(frame)

    def claim_and_die() -> None:
        claim_all(queue)
        die()

    def append_and_die() -> None:
        queue.producer.append(record(2))
        Fate(0, tail).rule(queue)
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


@tears
def test_a_janitor_may_die_at_any_step_and_the_next_one_finishes_its_work(tear: Tear) -> None:
    for queue in at_every_step(
        lambda queue: janitor.sweep(queue.arena), leave_behind, tear=tear, frames=6, records=5
    ):
        assert queue.stats().accepted == 3
        assert audit(queue) == [1, 2]
        assert queue.stats().delivered == 3


def test_a_waiting_frame_may_lose_the_one_who_wakes_it() -> None:
    def prepare(queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        (frame,) = claim_all(queue)
        frame.postpone(0, 5)

    for queue in at_every_step(lambda queue: wake(queue.arena, 0, 5), prepare):
        assert queue.arena.state(0) in (WAITING, READY)
        assert audit(queue) == [0]


def test_a_user_of_get_and_task_done_may_die_at_any_step() -> None:
    done = Slate()

    def work(queue: RecordQueue) -> None:
        for _ in range(7):
            number = number_of(queue.get(timeout=1))
            done.mark(number)
            queue.task_done()

    for queue in at_every_step(work, put_seven, frames=4, records=3):
        left = audit(queue)
        assert done.marked() | set(left) == set(range(7))
        assert queue.stats().accepted == 7
        done.wipe()


def test_no_state_but_the_owned_ones_survives_its_owner() -> None:
    """After a sweep a frame is FREE, READY or WAITING, whatever its owner did."""
    returned = Slate()
    for queue in at_every_step(lambda queue: put_all(queue, returned), frames=6, records=3):
        janitor.sweep(queue.arena)
        for state in (FILLING, SENDING, SETTLED):
            assert queue.arena.all_in(state) == []
