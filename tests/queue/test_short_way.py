"""A fresh frame that one request delivers leaves the same words on its short way as on the long."""

from collections.abc import Callable

import pytest

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.internals import SENDING
from tests.queue.tools import NOW, claim_all, queue_of, record


def long_way(queue: RecordQueue, frame: Frame) -> None:
    frame.aim(frame.length, NOW)
    frame.mark_sent()
    frame.advance(frame.length)
    queue.worker.settle(frame)


def short_way(queue: RecordQueue, frame: Frame) -> None:
    length = frame.account.length_if_fresh
    assert length == frame.length
    frame.account.aim_at_all(length, NOW)
    assert not frame.account.length_if_fresh
    queue.worker.settle_delivered(frame, length)


def words_after(way: Callable[[RecordQueue, Frame], None]) -> list[list[int]]:
    """Return the accounts of two frames that were delivered three times."""
    with queue_of(2, 128, records=3) as queue:
        for number in range(18):
            queue.producer.append(record(number))
            for frame in claim_all(queue):
                way(queue, frame)
        assert queue.arena.all_free()
        stats = queue.stats()
        assert (stats.accepted, stats.delivered, stats.pending) == (18, 18, 0)
        for number in range(2):
            assert not queue.arena.content(number, 0, 129).strip(b"\0")
            assert queue.arena.locks.owner(number) is None
        accounts = [queue.arena.account(number) for number in range(2)]
        for account in accounts:  # all else is the same at any time
            account.opened = bool(account.opened)
        return [account.words[account.first : account.first + 30].tolist() for account in accounts]


def test_the_short_way_leaves_the_same_words() -> None:
    assert words_after(short_way) == words_after(long_way)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.aim(5, NOW),
        lambda frame: frame.mark_sent(),
        lambda frame: frame.advance(5),
        lambda frame: frame.mark_parking(True),
        lambda frame: setattr(frame.account, "taken", 7),
        lambda frame: setattr(frame.account, "kind", 1),
        lambda frame: setattr(frame.account, "followers", 1),
        lambda frame: setattr(frame.account, "joining", 1),
        lambda frame: setattr(frame.account, "since", NOW),
        lambda frame: setattr(frame.account, "attempts", 1),
    ],
)
def test_a_frame_that_anything_was_done_to_is_not_fresh(change: Callable[[Frame], None]) -> None:
    with queue_of(2, 128, records=3) as queue:
        for number in range(3):
            queue.producer.append(record(number))
        (frame,) = claim_all(queue)
        assert queue.arena.state(frame.number) == SENDING
        assert frame.account.length_if_fresh == frame.length
        change(frame)
        assert frame.account.length_if_fresh == 0


def test_a_waiting_process_is_notified_of_the_room() -> None:
    with queue_of(2, 128) as queue:
        queue.producer.append(record(1))
        (frame,) = claim_all(queue)
        queue.arena.wanted_until = 1 << 62
        short_way(queue, frame)
        assert queue.room.wait_at_most(0) is not None


def test_a_damaged_length_wipes_no_other_frame() -> None:
    with queue_of(2, 64) as queue:
        queue.producer.append(record(1))
        queue.producer.append(record(2))
        first, second = claim_all(queue)
        content = second.content(0, second.length)
        first.account.aim_at_all(first.length, NOW)
        queue.worker.settle_delivered(first, 1 << 13)
        assert second.content(0, second.length) == content
        short_way(queue, second)
