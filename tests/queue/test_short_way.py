"""A fresh frame that one request delivers leaves the same words on its short way as on the long."""

import fcntl
from collections.abc import Callable

import pytest

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.deaths import TEARS, Tear, at_every_step
from tests.queue.interleavings import in_another_process, with_a_rival_at_every_step
from tests.queue.internals import SENDING, janitor
from tests.queue.tools import NOW, assert_clean, claim_all, drain, queue_of, record


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
    queue.worker.free([frame])
    queue.worker.notify_of_room()


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
        first.account.length = 1 << 13
        queue.worker.settle_delivered(first, 1 << 13)
        queue.worker.free([first])
        assert second.content(0, second.length) == content
        short_way(queue, second)


def put_four(queue: RecordQueue) -> None:
    for number in range(4):
        queue.producer.append(record(number))


def settle_four(queue: RecordQueue) -> list[Frame]:
    """Settle four frames, in another order than that of their numbers."""
    frames = claim_all(queue)
    frames = [frames[number] for number in (3, 0, 1, 2)]
    for frame in frames:
        length = frame.length
        frame.account.aim_at_all(length, NOW)
        queue.worker.settle_delivered(frame, length)
    return frames


@pytest.mark.parametrize("tear", TEARS)
def test_frames_that_are_freed_together_are_counted_once_if_the_worker_dies_at_any_step(
    tear: Tear,
) -> None:
    def work(queue: RecordQueue) -> None:
        queue.worker.free(settle_four(queue))

    for queue in at_every_step(work, put_four, tear, frames=4):
        left = drain(queue)
        assert len(left) == len(set(left))
        stats = queue.stats()
        assert stats.balanced
        assert (stats.accepted, stats.delivered, stats.pending) == (4, 4, 0)
        assert_clean(queue)


def sweep_and_append(queue: RecordQueue) -> None:
    """Free what seems to have no owner, and put a record into a free frame."""
    janitor.sweep(queue.arena)
    queue.producer.append(record(8))


def test_what_another_process_puts_into_a_freed_frame_is_kept() -> None:
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: queue.worker.free(settle_four(queue)),
        in_another_process(sweep_and_append),
        put_four,
        frames=5,
    ):
        assert drain(queue) == [8]
        stats = queue.stats()
        assert stats.balanced
        assert (stats.accepted, stats.delivered, stats.pending) == (5, 5, 0)
        assert_clean(queue)


def test_neighbours_are_released_by_one_call_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []
    lockf = fcntl.lockf

    def counting(fd: int, command: int, length: int, start: int) -> None:
        calls.append((start, length))
        lockf(fd, command, length, start)

    with queue_of(5) as queue:
        put_four(queue)
        one, two, three, four = sorted(settle_four(queue), key=lambda frame: frame.number)
        monkeypatch.setattr(fcntl, "lockf", counting)
        queue.worker.free([four, one, two])
        assert calls == [(0, 2), (3, 1)]
        queue.worker.free([three])
        assert calls[2:] == [(2, 1)]
        assert_clean(queue)


def test_several_waiting_processes_are_notified_of_several_frames_but_not_too_many() -> None:
    with queue_of(4) as queue:
        queue.arena.wanted_until = 1 << 62
        for frames, notified in ((1, 1), (3, 3), (4, 4), (5, 4), (1000, 4)):
            queue.worker.notify_of_room(frames)
            waiters = [queue.room.wait_at_most(0) for _ in range(notified + 1)]
            assert waiters == [0] * notified + [None]
        queue.arena.wanted_until = 1
        queue.worker.notify_of_room(4)
        assert queue.room.wait_at_most(0) is None, "nobody waits any more"


def test_a_full_pipe_loses_the_notification_of_room_and_nothing_else() -> None:
    with queue_of(4) as queue:
        put_four(queue)
        frames = settle_four(queue)
        queue.arena.wanted_until = 1 << 62
        while queue.room.notify():
            pass
        queue.worker.free(frames)
        queue.worker.notify_of_room(4)
        assert_clean(queue)
