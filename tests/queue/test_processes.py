"""Processes that put and get: each record arrives, even after some of them have died."""

import pickle
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty

import pytest

from tests.queue.internals import janitor
from tests.queue.tools import (
    SharedCounts,
    audit,
    claim_all,
    die,
    fork,
    in_a_child,
    kill,
    number_of,
    queue_of,
    reap,
    record,
    run_threads,
)

ONE = record(1)


def test_a_queue_can_be_passed_to_a_child_only_by_inheritance() -> None:
    with queue_of() as queue, pytest.raises(RuntimeError, match="through inheritance"):
        pickle.dumps(queue)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_inherits_the_queue(method: str, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        f"""
import multiprocessing
from dataart_mp.queue import RecordQueue

def child(down, up):
    while (line := down.get()) != b"0\\n":
        up.put(line)
        down.task_done()
    down.task_done()
    up.close()

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    down, up = RecordQueue(8, 64), RecordQueue(40, 64)
    children = [context.Process(target=child, args=(down, up)) for _ in range(2)]
    for each in children:
        each.start()
    for number in range(1, 31):
        down.put(b"%d\\n" % number)
    lines = [up.get(timeout=20) for _ in range(30)]
    for _ in lines:
        up.task_done()
    for each in children:
        down.put(b"0\\n")
    for each in children:
        each.join()
        assert each.exitcode == 0
    assert sorted(map(int, lines)) == [*range(1, 31)], lines
    assert up.stats().delivered == up.stats().accepted == 30
    up.join()
    print("done")
"""
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


def test_several_producers_and_consumers_share_a_queue() -> None:
    """Three processes put and three get, each in two threads; each record arrives once."""
    got, over = SharedCounts(), SharedCounts()
    with queue_of(12, 256, records=5) as queue:

        def produce(first: int) -> None:
            def put_all(half: int) -> None:
                for number in range(first + 200 * half, first + 200 * half + 200):
                    queue.put(record(number))

            run_threads([partial(put_all, 0), partial(put_all, 1)])
            queue.close()

        def consume() -> None:
            def get_all() -> None:
                while not over[0]:
                    with suppress(Empty):
                        got.add(number_of(queue.get(timeout=0.05)))
                        queue.task_done()

            run_threads([get_all, get_all])

        consumers = [fork(consume) for _ in range(3)]
        producers = [fork(partial(produce, first)) for first in (0, 400, 800)]
        assert [reap(producer) for producer in producers] == [0, 0, 0]
        queue.join()
        over.add(0)
        assert [reap(consumer) for consumer in consumers] == [0, 0, 0]
        assert [got[number] for number in range(1200)] == [1] * 1200
        assert audit(queue) == []


def test_get_does_not_hang_after_another_process_has_died_in_get() -> None:
    """With `multiprocessing.Queue` it hangs: the dead process holds the readers' semaphore."""
    with queue_of() as queue:
        idle = [fork(queue.get) for _ in range(3)]
        time.sleep(0.1)
        for each in idle:
            kill(each)
        queue.put(ONE)
        assert queue.get(timeout=10) == ONE


def test_records_that_a_dead_consumer_had_got_are_got_by_the_next_one() -> None:
    """The interface suffices: no worker needs to run."""
    with queue_of(records=2) as queue:

        def get_and_die() -> None:
            queue.get()
            die()

        for number in range(4):
            queue.put(record(number))
        for _ in range(2):
            in_a_child(get_and_die)
        assert sorted(number_of(queue.get(timeout=10)) for _ in range(4)) == [0, 1, 2, 3]
        for _ in range(4):
            queue.task_done()
        queue.join()


def test_records_that_a_dead_producer_left_unsealed_can_be_got() -> None:
    with queue_of(records=5) as queue:

        def put_and_die() -> None:
            queue.put(ONE)
            die()

        in_a_child(put_and_die)
        assert queue.get(timeout=10) == ONE


def test_a_frame_is_settled_by_get_if_its_worker_died_before_the_last_step() -> None:
    with queue_of() as queue:

        def send_and_die() -> None:
            (frame,) = claim_all(queue)
            frame.advance(frame.length)
            die()

        queue.put(ONE)
        in_a_child(send_and_die)
        assert janitor.sweep(queue.arena) == [0]
        with pytest.raises(Empty):
            queue.get(timeout=0.2)
        assert audit(queue) == []
        assert queue.stats().delivered == 1
