"""Only the kernel knows which process owns a frame: tests with real processes and `kill -9`."""

import os
import random
import signal
import time
from functools import partial

import pytest

from dataart_mp.queue import Frame, RecordQueue
from tests.queue.internals import DROPPED_FULL, FREE, JANITOR, READY, ROWS, SENDING, janitor
from tests.queue.tools import (
    SharedCounts,
    assert_clean,
    audit,
    claim_all,
    drain,
    fork,
    in_a_child,
    kill,
    numbers_of,
    queue_of,
    record,
    serve,
)
from tests.support import wait_until


def wait_for(counts: SharedCounts, number: int) -> None:
    wait_until(lambda: counts[number], 20)


def test_no_other_process_can_claim_a_frame_that_a_living_process_owns() -> None:
    ready = SharedCounts()
    with queue_of(records=2) as queue:
        queue.producer.append(record(0))
        queue.producer.append(record(1))

        def hold() -> None:
            (frame,) = claim_all(queue)
            ready.add(frame.number)
            signal.pause()

        holder = fork(hold)
        wait_for(ready, 0)
        assert queue.arena.locks.owner(0) == holder
        assert janitor.sweep(queue.arena) == []
        assert Frame.claim(queue.arena, 0) is None
        assert queue.arena.state(0) == SENDING
        kill(holder)
        assert queue.arena.locks.owner(0) is None
        assert janitor.sweep(queue.arena) == [0]
        assert audit(queue) == [0, 1]


def test_a_stopped_process_keeps_its_frame() -> None:
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


def test_a_sweep_releases_the_records_of_a_killed_producer() -> None:
    ready = SharedCounts()
    with queue_of(8, records=3) as queue:

        def emit() -> None:
            for number in range(8):
                queue.producer.append(record(number))
            ready.add(1)
            signal.pause()

        producer = fork(emit)
        wait_for(ready, 1)
        assert queue.stats().pending == 8
        kill(producer)
        assert queue.stats().pending == 8
        assert len(queue.arena.all_in(READY)) == 2
        assert len(janitor.sweep(queue.arena)) == 1
        assert queue.stats().pending == 8
        assert audit(queue) == [*range(8)]


def test_a_redelivered_frame_keeps_its_key() -> None:
    with queue_of(records=2) as queue:
        seen: set[str] = set()
        for turn in range(3):
            queue.producer.append(record(2 * turn))
            queue.producer.append(record(2 * turn + 1))
            for _ in range(3):
                assert in_a_child(partial(claim_all, queue)) == 0  # it ends without settling
                assert queue.arena.state(0) == SENDING
                assert janitor.sweep(queue.arena) == [0]
            (frame,) = claim_all(queue)
            assert frame.key not in seen, "another content has another key"
            assert frame.key == f"{queue.arena.id}-0-{turn + 1}"
            seen.add(frame.key)
            queue.worker.settle(frame)


def test_a_key_is_never_reused_for_other_content_however_often_producers_die() -> None:
    keys: dict[str, list[int]] = {}
    with queue_of(2, records=5) as queue:
        for number in range(12):
            assert in_a_child(partial(queue.producer.append, record(number))) == 0
            janitor.sweep(queue.arena)
            for frame in claim_all(queue):
                assert frame.key not in keys
                keys[frame.key] = numbers_of(frame)
                queue.worker.settle(frame)
    assert list(keys.values()) == [[number] for number in range(12)]


def test_only_one_process_sweeps_at_a_time() -> None:
    ready = SharedCounts()
    with queue_of() as queue:
        queue.producer.append(record(0))
        assert in_a_child(partial(claim_all, queue)) == 0

        def sweep_forever() -> None:
            assert queue.arena.locks.acquire(JANITOR)
            ready.add(1)
            signal.pause()

        other = fork(sweep_forever)
        wait_for(ready, 1)
        assert janitor.sweep(queue.arena) == []
        assert queue.arena.state(0) == SENDING
        kill(other)
        assert janitor.sweep(queue.arena) == [0]
        audit(queue)


def test_counters_outlive_the_process_that_counted() -> None:
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


def test_an_unused_row_of_counters_hides_no_row_behind_it() -> None:
    with queue_of() as queue:
        assert queue.arena.locks.acquire(ROWS)  # another thread has just taken the first row
        queue.counters.add(DROPPED_FULL, 5)
        assert queue.counters.total(DROPPED_FULL) == 5


# Under load


SPAN = 60_000  # how many numbers each producer may use


def emit_forever(queue: RecordQueue, returned: SharedCounts, first: int) -> None:
    for number in range(first, first + SPAN):  # further numbers belong to another producer
        queue.producer.append(record(number))
        returned.add(number)
    signal.pause()


def kill_at_random(seconds: float, seed: int) -> None:
    """Kill busy producers and workers at random moments, and check all records and counters."""
    most_kills = 1_000
    returned, delivered = SharedCounts(SPAN * 120), SharedCounts(SPAN * 120)
    rng = random.Random(seed)
    with queue_of(12, 400, records=7) as queue:
        starts = iter(range(0, SPAN * 120, SPAN))
        producers = {next(starts): 0 for _ in range(2)}
        producers = {
            first: fork(partial(emit_forever, queue, returned, first)) for first in producers
        }
        workers = [fork(partial(serve, queue, delivered)) for _ in range(2)]
        accepted = delivered_before = 0
        end = time.monotonic() + seconds
        kills = 0
        # A busy machine needs longer for enough kills.
        while (time.monotonic() < end and kills < most_kills) or kills <= 10 or accepted <= 100:
            time.sleep(rng.random() * 0.02)
            stats = queue.stats()
            assert stats.balanced
            assert stats.accepted >= accepted, "the counter never decreases"
            assert stats.delivered >= delivered_before
            accepted, delivered_before = stats.accepted, stats.delivered
            if rng.random() < 0.5 and kills < 100:
                first = rng.choice(list(producers))
                kill(producers.pop(first))
                first = next(starts)
                producers[first] = fork(partial(emit_forever, queue, returned, first))
            else:
                kill(workers.pop(rng.randrange(2)))
                workers.append(fork(partial(serve, queue, delivered)))
            kills += 1
        for pid in [*producers.values(), *workers]:
            kill(pid)
        for number in drain(queue):
            delivered.add(number)
        stats = queue.stats()
        assert stats.balanced
        assert (stats.pending, stats.rejected, stats.failed) == (0, 0, 0)
        arrived = delivered.numbers()
        assert returned.numbers() <= arrived, "no record is lost"
        assert stats.delivered == len(arrived), "each is counted once, however often it was sent"
        duplicates = sum(1 for number in arrived if delivered[number] > 1)
        assert duplicates <= 7 * kills, "at most one frame per killed process"
        assert len(arrived) > 100
        assert_clean(queue)


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_any_moment_under_load_loses_nothing_and_leaks_nothing(seed: int) -> None:
    kill_at_random(1.5, seed)


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(10, 22))
def test_kill_9_at_any_moment_for_a_long_time_loses_nothing_and_leaks_nothing(seed: int) -> None:
    kill_at_random(10, seed)


def test_another_process_sees_a_correct_balance_at_every_moment() -> None:
    returned, delivered = SharedCounts(1 << 20), SharedCounts(1 << 20)
    with queue_of(6, 100, records=3) as queue:
        busy = [fork(partial(emit_forever, queue, returned, first)) for first in (0, 500_000)]
        busy += [fork(partial(serve, queue, delivered)) for _ in range(2)]
        last = queue.stats()
        looks = 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end or looks <= 100 or last.delivered <= 100:
            stats = queue.stats()
            looks += 1
            assert stats.balanced, stats
            assert stats.accepted >= last.accepted
            assert stats.delivered >= last.delivered
            assert 0 <= stats.pending <= 6 * 3
            last = stats
        for pid in busy:
            kill(pid)
        drain(queue)
        assert queue.arena.all_in(FREE) == [*range(6)]
