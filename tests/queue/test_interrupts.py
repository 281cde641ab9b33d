"""Exceptions and re-entrance at any point lose no record whose append returned; no call hangs."""

import contextlib
import gc
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from queue import Empty
from types import FrameType

import pytest

from dataart_mp.errors import ClosedError
from dataart_mp.queue import RecordQueue
from tests.queue.internals import NoCompanion, janitor, release_got_records, shorten_waits
from tests.queue.interrupts import Interruption, ctrl_c, everywhere, is_inside, points
from tests.queue.tools import (
    SharedCounts,
    audit,
    descriptors,
    drain,
    fork,
    in_a_child,
    kill,
    number_of,
    queue_of,
    reap,
    record,
    serve,
)

LATE = 1e9  # monotonic, seconds: all frames are due by then


def append_five(queue: RecordQueue, returned: list[int]) -> None:
    """Open frames; fill one by count, replace one that has no room, and leave one open."""
    for number, width in enumerate([0, 0, 0, 40, 40]):
        queue.producer.append(record(number, width))
        returned.append(number)


def append_identities(queue: RecordQueue, returned: list[int]) -> None:
    for number in range(2):
        queue.producer.append_alone(record(number))
        returned.append(number)


def append_and_seal(queue: RecordQueue, returned: list[int]) -> None:
    for number in range(2):
        queue.producer.append(record(number))
        returned.append(number)
        queue.producer.seal()


def append_and_seal_due(queue: RecordQueue, returned: list[int]) -> None:
    queue.producer.append(record(0))
    returned.append(0)
    queue.producer.seal_due(LATE)


def append_and_flush(queue: RecordQueue, returned: list[int]) -> None:
    queue.producer.append(record(0))
    returned.append(0)
    queue.producer.flush(0)


def append_and_count(queue: RecordQueue, returned: list[int]) -> None:
    queue.producer.append(record(0))
    returned.append(0)
    queue.stats()
    queue.qsize()


WORKS = [
    append_five,
    append_identities,
    append_and_seal,
    append_and_seal_due,
    append_and_flush,
    append_and_count,
]
works = pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)


@points
@works
def test_ctrl_c_at_any_point_loses_no_record_whose_append_returned(
    work: Callable[[RecordQueue, list[int]], None], real: bool
) -> None:
    """It also leaks no frame, even if the traceback is kept as in a REPL."""
    for interrupted_by in everywhere(real=real):
        with queue_of(records=3) as queue:
            returned: list[int] = []
            kept: list[BaseException] = []
            with interrupted_by(ctrl_c):
                try:
                    work(queue, returned)
                except KeyboardInterrupt as error:
                    kept.append(error)
            queue.producer.append(record(9))
            numbers = audit(queue)
            assert len(numbers) == len(set(numbers)), "no record is duplicated"
            extra = set(numbers) - {*returned, 9}
            assert {*returned, 9} <= set(numbers), "no record is lost"
            assert extra <= {len(returned)}, "at most the record of the interrupted call"


def test_a_queue_of_one_frame_survives_ctrl_c_at_any_point() -> None:
    """A leaked frame would block the next append forever, because there is no other frame."""
    for interrupted_by in everywhere():
        with queue_of(1, records=3) as queue:
            returned: list[int] = []
            with interrupted_by(ctrl_c), suppress(KeyboardInterrupt):
                append_and_seal_due(queue, returned)
            first = drain(queue)
            queue.producer.append(record(9), timeout=5)
            assert {*returned, 9} <= set(first + audit(queue)) <= {0, 9}


@points
def test_ctrl_c_at_any_point_of_get_and_task_done_loses_no_record(real: bool) -> None:
    for interrupted_by in everywhere(real=real):
        with queue_of(records=2) as queue:
            for number in range(3):
                queue.put(record(number))
            done: list[int] = []
            kept: list[BaseException] = []
            with interrupted_by(ctrl_c):
                try:
                    while True:
                        done.append(number_of(queue.get(block=False)))
                        queue.task_done()
                except KeyboardInterrupt as error:
                    kept.append(error)
                except Empty:
                    pass
            release_got_records(queue)  # as if their threads had ended
            assert set(done) | set(audit(queue)) == {0, 1, 2}


@points
def test_a_sweep_that_ctrl_c_interrupts_is_completed_by_the_next_one(real: bool) -> None:
    for interrupted_by in everywhere(real=real):
        with queue_of(records=3) as queue:
            for first in (0, 2):

                def die_with_two(first: int = first) -> None:
                    for number in (first, first + 1):
                        queue.producer.append(record(number))

                assert in_a_child(die_with_two) == 0
            with interrupted_by(ctrl_c), suppress(KeyboardInterrupt):
                janitor.sweep(queue.arena)
            assert sorted(audit(queue)) == [0, 1, 2, 3]
            other = fork(lambda: None if janitor.sweep(queue.arena) == [] else os.abort())
            assert reap(other) == 0


def test_a_close_that_ctrl_c_interrupts_is_completed_by_the_next_one() -> None:
    before = descriptors()
    for interrupted_by in everywhere(real=True):
        queue = RecordQueue(2, 64, records=3)
        queue.producer.append(record(0))
        with interrupted_by(ctrl_c), suppress(KeyboardInterrupt):
            queue.close()
        queue.close()
        assert repr(queue) == "<RecordQueue closed>"
    assert descriptors() == before


def test_a_companion_whose_start_was_interrupted_is_started_by_the_next_append() -> None:
    """Otherwise, after Ctrl-C in the first append, no worker would fetch the records."""

    class Starter(NoCompanion):
        started = 0

        def ensure_started(self) -> None:
            if not self.started:
                self.started = 1
                raise KeyboardInterrupt
            self.started = 2

    with queue_of() as queue:
        queue.companion = starter = Starter()
        with pytest.raises(KeyboardInterrupt):
            queue.producer.append(record(0))
        queue.producer.append(record(1))
        assert starter.started == 2
        assert audit(queue) == [1]


def test_other_threads_wait_until_the_companion_has_started() -> None:
    """No record is accepted before there is a worker that outlives this process."""
    starting, proceed = threading.Event(), threading.Event()

    class Slow(NoCompanion):
        done = 0

        def ensure_started(self) -> None:
            starting.set()
            assert proceed.wait(10)
            self.done += 1

    with queue_of() as queue:
        queue.companion = slow = Slow()
        seen: list[int] = []

        def emit() -> None:
            queue.producer.append(record(0))
            seen.append(slow.done)

        threads = [threading.Thread(target=emit) for _ in range(2)]
        for thread in threads:
            thread.start()
            assert starting.wait(10)
        time.sleep(0.05)
        assert seen == []
        proceed.set()
        for thread in threads:
            thread.join()
        assert seen == [1, 1]


@points
@works
def test_a_signal_handler_may_append_at_any_point(
    work: Callable[[RecordQueue, list[int]], None], real: bool
) -> None:
    for interrupted_by in everywhere(real=real):
        with queue_of(6, records=3) as queue:
            returned: list[int] = []
            with interrupted_by(partial(queue.producer.append, record(9))) as interruption:
                work(queue, returned)
            assert sorted(audit(queue)) == returned + [9] * interruption.happened


def test_a_signal_handler_may_seal_and_query_the_queue_at_any_point_of_an_append() -> None:
    calls: list[Callable[[RecordQueue], object]] = [
        lambda queue: queue.producer.seal(),
        RecordQueue.stats,
        RecordQueue.qsize,
        repr,
    ]
    for call in calls:
        for interrupted_by in everywhere(real=True):
            with queue_of(6, records=3) as queue:
                returned: list[int] = []
                with interrupted_by(partial(call, queue)):
                    append_five(queue, returned)
                assert sorted(audit(queue)) == returned


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_waits(monkeypatch, interrupted=0.02, look=0.005, close=0.02)


@pytest.mark.usefixtures("short_waits")
def test_a_signal_handler_may_flush_at_any_point_of_an_append_and_does_not_hang() -> None:
    """A handler of SIGTERM typically does so; it cannot wait for the call that it interrupts."""
    for interrupted_by in everywhere(real=True):
        with queue_of(6, records=3) as queue:
            worker = fork(partial(serve, queue))

            def flush(queue: RecordQueue = queue) -> None:
                # Only the interrupted frame may still be pending at the end; on a busy machine the
                # worker may need more than one of these short waits to deliver the other one.
                while queue.producer.flush() > 3:
                    pass

            with interrupted_by(flush):
                append_five(queue, [])
            assert queue.producer.flush(10) == 0
            stats = queue.stats()
            assert (stats.accepted, stats.delivered) == (5, 5)
            kill(worker)


@pytest.mark.usefixtures("short_waits")
def test_a_signal_handler_may_close_the_queue_at_any_point_of_an_append() -> None:
    """Records whose append has returned are in the arena; the other calls raise ValueError."""
    not_interrupted = 3
    returned = SharedCounts()
    for at in itertools.count():
        with queue_of(6, records=3) as queue:

            def child(queue: RecordQueue = queue, at: int = at) -> None:
                before = descriptors()
                with Interruption(at, queue.close, real=True) as interruption, suppress(ValueError):
                    for number, width in enumerate([0, 0, 0, 40, 40]):
                        queue.producer.append(record(number, width))
                        returned.add(number)
                if not interruption.happened:
                    os._exit(not_interrupted)
                with pytest.raises(ClosedError):
                    queue.producer.append(record(9))
                # Two pipes, the arena, and the duplicate that Python's mmap makes of it.
                assert len(before - descriptors()) == 7

            # In a child: its parent still has the arena, and can check the records.
            ended = in_a_child(child)
            numbers = audit(queue)
            assert len(numbers) == len(set(numbers))
            assert (
                returned.numbers() <= set(numbers) <= {*returned.numbers(), len(returned.numbers())}
            )
            returned.clear()
        if ended == not_interrupted:
            assert at
            return
        assert ended == 0, f"at {at}"


class Emitter:
    """Appends when the garbage collector collects it, which happens at any time."""

    def __init__(self, queue: RecordQueue, number: int) -> None:
        self._queue = queue
        self._number = number
        self._cycle = self

    def __del__(self) -> None:
        self._queue.producer.append(record(self._number))


def test_a_finalizer_may_append_in_the_middle_of_an_append() -> None:
    thresholds = gc.get_threshold()
    with queue_of(200, 4096, records=100) as queue:
        gc.set_threshold(5)
        try:
            for number in range(0, 6000, 2):
                Emitter(queue, number)
                queue.producer.append(record(number + 1))
        finally:
            gc.set_threshold(*thresholds)
        gc.collect()
        assert sorted(audit(queue)) == [*range(6000)]


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Keep the garbage collector from running.

    It may run in the middle of an append, and calls finalizers and callbacks of other libraries
    (hypothesis has one). Python drops an exception that a signal handler raises in one of them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def many_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Send SIGUSR1 to this process several thousand times per second."""
    target = os.getpid()

    def send() -> None:
        rng = random.Random(7)
        while os.getppid() == target:
            os.kill(target, signal.SIGUSR1)
            time.sleep(rng.random() * 2e-4)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = fork(send)
    try:
        yield
    finally:
        kill(sender)
        signal.signal(signal.SIGUSR1, before)


def emit_for(seconds: float, emit: Callable[[int], object]) -> int:
    """Call `emit` with 0, 1, 2 and so on for this time; return how often it was called."""
    end = time.monotonic() + seconds
    for number in itertools.count():
        if number == 50_000 or time.monotonic() > end:
            return number
        emit(number)
    raise AssertionError("not reached")


def test_many_ctrl_c_in_quick_succession_lose_no_record_and_leak_no_frame() -> None:
    interrupted: list[int] = []
    returned: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if is_inside(frame):
            raise KeyboardInterrupt

    with queue_of(4000, 1024, records=20) as queue:

        def emit(number: int) -> None:
            try:
                queue.producer.append(record(number))
                returned.append(number)
            except KeyboardInterrupt:
                interrupted.append(number)

        with without_collection(), many_signals(interrupt):
            count = emit_for(1.0, emit)
        numbers = audit(queue)
        assert len(interrupted) > 50
        assert len(numbers) == len(set(numbers))
        assert set(returned) <= set(numbers) <= set(range(count))


def test_many_signal_handlers_that_append_lose_and_duplicate_no_record() -> None:
    handled = itertools.count(1_000_000)
    last = 1_000_000

    with queue_of(4000, 1024, records=20) as queue:

        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal last
            last = next(handled)
            queue.producer.append(record(last))

        with many_signals(handle):
            count = emit_for(1.0, lambda number: queue.producer.append(record(number)))
        assert last > 1_000_050
        assert sorted(audit(queue)) == [*range(count), *range(1_000_000, last + 1)]
