"""Closing: what was put goes its way, nobody hangs, and no descriptor is left behind."""

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

import pytest

from dataart_mp.errors import ClosedError
from dataart_mp.queue import RecordQueue, janitor
from dataart_mp.queue.arena import READY
from dataart_mp.queue.frame_writer import FrameWriter
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
)


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


def test_a_spawned_or_forked_child_that_closes_holds_none_either() -> None:
    with queue_of() as queue:

        def child() -> None:
            before = descriptors()
            queue.producer.append(record(0))
            queue.close()
            assert (
                len(before - descriptors()) == 7
            )  # two pipes, the lock file, the arena, and mmap's own of it

        assert in_a_child(child) == 0
        assert audit(queue) == [0]


def test_what_was_put_outlives_the_close() -> None:
    with queue_of(records=5) as queue:

        def child() -> None:
            queue.producer.append(record(0))
            queue.close()
            time.sleep(60)

        closed = fork(child)
        deadline = time.monotonic() + 10
        while not queue.arena.all_in(READY):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert audit(queue) == [0], "sealed by the close itself, though the process lives on"
        kill(closed)


def test_what_was_got_and_not_done_goes_back_at_the_close() -> None:
    with queue_of() as queue:
        queue.put(record(0))

        def child() -> None:
            queue.get()
            queue.close()
            time.sleep(60)

        closed = fork(child)
        deadline = time.monotonic() + 10
        while not janitor.sweep(queue.arena):
            assert time.monotonic() < deadline
            time.sleep(0.001)
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
def test_a_thread_that_waits_inside_hears_of_the_close_and_the_descriptors_go(
    use: Callable[[RecordQueue], object],
) -> None:
    before = descriptors()
    queue = RecordQueue(1, 64)
    queue.producer.append(record(0))  # the queue is full, and nobody settles
    queue.get()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            use(queue)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
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


def test_threads_that_append_while_it_is_closed_lose_nothing_that_returned() -> None:
    for turn in range(25):
        with queue_of(200, 256, records=5) as queue:
            hear, told = os.pipe()

            def child(queue: RecordQueue = queue, turn: int = turn, told: int = told) -> None:
                before = descriptors()
                ready = threading.Barrier(5)
                ends: list[type[BaseException]] = []

                def emit(thread: int) -> None:
                    ready.wait()
                    try:
                        for number in range(thread * 1000, thread * 1000 + 150):
                            queue.producer.append(record(number))
                            os.write(told, number.to_bytes(2, "little"))
                    except BaseException as error:  # noqa: BLE001 - looked at below
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
                assert len(before - descriptors()) == 7

            assert in_a_child(child) == 0
            os.close(told)
            with os.fdopen(hear, "rb") as pipe:
                numbers = pipe.read()
            promised = {
                int.from_bytes(numbers[at : at + 2], "little") for at in range(0, len(numbers), 2)
            }
            arrived = audit(queue)
            assert len(arrived) == len(set(arrived))
            assert promised <= set(arrived)


def test_two_threads_may_close_at_once() -> None:
    before = descriptors()
    for _ in range(30):
        queue = RecordQueue(2, 64)
        queue.producer.append(record(0))
        threads = [threading.Thread(target=queue.close) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert repr(queue) == "<RecordQueue closed>"
    assert descriptors() == before


def test_a_closed_queue_writes_to_no_descriptor_that_took_its_numbers() -> None:
    queue = RecordQueue(2, 64, records=1)
    queue.producer.append(record(0))
    (frame,) = claim_all(queue)
    work, locks = queue.work, queue.arena.locks
    queue.close()
    ends = [os.pipe() for _ in range(4)]  # they have the numbers now
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            work.notify(7)
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


def test_once_the_maker_has_closed_it_for_good_no_process_opens_another_frame() -> None:
    with queue_of(records=2) as queue:
        queue.producer.append(record(0))
        queue.arena.close_for_good()
        queue.producer.append(record(1))  # the frame that is open takes what it has room for
        for put in (queue.producer.append, queue.producer.append_alone):
            with pytest.raises(ClosedError):
                put(record(2))
        assert in_a_child(partial(_is_refused, queue)) == 0
        assert audit(queue) == [0, 1]


def _is_refused(queue: RecordQueue) -> None:
    with pytest.raises(ClosedError):
        queue.producer.append(record(3))


def test_a_frame_opened_while_the_maker_closes_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers may have looked before, and gone: a record put there would lie for ever."""
    with queue_of(records=2) as queue:
        open_lane = FrameWriter.open

        def open_and_close(*arguments: Any) -> FrameWriter | None:
            queue.arena.close_for_good()
            return open_lane(*arguments)

        monkeypatch.setattr(FrameWriter, "open", open_and_close)
        with pytest.raises(ClosedError):
            queue.producer.append(record(0))
        assert queue.arena.all_free()


def test_a_put_that_waits_for_room_hears_that_the_maker_closed() -> None:
    with queue_of(1) as queue:
        queue.producer.append(record(0))
        timer = threading.Timer(0.05, queue.arena.close_for_good)
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
