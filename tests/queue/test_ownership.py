"""Who owns a frame is known by the kernel alone: real processes, and real `kill -9`."""

import os
import random
import signal
import time
from functools import partial

import pytest

from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.arena import FREE, READY, SENDING
from dataart_mp.queue.counters import DROPPED_FULL
from dataart_mp.queue.locks import JANITOR, ROWS
from tests.queue.tools import (
    Slate,
    assert_clean,
    audit,
    claim_all,
    drain,
    fork,
    in_a_child,
    kill,
    lines_of,
    number_of,
    queue_of,
    record,
    serve,
)


def wait_for(slate: Slate, number: int) -> None:
    deadline = time.monotonic() + 20
    while not slate[number]:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_frame_in_the_hands_of_a_living_process_is_nobody_elses() -> None:
    sign = Slate()
    with queue_of(records=2) as queue:
        queue.producer.append(record(0))
        queue.producer.append(record(1))

        def hold() -> None:
            (frame,) = claim_all(queue)
            sign.mark(frame.number)
            signal.pause()

        holder = fork(hold)
        wait_for(sign, 0)
        assert queue.arena.locks.owner(0) == holder
        assert janitor.sweep(queue.arena) == []
        assert Frame.claim(queue.arena, 0) is None
        assert queue.arena.state(0) == SENDING
        kill(holder)
        assert queue.arena.locks.owner(0) is None
        assert janitor.sweep(queue.arena) == [0]
        assert audit(queue) == [0, 1]


def test_a_stopped_process_is_alive_and_keeps_its_frame() -> None:
    with queue_of(records=5) as queue:

        def emit_and_stop() -> None:
            queue.producer.append(record(0))
            os.kill(os.getpid(), signal.SIGSTOP)
            queue.producer.append(record(1))

        child = fork(emit_and_stop)
        os.waitpid(child, os.WUNTRACED)
        assert janitor.sweep(queue.arena) == []
        assert drain(queue) == []
        os.kill(child, signal.SIGCONT)
        assert os.waitpid(child, 0)[1] == 0
        assert audit(queue) == [0, 1]


def test_a_killed_producers_records_are_given_back_by_the_janitor() -> None:
    sign = Slate()
    with queue_of(8, records=3) as queue:

        def emit() -> None:
            for number in range(8):
                queue.producer.append(record(number))
            sign.mark(1)
            signal.pause()

        producer = fork(emit)
        wait_for(sign, 1)
        assert queue.stats().pending == 8
        kill(producer)
        assert queue.stats().pending == 8
        assert len(queue.arena.all_in(READY)) == 2
        assert len(janitor.sweep(queue.arena)) == 1
        assert queue.stats().pending == 8
        assert audit(queue) == [*range(8)]


def test_a_redelivered_frame_has_the_key_it_had() -> None:
    with queue_of(records=2) as queue:
        seen: set[str] = set()
        for turn in range(3):
            queue.producer.append(record(2 * turn))
            queue.producer.append(record(2 * turn + 1))
            for _ in range(3):
                with_worker = in_a_child(partial(claim_all, queue))  # and dies with it
                assert with_worker == 0
                assert queue.arena.state(0) == SENDING
                assert janitor.sweep(queue.arena) == [0]
            (frame,) = claim_all(queue)
            assert frame.key not in seen, "another content, another key"
            assert frame.key == f"{queue.arena.id}-0-{turn + 1}"
            seen.add(frame.key)
            queue.worker.settle(frame)


def test_a_key_is_never_used_for_another_content_however_often_producers_die() -> None:
    keys: dict[str, list[int]] = {}
    with queue_of(2, records=5) as queue:
        for number in range(12):
            assert in_a_child(partial(queue.producer.append, record(number))) == 0
            janitor.sweep(queue.arena)
            for frame in claim_all(queue):
                assert frame.key not in keys
                keys[frame.key] = [number_of(line) for line in lines_of(frame)]
                queue.worker.settle(frame)
    assert list(keys.values()) == [[number] for number in range(12)]


def test_one_janitor_at_a_time_sweeps() -> None:
    sign = Slate()
    with queue_of() as queue:
        queue.producer.append(record(0))
        assert in_a_child(partial(claim_all, queue)) == 0

        def sweep_for_ever() -> None:
            assert queue.arena.locks.acquire(JANITOR)
            sign.mark(1)
            signal.pause()

        other = fork(sweep_for_ever)
        wait_for(sign, 1)
        assert janitor.sweep(queue.arena) == []
        assert queue.arena.state(0) == SENDING
        kill(other)
        assert janitor.sweep(queue.arena) == [0]
        audit(queue)


def test_counts_in_the_ledger_outlive_their_process() -> None:
    with queue_of() as queue:

        def count() -> None:
            for _ in range(3):
                queue.counters.add(DROPPED_FULL)

        queue.counters.add(DROPPED_FULL, 10)
        for _ in range(4):
            assert in_a_child(count) == 0
        stats = queue.stats()
        assert stats.dropped == {"buffer full": 22}
        assert stats.accepted == 22
        assert stats.balanced


def test_a_row_that_nobody_counts_in_yet_hides_no_row_behind_it() -> None:
    with queue_of() as queue:
        assert queue.arena.locks.acquire(ROWS)  # another thread has just taken the first row
        queue.counters.add(DROPPED_FULL, 5)
        assert queue.counters.total(DROPPED_FULL) == 5


# Under load


SPAN = 60_000  # numbers for each producer


def emit_for_ever(queue: RecordQueue, returned: Slate, first: int) -> None:
    for number in range(first, first + SPAN):  # beyond it, numbers are another producer's
        queue.producer.append(record(number))
        returned.mark(number)
    signal.pause()


def storm(seconds: float, seed: int) -> None:
    """Producers and workers are killed at random moments, in random order, while they are busy."""
    lives = 1_000
    returned, delivered = Slate(SPAN * 120), Slate(SPAN * 120)
    chance = random.Random(seed)
    with queue_of(12, 400, records=7) as queue:
        starts = iter(range(0, SPAN * 120, SPAN))
        producers = {next(starts): 0 for _ in range(2)}
        producers = {
            first: fork(partial(emit_for_ever, queue, returned, first)) for first in producers
        }
        workers = [fork(partial(serve, queue, delivered)) for _ in range(2)]
        accepted = delivered_before = 0
        end = time.monotonic() + seconds
        kills = 0
        while time.monotonic() < end and kills < lives:
            time.sleep(chance.random() * 0.02)
            stats = queue.stats()
            assert stats.balanced
            assert stats.accepted >= accepted, "what was accepted is never taken back"
            assert stats.delivered >= delivered_before
            accepted, delivered_before = stats.accepted, stats.delivered
            if chance.random() < 0.5 and kills < 100:
                first = chance.choice(list(producers))
                kill(producers.pop(first))
                first = next(starts)
                producers[first] = fork(partial(emit_for_ever, queue, returned, first))
            else:
                kill(workers.pop(chance.randrange(2)))
                workers.append(fork(partial(serve, queue, delivered)))
            kills += 1
        for pid in [*producers.values(), *workers]:
            kill(pid)
        for number in drain(queue):
            delivered.mark(number)
        stats = queue.stats()
        assert stats.balanced
        assert (stats.pending, stats.rejected, stats.failed) == (0, 0, 0)
        arrived = delivered.marked()
        assert returned.marked() <= arrived, "lost"
        assert stats.delivered == len(arrived), "each is accounted for once, however often it went"
        doubled = sum(1 for number in arrived if delivered[number] > 1)
        assert doubled <= 7 * kills, "no more than the frame in the owner of each that was killed"
        assert kills > 10
        assert len(arrived) > 100
        assert_clean(queue)


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_any_moment_under_load_loses_nothing_and_leaks_nothing(seed: int) -> None:
    storm(1.5, seed)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(10, 22))
def test_a_long_storm(seed: int) -> None:
    storm(10, seed)


def test_the_balance_holds_at_every_moment_read_from_another_process() -> None:
    returned, delivered = Slate(1 << 20), Slate(1 << 20)
    with queue_of(6, 100, records=3) as queue:
        busy = [fork(partial(emit_for_ever, queue, returned, first)) for first in (0, 500_000)]
        busy += [fork(partial(serve, queue, delivered)) for _ in range(2)]
        last = queue.stats()
        looks = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            stats = queue.stats()
            looks += 1
            assert stats.balanced, stats
            assert stats.accepted >= last.accepted
            assert stats.delivered >= last.delivered
            assert 0 <= stats.pending <= 6 * 3
            last = stats
        for pid in busy:
            kill(pid)
        assert looks > 100
        assert last.delivered > 100
        drain(queue)
        assert queue.arena.all_in(FREE) == [*range(6)]
