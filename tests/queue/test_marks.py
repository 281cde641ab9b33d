"""Marks: what is pending of all that a process emitted before, and what became of the rest."""

import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from dataart_mp.errors import ClosedError, DataArtError
from dataart_mp.queue import Frame, RecordQueue, outcomes
from dataart_mp.queue.account import Evicted
from dataart_mp.queue.arena import NOTE_COUNT
from dataart_mp.stats import Outcome
from tests.queue.deaths import at_every_step
from tests.queue.interleavings import in_another_process, with_a_rival_at_every_step
from tests.queue.internals import janitor
from tests.queue.tools import (
    NOW,
    claim,
    claim_all,
    drain,
    in_a_child,
    lines_of,
    number_of,
    put_seven,
    queue_of,
    record,
)

if TYPE_CHECKING:
    from dataart_mp.queue.mark import Mark

Decide = Callable[[int], str]
"""What becomes of the record with a number: "delivered", "rejected" or "failed"."""


def put(queue: RecordQueue, *numbers: int) -> None:
    for number in numbers:
        queue.producer.append(record(number))


def settle(queue: RecordQueue, frame: Frame, decide: Decide) -> None:
    """Finish a frame record by record, as a worker does after it has split a batch."""
    end = frame.account.through
    for line in lines_of(frame):
        end += len(line)
        frame.aim(end, NOW)
        frame.mark_sent()
        verdict = decide(number_of(line))
        frame.advance(end, rejected=verdict == "rejected", failed=verdict == "failed")
    queue.worker.settle(frame)


def settle_all(queue: RecordQueue, decide: Decide) -> None:
    janitor.sweep(queue.arena)
    for frame in claim_all(queue):
        settle(queue, frame, decide)


def join_others(queue: RecordQueue, leader: Frame) -> None:
    queue.worker.join_ready(leader, 100, queue.arena.capacity)
    assert leader.followers


def delivered(number: int) -> str:
    return "delivered"


def every_third(number: int) -> str:
    return ("delivered", "rejected", "failed")[number % 3]


def losses_of(queue: RecordQueue) -> tuple[int, int, int]:
    stats = queue.stats()
    return stats.rejected, stats.failed, stats.parked


def losses(outcome: Outcome) -> tuple[int, int, int]:
    assert outcome.is_exact
    return outcome.rejected, outcome.failed, outcome.parked


# What is pending


def test_a_mark_covers_what_was_emitted_before_it_and_nothing_else() -> None:
    with queue_of(records=3) as queue:
        put(queue, 0, 1, 2, 3)
        mark = queue.mark()
        put(queue, 4, 5, 6)
        assert mark.pending() == 4
        settle(queue, claim(queue, 0), delivered)
        assert mark.pending() == 1, "the second frame holds one record that is covered"
        assert queue.mark().pending() == 4
        settle(queue, claim(queue, 1), delivered)
        assert mark.pending() == 0
        assert queue.mark().pending() == 1


def test_a_mark_seals_nothing_and_many_marks_share_a_frame() -> None:
    with queue_of(records=10) as queue:
        marks = []
        for number in range(5):
            put(queue, number)
            marks.append(queue.mark())
        assert queue.producer.has_idle
        assert [mark.pending() for mark in marks] == [1, 2, 3, 4, 5]


def test_a_frame_that_is_filled_again_does_not_count_for_an_older_mark() -> None:
    with queue_of(1) as queue:
        put(queue, 0)
        mark = queue.mark()
        settle_all(queue, delivered)
        put(queue, 1)
        assert (mark.pending(), queue.mark().pending()) == (0, 1)


def test_a_frame_that_another_process_fills_again_does_not_count() -> None:
    with queue_of(1) as queue:
        put(queue, 0)
        mark = queue.mark()
        settle_all(queue, delivered)
        assert in_a_child(lambda: put(queue, 1)) == os.EX_OK
        assert mark.pending() == 0
        assert queue.stats().pending == 1


def test_a_mark_covers_identities_and_joined_frames() -> None:
    with queue_of() as queue:
        put(queue, 0, 1)
        queue.producer.append_alone(record(2))
        mark = queue.mark()
        leader = claim(queue, 0)
        join_others(queue, leader)
        assert mark.pending() == 3
        settle(queue, leader, delivered)
        assert mark.pending() == 1


def test_dropped_records_are_those_of_this_process_until_the_mark() -> None:
    with queue_of() as queue:
        queue.counters.add(1 + 3, 7)
        mark = queue.mark()
        queue.counters.add(1 + 3, 5)
        assert in_a_child(lambda: queue.counters.add(1 + 3, 11)) == os.EX_OK
        assert (mark.outcome().dropped, queue.mark().outcome().dropped) == (7, 12)
        assert queue.stats().total_dropped == 23


# What became of the rest


def test_each_record_is_counted_for_the_marks_after_it() -> None:
    with queue_of(frames=20, records=4) as queue:
        marks = []
        for number in range(10):
            put(queue, number)
            marks.append(queue.mark())
        queue.producer.seal()
        assert [losses(mark.outcome()) for mark in marks] == [(0, 0, 0)] * 10
        settle_all(queue, every_third)
        windows = [
            marks[after].outcome() - marks[after - 1].outcome() for after in range(1, len(marks))
        ]
        verdicts = [(each.rejected, each.failed) for each in windows]
        assert verdicts == [(1, 0), (0, 1), (0, 0)] * 3


def test_records_that_were_joined_count_for_the_process_that_emitted_them() -> None:
    with queue_of(frames=3, capacity=256, records=3) as queue:
        put(queue, 0, 1, 2)

        def child() -> None:
            put(queue, 3, 4, 5)
            mark = queue.mark()
            leader = claim(queue, 0)
            join_others(queue, leader)
            settle(queue, leader, every_third)
            assert losses(mark.outcome()) == (1, 1, 0)

        mark = queue.mark()
        assert in_a_child(child) == os.EX_OK
        assert losses(mark.outcome()) == (1, 1, 0)
        assert losses_of(queue) == (2, 2, 0)


def test_parked_records_count_as_parked_also_if_they_were_joined() -> None:
    with queue_of(frames=3, capacity=256, records=3) as queue:
        put(queue, 0, 1, 2, 3)
        mark = queue.mark()
        put(queue, 4, 5)
        leader = claim(queue, 0)
        join_others(queue, leader)
        leader.advance(len(lines_of(leader)[0]))
        queue.worker.settle_parked(leader, Evicted(0, 0))
        assert losses(mark.outcome()) == (0, 0, 3)
        assert losses(queue.mark().outcome()) == losses_of(queue) == (0, 0, 5)


def test_what_another_process_did_with_a_frame_since_does_not_count() -> None:
    """The frame is filled, and its records are rejected, before this process reads the first."""
    with queue_of(1) as queue:
        put(queue, 1)
        mark = queue.mark()
        settle_all(queue, every_third)

        def child() -> None:
            for number in (2, 1, 2, 1):
                put(queue, number)
                settle_all(queue, every_third)

        assert in_a_child(child) == os.EX_OK
        assert losses(mark.outcome()) == (1, 0, 0)
        assert losses(queue.mark().outcome()) == (1, 0, 0)
        assert losses_of(queue) == (3, 2, 0)


def test_a_note_is_read_before_its_frame_is_filled_again() -> None:
    with queue_of(1) as queue:
        marks = []
        for number in range(300):
            put(queue, number)
            marks.append(queue.mark())
            settle_all(queue, every_third)
        for number, mark in enumerate(marks):
            assert losses(mark.outcome()) == ((number + 2) // 3, (number + 1) // 3, 0)


def test_a_process_that_has_missed_notes_says_so() -> None:
    with queue_of(2) as queue:
        put(queue, 0)
        mark = queue.mark()

        def child() -> None:
            for _ in range(NOTE_COUNT + 10):
                put(queue, 1)
                settle(queue, claim(queue, 1), every_third)

        assert in_a_child(child) == os.EX_OK
        settle(queue, claim(queue, 0), every_third)
        outcome = mark.outcome()
        assert not outcome.is_exact
        assert str(outcome) == "all delivered or more"


def test_marks_and_outcomes_survive_the_end_of_the_queue() -> None:
    with queue_of(frames=3, records=2) as queue:
        put(queue, 0, 1, 2)
        mark = queue.mark()
        settle_all(queue, every_third)
        put(queue, 3)
    assert mark.outcome() == Outcome(pending=1, rejected=1)
    assert mark.wait(0) == 1
    with pytest.raises(ClosedError):
        queue.mark()


def test_wait_seals_the_open_frame_when_nothing_else_is_pending() -> None:
    with queue_of(records=3) as queue:
        put(queue, 0, 1, 2, 3)
        mark = queue.mark()
        assert mark.wait(0) == 4
        assert queue.producer.has_idle, "the first frame is under way"
        settle(queue, claim(queue, 0), delivered)

        def worker() -> None:
            while mark.pending():
                settle_all(queue, delivered)

        thread = threading.Thread(target=worker)
        thread.start()
        assert mark.wait(10) == 0
        thread.join()


# Processes and threads


def test_a_mark_of_the_parent_is_refused_in_a_forked_child() -> None:
    with queue_of() as queue:
        put(queue, 0)
        mark = queue.mark()

        def child() -> None:
            with pytest.raises(DataArtError, match="before this process was forked"):
                mark.pending()
            assert queue.mark().pending() == 0
            put(queue, 1)
            assert queue.mark().pending() == 1

        assert in_a_child(child) == os.EX_OK
        assert mark.pending() == 1


@pytest.mark.usefixtures("frequent_switches")
def test_threads_emit_and_mark_at_once() -> None:
    with queue_of(frames=8, records=3) as queue:
        stop = threading.Event()

        def worker() -> None:
            while not stop.is_set():
                settle_all(queue, every_third)

        def producer() -> None:
            for number in range(300):
                put(queue, number)
                before.append(queue.mark())

        before: list[Mark] = []
        threads = [threading.Thread(target=producer) for _ in range(3)]
        settling = threading.Thread(target=worker)
        for thread in (*threads, settling):
            thread.start()
        for thread in threads:
            thread.join()
        last = queue.mark()
        queue.producer.seal()
        assert last.wait(20) == 0
        stop.set()
        settling.join()
        assert losses(last.outcome()) == losses_of(queue) == (300, 300, 0)
        assert [mark.pending() for mark in before] == [0] * 900
        rejected = [mark.outcome().rejected for mark in before]
        assert max(rejected) <= 300


def test_a_signal_handler_marks_in_the_middle_of_a_mark() -> None:
    with queue_of(frames=8, records=3) as queue:
        marks: list[int] = []
        before = signal.signal(signal.SIGALRM, lambda *_: marks.append(queue.mark().pending()))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            for number in range(2000):
                put(queue, number)
                mark = queue.mark()
                settle_all(queue, delivered)
                assert mark.pending() <= 3
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert marks


# Death


@pytest.mark.parametrize("second", [every_third, delivered], ids=lambda each: each.__name__)
@pytest.mark.parametrize("joined", [False, True])
def test_marks_agree_with_the_counters_if_the_worker_dies_at_any_step(
    second: Decide, joined: bool
) -> None:
    """The next worker decides the same, or that the records are delivered after all."""
    marks: list[Mark] = []

    def emit(queue: RecordQueue) -> None:
        put(queue, 0, 1, 2, 3, 4, 5)
        marks[:] = [queue.mark()]

    def work(queue: RecordQueue) -> None:
        first = claim(queue, 0)
        if joined:
            join_others(queue, first)
        settle(queue, first, every_third)

    for queue in at_every_step(work, emit, frames=2, capacity=128, records=3):
        (mark,) = marks
        middle = mark.outcome()
        assert middle.pending == queue.stats().pending
        # A follower is settled before its leader, which counts its losses in the stats.
        assert joined or losses(middle) == losses_of(queue)
        settle_all(queue, second)
        settle_all(queue, second)
        end = mark.outcome()
        assert (end.pending, *losses(end)) == (0, *losses_of(queue))


def test_no_note_is_lost_unnoticed_if_another_worker_writes_one_at_any_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This process does not continue before the other one has ended, as if it were stopped."""
    monkeypatch.setattr(outcomes, "_WAIT_SECONDS", 0.01)
    exact = 0

    def emit(queue: RecordQueue) -> None:
        put(queue, 1, 2)
        marks[:] = [queue.mark()]

    def other_worker(queue: RecordQueue) -> None:
        settle(queue, claim(queue, 1), every_third)

    marks: list[Mark] = []
    other = in_another_process(other_worker)
    for queue, _ in with_a_rival_at_every_step(
        lambda queue: settle(queue, claim(queue, 0), every_third), other, emit, frames=2
    ):
        outcome = marks[0].outcome()
        assert losses_of(queue) == (1, 1, 0)
        assert not outcome.is_exact or losses(outcome) == (1, 1, 0)
        exact += outcome.is_exact
    assert exact > 20


def test_no_note_is_lost_if_a_worker_writes_one_at_any_step_of_the_producer() -> None:
    def emit(queue: RecordQueue) -> None:
        put(queue, 1, 1)
        marks[:] = [queue.mark()]
        settle(queue, claim(queue, 0), every_third)

    def fill_again(queue: RecordQueue) -> None:
        put(queue, 0)
        marks.append(queue.mark())
        assert marks[0].outcome().pending in (0, 1)

    def worker(queue: RecordQueue) -> None:
        settle(queue, claim(queue, 1), every_third)

    marks: list[Mark] = []
    other = in_another_process(worker)
    for queue, _ in with_a_rival_at_every_step(fill_again, other, emit, frames=2):
        assert [losses(mark.outcome()) for mark in marks] == [(2, 0, 0)] * 2
        assert losses_of(queue) == (2, 0, 0)


def test_a_mark_agrees_with_what_drain_delivers() -> None:
    with queue_of(frames=8) as queue:
        put_seven(queue)
        mark = queue.mark()
        assert mark.pending() == 7
        assert len(drain(queue)) == 7
        assert mark.outcome() == Outcome()
