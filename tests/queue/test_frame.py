"""A claimed frame: what it says about the batch in progress, and when it may be sent again."""

import pytest

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.interleavings import Observer
from tests.queue.internals import READY, WAITING, wake
from tests.queue.steps import intercept
from tests.queue.tools import (
    NOW,
    audit,
    claim,
    in_a_child,
    put_eight,
    queue_of,
    record,
)

HALF = len(record(0))


def claimed(queue: RecordQueue) -> Frame:
    """Return a claimed frame with two records."""
    queue.producer.append(record(0))
    queue.producer.append(record(1))
    return claim(queue, 0)


def test_a_frame_that_was_never_sent_has_nothing_in_progress() -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.account.attempts, frame.account.sent = 3, 1  # without meaning
        assert not frame.is_in_progress
        assert (frame.attempts, frame.since) == (0, 0)
        assert not frame.was_refused
        assert not frame.may_have_arrived
        assert not frame.is_sent_again
        assert not frame.is_early(0)


def test_a_batch_is_sent_again_if_it_failed_and_a_request_carried_it() -> None:
    """A frame that shares the failure of a probe was not sent itself."""
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.aim(frame.length, NOW)
        seen = [frame.is_sent_again]
        frame.account.attempts = 1
        seen.append(frame.is_sent_again)
        frame.mark_sent()
        seen.append(frame.is_sent_again)
        frame.account.attempts = 0  # it is being sent for the first time
        seen.append(frame.is_sent_again)
        assert seen == [False, False, True, False]


def test_the_next_batch_of_a_frame_was_not_sent_yet() -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.aim(HALF, NOW)
        frame.mark_sent()
        frame.account.attempts = 2
        frame.advance(HALF)
        frame.aim(2 * HALF, NOW + 1)
        account = frame.account
        assert (account.sent, account.attempts, account.since) == (0, 0, NOW + 1)
        frame.aim(2 * HALF, NOW + 2)
        assert account.since == NOW + 1, "the first attempt counts"


@pytest.mark.parametrize(("now", "early"), [(NOW + 9, True), (NOW + 10, False), (NOW + 11, False)])
def test_an_attempt_is_early_until_the_batch_is_due(now: int, early: bool) -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.aim(frame.length, NOW)
        frame.postpone(NOW, NOW + 10)
        assert wake(queue.arena, 0, NOW + 10)
        again = claim(queue, 0)
        assert again.is_early(now) == early


@pytest.mark.parametrize(
    ("until", "due"), [(NOW + 5, NOW + 10), (NOW + 10, NOW + 10), (NOW + 20, NOW + 20)]
)
def test_a_frame_that_keeps_waiting_is_due_when_it_was_or_later(until: int, due: int) -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.aim(frame.length, NOW)
        frame.postpone(NOW, NOW + 10)
        assert wake(queue.arena, 0, NOW + 10)
        again = claim(queue, 0)
        assert again.keep_waiting(NOW + 1, until, NOW + 3) == due
        account = queue.arena.account(0)
        assert (account.due, account.not_before, account.attempts) == (due, NOW + 3, 1)
        assert queue.arena.locks.owner(0) is None


def test_a_frame_says_when_it_is_due_before_it_waits() -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.aim(frame.length, NOW)

        def look() -> None:
            if queue.arena.state(0) == WAITING:
                account = queue.arena.account(0)
                assert (account.postponed, account.due) == (NOW + 1, NOW + 10)
                assert (account.not_before, account.attempts) == (NOW + 5, 1)

        intercept(queue, Observer(look))
        frame.account = queue.arena.account(0)  # a view that is intercepted
        frame.postpone(NOW + 1, NOW + 10, NOW + 5)
        assert queue.arena.state(0) == WAITING


def test_progress_adds_up() -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        frame.advance(HALF, rejected=1)
        assert frame.spans() == [(HALF, 2 * HALF)]
        frame.advance(2 * HALF, failed=1)
        assert frame.account.progress == (2 * HALF, 1, 1)
        assert frame.spans() == []


def test_what_is_left_is_cut_where_the_last_attempt_ended() -> None:
    with queue_of(records=2) as queue:
        frame = claimed(queue)
        whole = (0, 2 * HALF)
        assert frame.spans() == [whole]
        frame.aim(HALF, NOW)
        assert frame.spans() == [(0, HALF), (HALF, 2 * HALF)]
        frame.aim(2 * HALF, NOW)
        assert frame.spans() == [whole], "no empty part"


def test_a_frame_that_was_joined_to_another_has_no_owner() -> None:
    """Else no other process could settle it when this one hands its leader back."""
    with queue_of(frames=8, records=2) as queue:
        put_eight(queue)
        leader = claim(queue, 0)
        queue.worker.join_ready(leader, records=100, size=64)
        followers = leader.followers
        assert len(followers) == 3
        assert [queue.arena.locks.owner(number) for number in followers] == [None] * 3
        queue.worker.hand_back(leader)

        def deliver() -> None:
            frame = claim(queue, 0)
            frame.advance(frame.length)
            queue.worker.settle(frame)

        assert in_a_child(deliver) == 0
        assert queue.arena.all_in(READY) != []
        assert sorted(audit(queue)) == [7]
