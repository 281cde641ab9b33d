"""A fork at any moment: each record of the child and of the parent arrives once."""

import ctypes
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial

import pytest

from dataart_mp.queue import RecordQueue
from tests.queue.internals import (
    FILLING,
    READY,
    ForkGuard,
    NoCompanion,
    idle_writers,
    make_guard,
    make_pid_guard,
)
from tests.queue.interrupts import everywhere
from tests.queue.tools import (
    SharedCounts,
    audit,
    claim_all,
    die,
    fork,
    in_a_child,
    number_of,
    queue_of,
    reap,
    record,
    run_threads,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

ForkInto = Callable[[Callable[[], object]], int]
"""Calls a function in a forked child, and returns its exit code."""


def test_a_forked_child_opens_a_separate_frame() -> None:
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))
        assert in_a_child(partial(queue.producer.append, record(1))) == 0
        assert len(queue.arena.all_in(FILLING)) == 2
        queue.producer.append(record(2))
        assert queue.producer.flush(0) == 2, "flush does not wait for the child's records"
        assert sorted(audit(queue)) == [0, 1, 2]


def test_a_forked_child_seals_only_its_frames_and_none_of_its_parent() -> None:
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))

        def child() -> None:
            queue.producer.append(record(1))
            queue.producer.seal()
            assert len(queue.arena.all_in(READY)) == 1
            queue.producer.seal_due(1e9)
            assert queue.producer.flush(0) == 1
            queue.close()

        assert in_a_child(child) == 0
        assert len(queue.arena.all_in(FILLING)) == 1
        queue.producer.append(record(2))
        assert sorted(audit(queue)) == [0, 1, 2]


def test_a_child_that_only_closes_the_queue_releases_no_lock_of_its_parent() -> None:
    """Closing a descriptor releases only the locks of the process that closes it."""
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))
        frame = queue.arena.all_in(FILLING)[0]
        assert in_a_child(queue.close) == 0

        def check_owner() -> None:
            assert queue.arena.locks.owner(frame) == os.getppid()

        assert in_a_child(check_owner) == 0


def test_a_grandchild_works_as_a_child() -> None:
    with queue_of(records=5) as queue:

        def child() -> None:
            queue.producer.append(record(1))
            assert in_a_child(partial(queue.producer.append, record(2))) == 0
            queue.producer.append(record(3))

        queue.producer.append(record(0))
        assert in_a_child(child) == 0
        assert sorted(audit(queue)) == [0, 1, 2, 3]


def test_forks_while_other_threads_append() -> None:
    """Fork forty times; each child appends and ends without closing the queue."""
    children, threads = 40, 4
    over = threading.Event()
    with queue_of(3000, 2000, records=7) as queue:
        counts = [0] * threads

        def emit(thread: int) -> None:
            while not over.is_set() and counts[thread] < 4000:
                queue.producer.append(record(thread * 4000 + counts[thread]))
                counts[thread] += 1

        busy = [
            threading.Thread(target=emit, args=[thread], daemon=True) for thread in range(threads)
        ]
        for each in busy:
            each.start()
        for child in range(children):
            time.sleep(0.002)

            def work(first: int = 100_000 + 10 * child) -> None:
                for number in range(first, first + 10):
                    queue.producer.append(record(number))

            assert in_a_child(work) == 0
        over.set()
        for each in busy:
            each.join()
        mine = [
            thread * 4000 + number for thread in range(threads) for number in range(counts[thread])
        ]
        theirs = [*range(100_000, 100_000 + 10 * children)]
        assert sorted(audit(queue)) == mine + theirs
        assert len(mine) > 1000


def in_a_child_without_hooks(work: Callable[[], object]) -> int:
    """Fork as C code such as uWSGI does: Python does not notice, and runs no hook.

    PyDLL keeps the interpreter's lock, so that the child's only thread holds it. If the parent has
    other threads, the interpreter itself hangs in such a child.
    """
    sys.stderr.flush()
    libc = ctypes.PyDLL(None)
    pid = libc.fork()
    if pid:
        assert isinstance(pid, int)
        return reap(pid)
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


@pytest.mark.parametrize("fork_into", [in_a_child, in_a_child_without_hooks])
def test_a_forked_child_cannot_settle_what_its_parent_got(fork_into: ForkInto) -> None:
    with queue_of() as queue:
        queue.put(record(0))
        queue.get()

        def child() -> None:
            with pytest.raises(ValueError, match="too many times"):
                queue.task_done()

        assert fork_into(child) == 0
        assert queue.stats().delivered == 0
        queue.task_done()
        assert queue.stats().delivered == 1


def test_the_guard_detects_a_fork_that_skips_the_hooks() -> None:
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))
        assert in_a_child_without_hooks(partial(queue.producer.append, record(1))) == 0
        assert in_a_child_without_hooks(partial(queue.producer.append_alone, record(2))) == 0
        queue.producer.append(record(3))
        assert sorted(audit(queue)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "call",
    [
        lambda queue: queue.producer.seal(),
        lambda queue: queue.producer.seal_due(1e9),
        lambda queue: queue.producer.flush(0),
        lambda queue: queue.close(),
        lambda queue: queue.stats(),
        lambda queue: queue.qsize(),
        lambda queue: queue.full(),
    ],
    ids=["seal", "seal_due", "flush", "close", "stats", "qsize", "full"],
)
def test_no_method_of_a_child_without_hooks_touches_the_parents_frame(
    call: Callable[[RecordQueue], object],
) -> None:
    """A uWSGI worker that has never emitted calls them when it exits."""
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))
        frame = queue.arena.all_in(FILLING)[0]
        assert in_a_child_without_hooks(partial(call, queue)) == 0
        assert queue.arena.all_in(FILLING) == [frame]
        queue.producer.append(record(1))
        assert audit(queue) == [0, 1]


def test_the_threads_of_a_child_without_hooks_rebuild_the_queue_once() -> None:
    """The first thread resets the parent's state; the others wait, and lose no record."""

    class Rebuilt(NoCompanion):
        times = 0

        def forked(self) -> None:
            time.sleep(0.01)
            self.times += 1

    with queue_of(20, 256, records=50) as queue:
        queue.companion = rebuilt = Rebuilt()
        queue.producer.append(record(0))

        def child() -> None:
            appends = [partial(queue.producer.append, record(1 + thread)) for thread in range(8)]
            run_threads(appends)
            assert rebuilt.times == 1
            own = len(queue.arena.all_in(FILLING)) - 1
            assert len(idle_writers(queue)) == own, "no writer is lost"

        assert in_a_child_without_hooks(child) == 0
        queue.producer.append(record(9))
        assert sorted(audit(queue)) == [*range(10)]


def test_a_child_whose_companion_fails_does_not_keep_the_parents_writers() -> None:
    class Broken(NoCompanion):
        def forked(self) -> None:
            raise OSError("broken")

    with queue_of(records=5) as queue:
        queue.companion = Broken()
        queue.producer.append(record(0))

        def child() -> None:
            with pytest.raises(OSError, match="broken"):
                queue.producer.append(record(7))
            queue.producer.append(record(1))

        assert in_a_child_without_hooks(child) == 0
        queue.producer.append(record(2))
        assert sorted(audit(queue)) == [0, 1, 2]


@pytest.mark.parametrize("make", [make_guard, make_pid_guard])
def test_a_guard_is_true_in_the_process_that_armed_it_and_false_in_each_child(
    make: Callable[[], ForkGuard],
) -> None:
    armed = make()

    def is_armed() -> bool:
        return bool(armed[0])

    assert not is_armed()
    armed[0] = 1
    assert is_armed()

    def child() -> None:
        assert not is_armed()
        armed[0] = 1
        assert is_armed()
        assert in_a_child(lambda: die() if is_armed() else None) == 0

    assert in_a_child(child) == 0
    assert in_a_child_without_hooks(child) == 0
    assert is_armed()


def test_a_signal_handler_may_fork_in_the_middle_of_an_append() -> None:
    """The child returns from the handler into an append that holds a writer of its parent."""
    outcome = SharedCounts()
    for interrupted_by in everywhere(real=True, within="append"):
        with queue_of(8, 64, records=3) as queue:
            children: list[int] = []

            def fork_child(children: list[int] = children) -> None:
                children.append(os.fork())

            try:
                with interrupted_by(fork_child):
                    for number in range(4):
                        queue.producer.append(record(number))
                        if children == [0]:
                            break
                if children == [0]:
                    queue.producer.append(record(8))
                    outcome.add(0)
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                if children == [0]:
                    os._exit(0)
            if children:
                assert reap(children[0]) == 0
                assert outcome[0] == 1
                outcome.clear()
            arrived = audit(queue)
            duplicates = {number for number in arrived if arrived.count(number) == 2}
            assert sorted({*arrived}) == [*range(4)] + [8] * len(children)
            assert len(duplicates) <= 1, "only the call that returned in both processes"
            assert len(arrived) - len({*arrived}) == len(duplicates)


def test_a_process_that_forks_keeps_the_frames_it_has_claimed() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        (frame,) = claim_all(queue)
        pid = fork(lambda: None)
        assert reap(pid) == 0
        assert queue.arena.locks.owner(0) == os.getpid()
        queue.worker.settle(frame)
        assert number_of(record(3)) == 3
        assert audit(queue) == []
