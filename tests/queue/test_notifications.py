"""Whatever makes a frame READY, or settles one, notifies those who wait for it.

A notification that is missing costs up to a second, which no other test notices.
"""

import threading
import time
from typing import Any

import pytest

from dataart_mp import clock
from dataart_mp.errors import EventError
from dataart_mp.queue import AbandonedError, RecordQueue
from tests.queue.internals import (
    FREE,
    READY,
    SENDING,
    Arena,
    NoCompanion,
    Taken,
    idle_writers,
    janitor,
    lifetime,
)
from tests.queue.tools import (
    FAR_FUTURE,
    NOW,
    assert_clean,
    audit,
    claim,
    claim_all,
    in_a_child,
    queue_of,
    record,
)
from tests.support import wait_until

INTERVAL = 60.0


def notified(queue: RecordQueue) -> list[int]:
    """Read all notifications of work."""
    numbers = []
    while queue.work.has_notifications():
        number = queue.work.wait_at_most(0)
        assert number is not None
        numbers.append(number)
    return numbers


def test_a_full_frame_is_announced() -> None:
    with queue_of(records=2) as queue:
        queue.producer.append(record(0))
        assert notified(queue) == []
        queue.producer.append(record(1))
        assert notified(queue) == [0]
        queue.producer.append_alone(record(2))
        assert notified(queue) == [1]
        lines = memoryview(record(3) + record(4))
        assert queue.producer.append_lines(lines, 2) == Taken(2, len(lines), 0)
        assert notified(queue) == [2]


def test_a_frame_holds_as_many_bytes_as_its_capacity_and_no_more() -> None:
    with queue_of(capacity=64, records=9) as queue:
        queue.producer.append(record(0, 40))
        queue.producer.append(record(1, 24))
        assert notified(queue) == [], "it is full to the last byte"
        queue.producer.append(record(2))
        assert notified(queue) == [0]
        queue.producer.append(record(3, 64 - len(record(2)) + 1))
        assert notified(queue) == [1], "one byte is missing"
        assert sorted(audit(queue)) == [0, 1, 2, 3]


def test_a_frame_without_room_for_the_next_record_is_announced() -> None:
    with queue_of(capacity=64, records=9) as queue:
        queue.producer.append(record(0, 40))
        queue.producer.append(record(1, 40))
        assert notified(queue) == [0]


def test_a_frame_that_is_due_is_announced() -> None:
    with queue_of(records=9, interval=INTERVAL) as queue:
        queue.producer.append(record(0))
        now = time.monotonic()
        assert 0 < queue.producer.seal_due(now) <= INTERVAL
        assert notified(queue) == []
        assert queue.producer.seal_due(now + INTERVAL) == INTERVAL
        assert notified(queue) == [0]


def test_a_frame_is_due_at_the_moment_that_its_writer_names() -> None:
    with queue_of(records=9, interval=INTERVAL) as queue:
        queue.producer.append(record(0))
        (writer,) = idle_writers(queue)
        assert queue.producer.seal_due(writer.due - 1.0) == 1.0
        assert queue.arena.all_in(READY) == []
        queue.producer.seal_due(writer.due)
        assert queue.arena.all_in(READY) == [0]


@pytest.mark.parametrize("call", ["seal_due", "seal", "flush"])
def test_an_interrupted_append_is_sealed_and_announced(call: str) -> None:
    """Ctrl-C came between two steps: no thread knows the writer any more."""
    with queue_of(records=9, interval=INTERVAL) as queue:
        queue.producer.append(record(0))
        idle_writers(queue).clear()
        assert queue.arena.all_in(READY) == []
        match call:
            case "seal_due":
                queue.producer.seal_due(time.monotonic() + INTERVAL)
            case "seal":
                queue.producer.seal()
            case "flush":
                assert queue.producer.flush(0) == 1
        assert queue.arena.all_in(READY) == [0]
        assert notified(queue) == [0]
        assert not queue.producer.has_open
        assert queue.producer.flush(0) == 1, "it is still pending"
        assert audit(queue) == [0]


def test_a_frame_that_a_thread_is_writing_to_is_sealed_soon_after() -> None:
    with queue_of(records=9, interval=INTERVAL) as queue:
        queue.producer.append(record(0))
        writer = idle_writers(queue).pop()  # as `append` does
        assert queue.producer.seal_due(time.monotonic() + INTERVAL) < 1
        assert queue.arena.all_in(READY) == []
        idle_writers(queue).append(writer)
        queue.producer.seal_due(time.monotonic() + INTERVAL)
        assert queue.arena.all_in(READY) == [0]


def test_a_frame_that_is_handed_back_is_announced() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        notified(queue)
        queue.worker.hand_back(claim(queue, 0))
        assert notified(queue) == [0]


def test_a_waiting_frame_that_is_due_is_announced() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        frame = claim(queue, 0)
        notified(queue)
        frame.aim(frame.length, NOW)
        frame.postpone(NOW, NOW + 10)
        assert queue.worker.look(NOW + 9) == NOW + 10
        assert notified(queue) == []
        assert queue.worker.look(NOW + 10) is None
        assert notified(queue) == [0]


def test_a_retry_now_announces_what_the_platform_allows() -> None:
    now = clock.now()
    with queue_of() as queue:
        for number in range(2):
            queue.producer.append(record(number))
        first, second = claim_all(queue)
        notified(queue)
        for frame, not_before in ((first, now), (second, now + 10**12)):
            frame.aim(frame.length, now)
            frame.postpone(now, now + 10**12, not_before)
        queue.worker.retry_now()
        assert notified(queue) == [first.number]
        assert queue.arena.all_in(READY) == [first.number]


def test_the_frame_of_a_dead_process_is_announced() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        notified(queue)
        assert in_a_child(lambda: claim_all(queue)) == 0
        assert queue.arena.state(0) == SENDING
        queue.work.notify(3)
        queue.worker.look(NOW)
        assert notified(queue) == [3, 0], "though another notification was unread"


def test_a_frame_whose_notification_was_lost_is_announced_again() -> None:
    with queue_of() as queue:
        for number in range(2):
            queue.producer.append(record(number))
        notified(queue)
        queue.worker.look(NOW)
        assert notified(queue) == [0, 1]


def test_frames_are_not_announced_again_while_notifications_are_unread() -> None:
    with queue_of() as queue:
        for number in range(2):
            queue.producer.append(record(number))
        for _ in range(3):
            queue.worker.look(NOW)
        assert notified(queue) == [0, 1]


def test_each_waiter_for_settled_frames_is_notified() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        queue.worker.settle(claim(queue, 0))
        assert not queue.room.has_notifications(), "nobody waits"
        queue.arena.wanted_until = time.monotonic_ns() + 10**10
        queue.producer.append(record(1))
        frame = claim(queue, 0)
        assert not queue.room.has_notifications()
        queue.worker.settle(frame)
        assert queue.room.has_notifications()


def test_a_waiter_that_leaves_room_notifies_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "_LOOK_SECONDS", 60.0)
    with queue_of(4) as queue:
        for number in range(4):
            queue.producer.append(record(number))
        waiters = [
            threading.Thread(target=queue.producer.append, args=(record(number), 20.0))
            for number in range(4, 7)
        ]
        for each in waiters:
            each.start()
        wait_until(lambda: len(queue._lifetime.visitors) == 3)
        for number in range(4):
            frame = claim(queue, number)
            frame.advance(frame.length)
            queue.worker.settle_delivered(frame, frame.length)
            queue.worker.free([frame])
        assert queue.room.notify()
        for each in waiters:
            each.join(10)
            assert not each.is_alive(), "one notification is enough for all"
        assert sorted(audit(queue)) == [4, 5, 6]


def test_a_waiter_that_takes_the_last_frame_notifies_nobody() -> None:
    with queue_of(1) as queue:
        queue.producer.append(record(0))
        waiter = threading.Thread(target=queue.producer.append, args=(record(1), 20.0))
        waiter.start()
        wait_until(lambda: len(queue._lifetime.visitors) == 1)
        queue.worker.settle(claim(queue, 0))
        waiter.join(10)
        assert not waiter.is_alive()
        assert not queue.room.has_notifications()
        assert audit(queue) == [1]


def test_a_waiter_says_that_it_waits_before_it_looks() -> None:
    """Else a frame that is settled between its look and its wait would not be noticed."""
    with queue_of(1) as queue:
        queue.producer.append(record(0))
        seen: list[bool] = []
        arena: Any = queue.arena
        find = Arena.find

        def found(*arguments: Any) -> int:
            seen.append(arena.wanted_until > time.monotonic_ns())
            if len(seen) == 2:
                queue.worker.settle(claim(queue, 0))
            return find(arena, *arguments)

        arena.find = found
        queue.producer.append(record(1), 5.0)
        assert seen[1:], "it waited"
        assert all(seen[1:])
        del arena.find
        assert audit(queue) == [1]


def test_a_fetch_claims_the_announced_frame_only() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        queue.producer.append(record(1))
        frame = queue.worker.fetch()
        assert frame is not None
        assert frame.number == 0
        assert queue.arena.state(1) == READY
        queue.worker.settle(frame)
        queue.work.notify(0)
        assert queue.worker.fetch() is not None, "the notification of frame 1 comes first"
        assert queue.worker.fetch() is None, "frame 0 is free"


def test_a_fetch_tries_again_when_another_process_is_looking_at_the_frame() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        looked = iter([False, True])
        locks: Any = queue.arena.locks
        acquire = locks.acquire
        locks.acquire = lambda *arguments: next(looked) and acquire(*arguments)
        frame = queue.worker.fetch()
        del locks.acquire
        assert frame is not None
        queue.worker.settle(frame)
        assert_clean(queue)


def test_a_sweep_reports_what_is_ready_and_nothing_else() -> None:
    with queue_of(6, records=9) as queue:

        def fill_nothing() -> None:
            queue.producer.append(record(0))
            queue.arena.wipe(0, 0, 64)

        def fill() -> None:
            queue.producer.append(record(1))

        assert in_a_child(fill_nothing) == 0
        assert janitor.sweep(queue.arena) == []
        assert queue.arena.state(0) == FREE
        assert in_a_child(fill) == 0
        assert janitor.sweep(queue.arena) == [0]
        assert janitor.sweep(queue.arena) == [], "it is READY, and has no owner to look for"
        assert audit(queue) == [1]


def test_waiting_frames_are_due_in_the_order_of_their_times() -> None:
    with queue_of() as queue:
        for number in range(2):
            queue.producer.append(record(number))
        for frame, due in zip(claim_all(queue), (NOW + 20, NOW + 10), strict=True):
            frame.aim(frame.length, NOW)
            frame.postpone(NOW, due)
        assert queue.worker.look(NOW) == NOW + 10
        assert queue.worker.look(NOW + 10) == NOW + 20
        assert queue.worker.look(FAR_FUTURE) is None


# A flush


def test_a_flush_retries_what_waits_for_its_next_attempt() -> None:
    now = clock.now()
    with queue_of() as queue:
        queue.producer.append(record(0))
        frame = claim(queue, 0)
        notified(queue)
        frame.aim(frame.length, now)
        frame.postpone(now, now + 10**12, now)
        assert queue.producer.flush(0) == 1
        assert notified(queue) == [0]


@pytest.mark.parametrize("name", ["_open", "_sealed"])
def test_a_flush_forgets_no_frame_that_another_thread_seals_at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with queue_of(records=9) as queue:
        queue.producer.append(record(0))
        pool: Any = queue.producer._pool
        claims = getattr(pool, name)

        class Claims(dict[Any, Any]):
            """Lets another thread seal all frames before this is looked at."""

            def copy(self) -> dict[Any, Any]:
                monkeypatch.undo()
                queue.producer.seal()
                return dict(claims)

        monkeypatch.setattr(pool, name, Claims(claims))
        opened, sealed = pool.claims()
        assert queue.arena.all_in(READY) == [0], "it was sealed meanwhile"
        assert (0, 1) in [*opened, *sealed]
        assert audit(queue) == [0]


def test_an_event_that_is_too_large_leaves_the_open_frame_open() -> None:
    with queue_of(capacity=64, records=9) as queue:
        queue.producer.append(record(0))
        with pytest.raises(EventError):
            queue.producer.append(record(1, 65))
        assert len(idle_writers(queue)) == 1
        queue.producer.append(record(2))
        queue.producer.seal()
        assert queue.arena.all_in(READY) == [0], "the same frame"
        assert audit(queue) == [0, 2]


def test_a_call_that_waits_for_room_ends_when_no_worker_can_run() -> None:
    class NoWorkers:
        def ensure_started(self) -> None:
            pass

        def forked(self) -> None:
            pass

        def waiting(self, call: str, seconds: float) -> None:
            pass

        def unavailable_reason(self) -> str:
            return "no worker can be started"

    with queue_of(frames=1) as queue:
        queue.producer.append(record(0))
        queue.companion = NoWorkers()
        with pytest.raises(AbandonedError, match="no worker can be started"):
            queue.producer.append(record(1))
        queue.companion = NoCompanion()
        assert audit(queue) == [0]
