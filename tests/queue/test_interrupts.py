"""Exceptions and re-entrance at any point: nothing that was returned for is lost, nothing hangs."""

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
from dataart_mp.queue import RecordQueue, companion, janitor, lifetime, producer_end
from tests.queue.interrupts import Interruption, ctrl_c, everywhere, is_inside
from tests.queue.tools import (
    Slate,
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

LATE = 1e9  # in seconds, monotonic: everything is due by then


def append_five(queue: RecordQueue, returned: list[int]) -> None:
    """Opens writers, fills one by its count, exchanges one that has no room, leaves one open."""
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


WAYS = [
    append_five,
    append_identities,
    append_and_seal,
    append_and_seal_due,
    append_and_flush,
    append_and_count,
]
ways = pytest.mark.parametrize("work", WAYS, ids=lambda work: work.__name__)
# At every bytecode, or, so that it takes a quarter of the time, wherever the interpreter looks.
points = pytest.mark.parametrize(
    "real",
    [True, pytest.param(False, marks=pytest.mark.soak)],
    ids=["where it looks", "everywhere"],
)


@points
@ways
def test_ctrl_c_at_any_point_loses_nothing_that_append_returned_for(
    work: Callable[[RecordQueue, list[int]], None], real: bool
) -> None:
    """Nor does it leak a frame, although the traceback is kept, as a REPL keeps it."""
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
            assert len(numbers) == len(set(numbers)), "none twice"
            extra = set(numbers) - {*returned, 9}
            assert {*returned, 9} <= set(numbers), "none lost"
            assert extra <= {len(returned)}, "at most the one under way"


def test_a_queue_of_one_frame_survives_ctrl_c_at_any_point() -> None:
    """With no frame to spare, a leaked one would block the next append for ever."""
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
            queue._reader._handed.clear()  # as if their threads had ended
            queue._reader._unread.clear()
            assert set(done) | set(audit(queue)) == {0, 1, 2}


@points
def test_ctrl_c_at_any_point_of_a_sweep_leaves_the_rest_to_the_next_one(real: bool) -> None:
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
            others = fork(lambda: None if janitor.sweep(queue.arena) == [] else os.abort())
            assert reap(others) == 0


def test_ctrl_c_at_any_point_of_close_leaves_the_rest_of_it_to_the_next_close() -> None:
    before = descriptors()
    for interrupted_by in everywhere(real=True):
        queue = RecordQueue(2, 64, records=3)
        queue.producer.append(record(0))
        with interrupted_by(ctrl_c), suppress(KeyboardInterrupt):
            queue.close()
        queue.close()
        assert repr(queue) == "<RecordQueue closed>"
    assert descriptors() == before


def test_an_interrupted_start_of_the_companion_is_made_up_for() -> None:
    """Ctrl-C in the very first append must not leave a process whose records nobody fetches."""

    class Starter(companion.NoCompanion):
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


def test_others_wait_until_the_companion_attends() -> None:
    """No record is accepted before somebody is there who outlives this process."""
    attending, go_on = threading.Event(), threading.Event()

    class Slow(companion.NoCompanion):
        done = 0

        def ensure_started(self) -> None:
            attending.set()
            assert go_on.wait(10)
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
            assert attending.wait(10)
        time.sleep(0.05)
        assert seen == []
        go_on.set()
        for thread in threads:
            thread.join()
        assert seen == [1, 1]


@points
@ways
def test_a_signal_handler_may_append_at_any_point(
    work: Callable[[RecordQueue, list[int]], None], real: bool
) -> None:
    for interrupted_by in everywhere(real=real):
        with queue_of(6, records=3) as queue:
            returned: list[int] = []
            with interrupted_by(partial(queue.producer.append, record(9))) as interruption:
                work(queue, returned)
            assert sorted(audit(queue)) == returned + [9] * interruption.happened


def test_a_signal_handler_may_do_anything_else_at_any_point_of_an_append() -> None:
    deeds: list[Callable[[RecordQueue], object]] = [
        lambda queue: queue.producer.seal(),
        RecordQueue.stats,
        RecordQueue.qsize,
        repr,
    ]
    for deed in deeds:
        for interrupted_by in everywhere(real=True):
            with queue_of(6, records=3) as queue:
                returned: list[int] = []
                with interrupted_by(partial(deed, queue)):
                    append_five(queue, returned)
                assert sorted(audit(queue)) == returned


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer_end, "_INTERRUPTED_SECONDS", 0.02)
    monkeypatch.setattr(lifetime, "_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(lifetime, "_LEAVE_SECONDS", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_signal_handler_may_flush_at_any_point_of_an_append_and_does_not_hang() -> None:
    """The usual handler of SIGTERM: it can't wait for the very call that it has interrupted."""
    for interrupted_by in everywhere(real=True):
        with queue_of(6, records=3) as queue:
            worker = fork(partial(serve, queue))
            left: list[int] = []

            def flush(queue: RecordQueue = queue, left: list[int] = left) -> None:
                left.append(queue.producer.flush())

            with interrupted_by(flush):
                append_five(queue, [])
            assert queue.producer.flush(10) == 0
            assert left == [] or left[0] <= 3, "what is in the interrupted frame is still pending"
            stats = queue.stats()
            assert (stats.accepted, stats.delivered) == (5, 5)
            kill(worker)


@pytest.mark.usefixtures("impatient")
def test_a_signal_handler_may_close_at_any_point_of_an_append() -> None:
    """What append had returned for is in the arena; what it had not raises ValueError."""
    too_late = 3
    returned = Slate()
    for at in itertools.count():
        with queue_of(6, records=3) as queue:

            def child(queue: RecordQueue = queue, at: int = at) -> None:
                before = descriptors()
                with Interruption(at, queue.close, real=True) as interruption, suppress(ValueError):
                    for number, width in enumerate([0, 0, 0, 40, 40]):
                        queue.producer.append(record(number, width))
                        returned.mark(number)
                if not interruption.happened:
                    os._exit(too_late)
                with pytest.raises(ClosedError):
                    queue.producer.append(record(9))
                # Two pipes, the arena, and the duplicate that Python's mmap makes of it.
                assert len(before - descriptors()) == 7

            # In a child: its parent has the arena still, and sees what became of the records.
            ended = in_a_child(child)
            numbers = audit(queue)
            assert len(numbers) == len(set(numbers))
            assert returned.marked() <= set(numbers) <= {*returned.marked(), len(returned.marked())}
            returned.wipe()
        if ended == too_late:
            assert at
            return
        assert ended == 0, f"at {at}"


class Emitter:
    """Emits when it is collected, in a cycle, so that nobody knows when."""

    def __init__(self, queue: RecordQueue, number: int) -> None:
        self._queue = queue
        self._number = number
        self._cycle = self

    def __del__(self) -> None:
        self._queue.producer.append(record(self._number))


def test_a_finalizer_may_append_while_an_append_is_under_way() -> None:
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
def bombarded(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Inside, this process gets SIGUSR1 some thousand times a second."""
    target = os.getpid()

    def bombard() -> None:
        chance = random.Random(7)
        while os.getppid() == target:
            os.kill(target, signal.SIGUSR1)
            time.sleep(chance.random() * 2e-4)

    before = signal.signal(signal.SIGUSR1, handler)
    gun = fork(bombard)
    try:
        yield
    finally:
        kill(gun)
        signal.signal(signal.SIGUSR1, before)


def emit_for(seconds: float, emit: Callable[[int], object]) -> int:
    """Emit record after record; how many."""
    end = time.monotonic() + seconds
    for number in itertools.count():
        if number == 50_000 or time.monotonic() > end:
            return number
        emit(number)
    raise AssertionError("not reached")


def test_a_bombardment_with_ctrl_c_loses_nothing_and_leaks_nothing() -> None:
    hits: list[int] = []
    returned: list[int] = []

    def hit(number: int, frame: FrameType | None) -> None:
        if is_inside(frame):
            raise KeyboardInterrupt

    with queue_of(4000, 1024, records=20) as queue:

        def emit(number: int) -> None:
            try:
                queue.producer.append(record(number))
                returned.append(number)
            except KeyboardInterrupt:
                hits.append(number)

        with bombarded(hit):
            count = emit_for(1.0, emit)
        numbers = audit(queue)
        assert len(hits) > 50
        assert len(numbers) == len(set(numbers))
        assert set(returned) <= set(numbers) <= set(range(count))


def test_a_bombardment_with_handlers_that_append_loses_nothing_and_doubles_nothing() -> None:
    handled = itertools.count(1_000_000)
    last = 1_000_000

    with queue_of(4000, 1024, records=20) as queue:

        def handle(number: int, frame: FrameType | None) -> None:
            nonlocal last
            last = next(handled)
            queue.producer.append(record(last))

        with bombarded(handle):
            count = emit_for(1.0, lambda number: queue.producer.append(record(number)))
        assert last > 1_000_050
        assert sorted(audit(queue)) == [*range(count), *range(1_000_000, last + 1)]
