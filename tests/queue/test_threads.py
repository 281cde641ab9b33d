"""Threads share the writers of a process: every record is there exactly once."""

import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.arena import FILLING
from dataart_mp.queue.counters import REQUESTS
from tests.queue.tools import (
    audit,
    claim_all,
    drain,
    fork,
    kill,
    number_of,
    queue_of,
    record,
    serve,
)

THREADS = 8


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Let the interpreter change threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def in_threads(work: Callable[[int], object]) -> None:
    """Eight threads that start at the same moment; what one raises is raised here."""
    ready = threading.Barrier(THREADS)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            ready.wait()
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)

    threads = [threading.Thread(target=run, args=[number]) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in raised:
        raise error


@pytest.mark.parametrize("records", [1, 3, 20])
def test_eight_threads_append_and_every_record_is_there_once(records: int) -> None:
    each = 500
    with queue_of(5000, 256, records=records) as queue:

        def emit(thread: int) -> None:
            for number in range(thread * each, (thread + 1) * each):
                queue.producer.append(record(number))

        in_threads(emit)
        assert queue.stats().pending == THREADS * each
        assert sorted(audit(queue)) == [*range(THREADS * each)]


def test_eight_threads_through_four_frames_with_a_worker_behind() -> None:
    """More threads than frames: they wait for room, and for each other's writers."""
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


def test_threads_that_seal_flush_and_count_disturb_no_thread_that_appends() -> None:
    each = 150
    with queue_of(5000, 256, records=20) as queue:

        def work(thread: int) -> None:
            meddle: list[Callable[[], object]] = [
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
                    meddle[number % len(meddle)]()

        in_threads(work)
        assert sorted(audit(queue)) == [*range(4 * each)]


def test_threads_that_get_take_each_record_once() -> None:
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


def test_threads_count_in_the_ledger_and_nothing_is_lost() -> None:
    with queue_of() as queue:

        def count(thread: int) -> None:
            for _ in range(2000):
                queue.counters.add(REQUESTS)

        in_threads(count)
        assert queue.counters.total(REQUESTS) == 2000 * THREADS


def test_threads_claim_each_frame_once() -> None:
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
    """A frame that is dropped is given back: hold on to them."""
    kept.extend(frames)
    return frames


def test_flush_waits_for_what_another_thread_seals_meanwhile() -> None:
    """A writer that changes from open to sealed while flush makes its list must not escape it."""
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
