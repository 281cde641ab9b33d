"""Closing a queue: records are still delivered, no call hangs, and no descriptor leaks."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

import pytest

from dataart_mp.errors import ClosedError
from dataart_mp.queue import RecordQueue
from tests.queue.internals import READY, FrameWriter, janitor
from tests.queue.tools import (
    audit,
    claim_all,
    descriptors,
    drain,
    fork,
    in_a_child,
    kill,
    queue_of,
    record,
    run_threads,
)
from tests.support import wait_until

# Two pipes, the arena, and the duplicate of it that Python's mmap makes.
DESCRIPTORS = 7  # two pipes, the lock file, the arena, and the mapping's duplicate of it


def test_a_closed_queue_holds_no_descriptor() -> None:
    before = descriptors()
    for _ in range(20):
        queue = RecordQueue(4, 64, records=3)
        queue.producer.append(record(0))
        queue.put(record(1))
        queue.get()
        queue.producer.flush(0)
        queue.stats()
        queue.close()
    assert descriptors() == before


def test_a_forked_child_that_closes_a_queue_holds_no_descriptor_of_it() -> None:
    with queue_of() as queue:

        def child() -> None:
            before = descriptors()
            queue.producer.append(record(0))
            queue.close()
            assert len(before - descriptors()) == DESCRIPTORS

        assert in_a_child(child) == 0
        assert audit(queue) == [0]


def test_close_seals_open_frames() -> None:
    with queue_of(records=5) as queue:

        def child() -> None:
            queue.producer.append(record(0))
            queue.close()
            time.sleep(60)

        closed = fork(child)
        wait_until(lambda: queue.arena.all_in(READY), 10)
        assert audit(queue) == [0], "sealed by close, although the process still runs"
        kill(closed)


def test_close_releases_records_that_were_got_and_not_done() -> None:
    with queue_of() as queue:
        queue.put(record(0))

        def child() -> None:
            queue.get()
            queue.close()
            time.sleep(60)

        closed = fork(child)
        wait_until(lambda: janitor.sweep(queue.arena), 10)
        assert audit(queue) == [0]
        kill(closed)


@pytest.mark.parametrize(
    "use",
    [
        lambda queue: queue.get(),
        lambda queue: queue.join(),
        lambda queue: queue.producer.flush(),
        lambda queue: queue.producer.append(record(9)),
        lambda queue: queue.producer.append_alone(record(9)),
    ],
    ids=["get", "join", "flush", "append", "append_alone"],
)
def test_close_ends_a_waiting_call_of_another_thread_and_closes_the_descriptors(
    use: Callable[[RecordQueue], object],
) -> None:
    before = descriptors()
    queue = RecordQueue(1, 64)
    queue.producer.append(record(0))  # the queue is full, and no process settles
    queue.get()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            use(queue)
        except BaseException as error:  # noqa: BLE001 - checked below
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    begin = time.monotonic()
    queue.close()
    assert time.monotonic() - begin < 0.5
    thread.join(10)
    assert [type(error) for error in raised] == [ClosedError]
    assert descriptors() == before


def test_no_record_whose_append_returned_is_lost_when_another_thread_closes() -> None:
    for turn in range(25):
        with queue_of(200, 256, records=5) as queue:
            reader, writer = os.pipe()

            def child(queue: RecordQueue = queue, turn: int = turn, writer: int = writer) -> None:
                before = descriptors()
                ready = threading.Barrier(5)
                ends: list[type[BaseException]] = []

                def emit(thread: int) -> None:
                    ready.wait()
                    try:
                        for number in range(thread * 1000, thread * 1000 + 150):
                            queue.producer.append(record(number))
                            os.write(writer, number.to_bytes(2, "little"))
                    except BaseException as error:  # noqa: BLE001 - checked below
                        ends.append(type(error))

                threads = [threading.Thread(target=emit, args=[each]) for each in range(4)]
                for thread in threads:
                    thread.start()
                ready.wait()
                time.sleep(turn * 1e-4)
                queue.close()
                for thread in threads:
                    thread.join()
                assert set(ends) <= {ClosedError}
                assert len(before - descriptors()) == DESCRIPTORS

            assert in_a_child(child) == 0
            os.close(writer)
            with os.fdopen(reader, "rb") as pipe:
                numbers = pipe.read()
            returned = {
                int.from_bytes(numbers[at : at + 2], "little") for at in range(0, len(numbers), 2)
            }
            arrived = audit(queue)
            assert len(arrived) == len(set(arrived))
            assert returned <= set(arrived)


def test_several_threads_may_close_at_the_same_time() -> None:
    before = descriptors()
    for _ in range(30):
        queue = RecordQueue(2, 64)
        queue.producer.append(record(0))
        run_threads([queue.close] * 3)
        assert repr(queue) == "<RecordQueue closed>"
    assert descriptors() == before


def test_a_closed_queue_writes_to_no_descriptor_that_has_reused_its_numbers() -> None:
    queue = RecordQueue(2, 64, records=1)
    queue.producer.append(record(0))
    (frame,) = claim_all(queue)
    work, locks = queue.work, queue.arena.locks
    queue.close()
    ends = [os.pipe() for _ in range(4)]  # they have the same numbers now
    try:
        assert not work.notify(7)
        with pytest.raises(ValueError, match="negative"):
            locks.release(frame.number)
        for reading, _ in ends:
            os.set_blocking(reading, False)
            with pytest.raises(BlockingIOError):
                os.read(reading, 1)
    finally:
        for pair in ends:
            for end in pair:
                os.close(end)


def test_no_process_opens_a_frame_after_the_arena_was_closed_permanently() -> None:
    with queue_of(records=2) as queue:
        queue.producer.append(record(0))
        queue.arena.close_permanently()
        queue.producer.append(record(1))  # a frame that is open accepts what it has room for
        for put in (queue.producer.append, queue.producer.append_alone):
            with pytest.raises(ClosedError):
                put(record(2))
        assert in_a_child(partial(_assert_closed, queue)) == 0
        assert audit(queue) == [0, 1]


def _assert_closed(queue: RecordQueue) -> None:
    with pytest.raises(ClosedError):
        queue.producer.append(record(3))


def test_a_frame_opened_while_the_arena_is_closed_is_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers may have checked the frame before and ended, so no record may be put there."""
    with queue_of(records=2) as queue:
        open_writer = FrameWriter.open

        def open_and_close(*arguments: Any) -> FrameWriter | None:
            queue.arena.close_permanently()
            return open_writer(*arguments)

        monkeypatch.setattr(FrameWriter, "open", open_and_close)
        with pytest.raises(ClosedError):
            queue.producer.append(record(0))
        assert queue.arena.all_free()


def test_an_append_that_waits_for_room_ends_when_the_arena_is_closed() -> None:
    with queue_of(1) as queue:
        queue.producer.append(record(0))
        timer = threading.Timer(0.05, queue.arena.close_permanently)
        timer.start()
        with pytest.raises(ClosedError):
            queue.producer.append(record(1), timeout=10)
        timer.join()
        assert drain(queue) == [0]


def test_a_fork_of_a_closed_queue_is_closed() -> None:
    queue = RecordQueue(2, 64)
    queue.close()

    def child() -> None:
        with pytest.raises(ClosedError):
            queue.producer.append(record(0))
        with pytest.raises((ClosedError, Empty)):
            queue.get_nowait()

    assert in_a_child(child) == 0
