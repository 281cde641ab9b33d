"""Threads share the frame writers of a process: each record arrives exactly once."""

import threading
from collections.abc import Callable
from functools import partial

import pytest

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.internals import FILLING, REQUESTS
from tests.queue.tools import (
    audit,
    claim_all,
    drain,
    fork,
    kill,
    number_of,
    queue_of,
    record,
    run_threads,
    serve,
)

THREADS = 8

pytestmark = pytest.mark.usefixtures("frequent_switches")


def in_threads(work: Callable[[int], object]) -> None:
    """Call `work` in eight threads at the same moment, and raise what it raises."""
    ready = threading.Barrier(THREADS)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            ready.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    run_threads(partial(run, number) for number in range(THREADS))
    for error in raised:
        raise error


@pytest.mark.parametrize("records", [1, 3, 20])
def test_each_record_of_eight_threads_arrives_once(records: int) -> None:
    each = 500
    with queue_of(5000, 256, records=records) as queue:

        def emit(thread: int) -> None:
            for number in range(thread * each, (thread + 1) * each):
                queue.producer.append(record(number))

        in_threads(emit)
        assert queue.stats().pending == THREADS * each
        assert sorted(audit(queue)) == [*range(THREADS * each)]


def test_each_record_of_eight_threads_arrives_once_with_only_four_frames() -> None:
    """The threads wait for free frames, and for the writers of other threads."""
    each = 200
    with queue_of(4, 64, records=3) as queue:
        worker = fork(partial(serve, queue))

        def emit(thread: int) -> None:
            for number in range(each):
                queue.producer.append(record(thread * each + number), timeout=30)

        in_threads(emit)
        assert queue.producer.flush(30) == 0
        stats = queue.stats()
        assert stats.accepted == stats.delivered == THREADS * each
        kill(worker)


def test_threads_that_seal_flush_and_query_disturb_no_thread_that_appends() -> None:
    each = 150
    with queue_of(5000, 256, records=20) as queue:

        def work(thread: int) -> None:
            calls: list[Callable[[], object]] = [
                queue.producer.seal,
                lambda: queue.producer.seal_due(1e9),
                lambda: queue.producer.flush(0),
                queue.stats,
                queue.qsize,
            ]
            for number in range(each):
                if thread < 4:
                    queue.producer.append(record(thread * each + number))
                else:
                    calls[number % len(calls)]()

        in_threads(work)
        assert sorted(audit(queue)) == [*range(4 * each)]


def test_each_record_is_got_by_one_thread() -> None:
    each = 100
    got: list[int] = []
    with queue_of(1000, 256, records=3) as queue:
        for number in range(THREADS * each):
            queue.put(record(number))

        def get_and_settle(thread: int) -> None:
            for _ in range(each):
                got.append(number_of(queue.get(timeout=10)))
                queue.task_done()

        in_threads(get_and_settle)
        assert sorted(got) == [*range(THREADS * each)]
        assert queue.stats().delivered == THREADS * each
        queue.join()


def test_threads_that_count_lose_no_count() -> None:
    with queue_of() as queue:

        def count(thread: int) -> None:
            for _ in range(2000):
                queue.counters.add(REQUESTS)

        in_threads(count)
        assert queue.counters.total(REQUESTS) == 2000 * THREADS


def test_each_frame_is_claimed_by_one_thread() -> None:
    with queue_of(400) as queue:
        for number in range(400):
            queue.producer.append(record(number))
        claimed: list[int] = []
        in_threads(lambda thread: claimed.extend(frame.number for frame in keep(claim_all(queue))))
        assert sorted(claimed) == [*range(400)]
        kept.clear()
        assert sorted(drain(queue)) == [*range(400)]


kept: list[object] = []


def keep(frames: list[Frame]) -> list[Frame]:
    """Keep references to the frames: a frame that is collected is released."""
    kept.extend(frames)
    return frames


def test_flush_waits_for_what_another_thread_seals_meanwhile() -> None:
    """A frame that is sealed while flush lists the open frames must not be missed."""
    with queue_of(100, 64, records=2) as queue:
        for turn in range(200):
            queue.producer.append(record(turn))
            done = threading.Event()

            def fill(queue: RecordQueue = queue, done: threading.Event = done) -> None:
                queue.producer.append(record(1000))
                done.set()

            thread = threading.Thread(target=fill)
            thread.start()
            assert queue.producer.flush(0) >= 1
            thread.join()
            drain(queue)
            assert queue.arena.all_in(FILLING) == []
