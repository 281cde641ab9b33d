"""Many records in one call, with the same guarantees as one call for each record."""

import os
from contextlib import suppress
from functools import partial
from queue import Full

import pytest

from dataart_mp.errors import ClosedError, EventError
from dataart_mp.queue import RecordQueue
from tests.queue.deaths import TEARS, Tear, at_every_step
from tests.queue.internals import Taken, shorten_waits
from tests.queue.interrupts import ctrl_c, everywhere, points
from tests.queue.tools import (
    SharedCounts,
    audit,
    claim_all,
    drain,
    numbers_of,
    queue_of,
    reap,
    record,
    run_threads,
)


def block(*numbers: int, width: int = 0) -> memoryview:
    return memoryview(b"".join(record(number, width) for number in numbers))


def append_all(queue: RecordQueue, taken: list[int], *numbers: int, width: int = 0) -> None:
    """Append the records, and add to `taken` what each call has taken."""
    left, at = block(*numbers, width=width), 0
    while left:
        records, size, _ = queue.producer.append_lines(left, len(numbers) - at, timeout=0)
        taken += numbers[at : at + records]
        left, at = left[size:], at + records


def append_seven(queue: RecordQueue, taken: list[int]) -> None:
    """Fill an open frame, open others, fill one by size, and leave one open."""
    queue.producer.append(record(100))
    append_all(queue, taken, 0, 1, 2, 3)
    append_all(queue, taken, 4, 5, 6, width=30)


def test_a_call_takes_as_many_records_as_fill_the_frame() -> None:
    with queue_of(records=3) as queue:
        queue.producer.append(record(0))
        lines = block(1, 2, 3, 4)
        assert queue.producer.append_lines(lines, 4) == Taken(2, 16, room=0)
        assert queue.producer.append_lines(lines[16:], 2) == Taken(2, 16, room=1)
        queue.producer.seal()
        assert [numbers_of(frame) for frame in claim_all(queue)] == [[0, 1, 2], [3, 4]]


def test_a_call_takes_as_many_records_as_fit_into_the_frame() -> None:
    with queue_of(records=9) as queue:
        lines = block(0, 1, 2, width=30)
        assert queue.producer.append_lines(lines, 3) == Taken(2, 60, room=7)
        assert queue.producer.append_lines(lines[60:], 1) == Taken(1, 30, room=8)
        assert sorted(audit(queue)) == [0, 1, 2]


def test_records_of_a_block_may_be_as_large_as_a_frame_and_no_larger() -> None:
    with queue_of(records=9) as queue:
        queue.producer.append(record(0))
        lines = block(1, 2, width=64)
        assert queue.producer.append_lines(lines, 2) == Taken(1, 64, room=8)
        with pytest.raises(EventError, match="takes 65 bytes as JSON, and a request holds 64"):
            queue.producer.append_lines(block(3, width=65), 1)
        assert sorted(audit(queue)) == [0, 1]


def test_a_call_on_a_full_queue_raises_full_and_takes_nothing() -> None:
    with queue_of(1, records=3) as queue:
        taken: list[int] = []
        with pytest.raises(Full):
            append_all(queue, taken, *range(5))
        assert taken == [0, 1, 2] == sorted(audit(queue))


@pytest.mark.usefixtures("frequent_switches")
def test_threads_that_append_blocks_and_single_records_share_frames() -> None:
    with queue_of(200, 4096, records=7) as queue:

        def append(first: int) -> None:
            for number in range(first, first + 100, 5):
                append_all(queue, [], *range(number, number + 4))
                queue.producer.append(record(number + 4))

        run_threads(partial(append, thread * 100) for thread in range(8))
        assert sorted(audit(queue)) == [*range(800)]


def test_a_closed_queue_takes_no_block() -> None:
    with queue_of() as queue:
        queue.check_open()
        queue.close()
        with pytest.raises(ClosedError):
            queue.check_open()
        with pytest.raises(ClosedError):
            queue.producer.append_lines(block(0), 1)


@points
def test_ctrl_c_at_any_point_loses_no_taken_record_and_leaks_no_frame(real: bool) -> None:
    for interrupted_by in everywhere(real=real):
        with queue_of(6, records=3) as queue:
            taken: list[int] = []
            kept: list[BaseException] = []
            with interrupted_by(ctrl_c):
                try:
                    append_seven(queue, taken)
                except KeyboardInterrupt as error:
                    kept.append(error)
            queue.producer.append(record(9))
            numbers = [number for number in audit(queue) if number != 100]
            assert len(numbers) == len(set(numbers)), "no record is duplicated"
            assert {*taken, 9} <= set(numbers), "no record is lost"
            assert set(numbers) - {*taken, 9} <= {*range(len(taken), len(taken) + 3)}


def test_a_queue_of_one_frame_survives_ctrl_c_at_any_point() -> None:
    for interrupted_by in everywhere(real=True):
        with queue_of(1, records=3) as queue:
            taken: list[int] = []
            with interrupted_by(ctrl_c), suppress(KeyboardInterrupt):
                append_all(queue, taken, 0, 1)
            first = drain(queue)
            queue.producer.append(record(9), timeout=5)
            assert {*taken, 9} <= set(first + audit(queue)) <= {0, 1, 9}


@points
def test_a_signal_handler_may_append_at_any_point(real: bool) -> None:
    for interrupted_by in everywhere(real=real):
        with queue_of(6, records=3) as queue:
            taken: list[int] = []
            with interrupted_by(partial(append_all, queue, [], 50, 51)) as interruption:
                append_seven(queue, taken)
            assert taken == [*range(7)]
            expected = [*taken, *([50, 51] if interruption.happened else []), 100]
            assert sorted(audit(queue)) == expected


def test_a_signal_handler_may_flush_at_any_point_and_does_not_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorten_waits(monkeypatch, interrupted=0.002, look=0.001)
    for interrupted_by in everywhere(real=True, within="append_lines"):
        with queue_of(6, records=3) as queue:
            with interrupted_by(partial(queue.producer.flush, 0.02)):
                queue.producer.append_lines(block(0, 1), 2)
            assert sorted(audit(queue)) == [0, 1]


@pytest.mark.parametrize("tear", TEARS, ids=lambda tear: tear.__name__)
def test_no_taken_record_is_lost_if_the_process_dies_at_any_step(tear: Tear) -> None:
    taken = SharedCounts()

    def work(queue: RecordQueue) -> None:
        numbers: list[int] = []
        append_all(queue, numbers, 0, 1, 2, 3)
        for number in numbers:
            taken.add(number)

    for queue in at_every_step(work, tear=tear, frames=4, records=3):
        accepted = queue.stats().accepted
        numbers = audit(queue)
        assert len(numbers) == len(set(numbers)) == accepted
        assert taken.numbers() <= set(numbers) <= {0, 1, 2, 3}
        assert numbers == sorted(numbers), "of a torn copy, only records before the tear"
        taken.clear()


def test_a_signal_handler_may_fork_at_any_point() -> None:
    """The call continues in both processes; no record is lost or taken twice by the parent."""
    for interrupted_by in everywhere(real=True, within="append_lines"):
        with queue_of(6, records=3) as queue:
            me = os.getpid()
            children: list[int] = []

            def fork_child(children: list[int] = children) -> None:
                children.append(os.fork())

            taken: list[int] = []
            try:
                with interrupted_by(fork_child):
                    append_all(queue, taken, 0, 1, 2, 3)
            finally:
                if os.getpid() != me:
                    os._exit(0 if taken == [0, 1, 2, 3] else 1)
            assert all(reap(child) == 0 for child in children if child)
            numbers = audit(queue)
            assert set(numbers) == {0, 1, 2, 3}
            assert len(numbers) <= 8
