"""Every method means what it means in `multiprocessing.Queue` and its `JoinableQueue`."""

import multiprocessing
import multiprocessing.queues
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, Full
from typing import Any

import pytest

from dataart_mp.errors import ClosedError, EventError
from dataart_mp.queue import RecordQueue, janitor
from dataart_mp.queue.arena import READY
from tests.queue.tools import (
    Slate,
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
)

ONE, TWO = record(1), record(2)


def test_it_is_a_multiprocessing_queue() -> None:
    with queue_of() as queue:
        assert isinstance(queue, multiprocessing.queues.Queue)
        face = {name for name in vars(multiprocessing.queues.JoinableQueue) if name[0] != "_"}
        face |= {name for name in vars(multiprocessing.queues.Queue) if name[0] != "_"}
        inherited = {"get_nowait", "put_nowait"}  # each one line, on top of what is our own
        assert face - inherited <= set(vars(RecordQueue)), "nothing works on what isn't there"


def test_what_is_put_first_is_got_first() -> None:
    with queue_of(8) as queue:
        for number in range(5):
            queue.put(record(number))
        assert [number_of(queue.get()) for _ in range(3)] == [0, 1, 2]
        for _ in range(3):
            queue.task_done()
        for number in range(5, 9):  # in frames that lie before the ones that wait
            queue.put(record(number))
        assert [number_of(queue.get()) for _ in range(6)] == [3, 4, 5, 6, 7, 8]


def test_the_order_holds_where_frames_hold_several_records() -> None:
    with queue_of(8, records=3) as queue:
        for number in range(11):
            queue.put(record(number))
        assert [number_of(queue.get()) for _ in range(11)] == [*range(11)]


def test_a_record_is_got_once() -> None:
    with queue_of() as queue:
        queue.put(ONE)
        assert queue.get() == ONE
        with pytest.raises(Empty):
            queue.get_nowait()


@pytest.mark.parametrize("records", [1, 5])
def test_what_was_put_can_be_got_at_once_without_waiting(records: int) -> None:
    with queue_of(records=records) as queue:
        queue.put_nowait(ONE)
        assert queue.get_nowait() == ONE


def test_an_empty_queue_raises_empty_at_once_or_when_the_time_is_over() -> None:
    with queue_of() as queue:
        for arguments in ((False,), (False, 5), (True, 0), (True, -1)):
            begin = time.monotonic()
            with pytest.raises(Empty):
                queue.get(*arguments)
            assert time.monotonic() - begin < 0.05
        begin = time.monotonic()
        with pytest.raises(Empty):
            queue.get(timeout=0.12)
        assert 0.12 <= time.monotonic() - begin < 0.5


def test_a_full_queue_raises_full_at_once_or_when_the_time_is_over() -> None:
    with queue_of(1) as queue:
        queue.put(ONE)
        assert queue.full()
        for arguments in ((False,), (False, 5), (True, 0), (True, -1)):
            begin = time.monotonic()
            with pytest.raises(Full):
                queue.put(TWO, *arguments)
            assert time.monotonic() - begin < 0.05
        begin = time.monotonic()
        with pytest.raises(Full):
            queue.put(TWO, timeout=0.12)
        assert 0.12 <= time.monotonic() - begin < 0.5
        assert audit(queue) == [1], "what was refused is not there"


def test_a_waiting_get_gets_what_is_put() -> None:
    with queue_of() as queue:
        thread = threading.Timer(0.05, queue.put, [ONE])
        thread.start()
        assert queue.get(timeout=10) == ONE
        thread.join()


def test_a_waiting_put_goes_on_when_room_is_made() -> None:
    with queue_of(1) as queue:
        queue.put(ONE)
        assert queue.get() == ONE
        thread = threading.Timer(0.05, queue.task_done)
        thread.start()
        queue.put(TWO, timeout=10)
        thread.join()
        assert queue.get() == TWO


def test_a_put_waits_no_longer_than_for_a_lane_that_another_thread_puts_back() -> None:
    """More threads than frames: nobody may wait for a frame that nobody will settle."""
    with queue_of(1, 4096, records=100) as queue:
        queue.put(record(0))
        writer = queue.producer._idle.pop()  # another thread is in the middle of a put
        thread = threading.Timer(0.05, queue.producer._idle.append, [writer])
        thread.start()
        queue.put(record(1), timeout=10)
        thread.join()
        assert audit(queue) == [0, 1]


def test_the_size_is_what_nobody_has_got_yet() -> None:
    with queue_of(8, records=2) as queue:
        assert (queue.qsize(), queue.empty(), queue.full()) == (0, True, False)
        for size in range(1, 6):
            queue.put(record(size))
            assert (queue.qsize(), queue.empty()) == (size, False)
        for size in (4, 3, 2, 1, 0):
            queue.get()
            assert queue.qsize() == size
        assert queue.empty()


def test_a_queue_is_full_when_no_frame_is_free_and_none_is_open() -> None:
    with queue_of(2, records=2) as queue:
        for full in (False, False, False, True):
            queue.put(ONE)
            assert queue.full() == full


def test_task_done_too_often_is_a_value_error() -> None:
    with queue_of() as queue:
        queue.put(ONE)
        with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
            queue.task_done()
        queue.get()
        queue.task_done()
        with pytest.raises(ValueError, match="too many times"):
            queue.task_done()


def test_a_frame_is_settled_by_the_last_task_done_of_its_records() -> None:
    with queue_of(records=3) as queue:
        for number in range(3):
            queue.put(record(number))
        for _ in range(3):
            queue.get()
        for delivered in (0, 0, 3):
            queue.task_done()
            assert queue.stats().delivered == delivered


def test_join_waits_until_every_record_is_done_with() -> None:
    with queue_of(8) as queue:
        for number in range(4):
            queue.put(record(number))
        joined: list[int] = []

        def join() -> None:
            queue.join()
            joined.append(queue.stats().delivered)

        thread = threading.Thread(target=join)
        thread.start()
        for _ in range(4):
            queue.get()
            time.sleep(0.01)
            assert joined == []
            queue.task_done()
        thread.join(10)
        assert joined == [4]


def test_join_returns_at_once_when_nothing_was_put() -> None:
    with queue_of() as queue:
        queue.join()


def test_join_waits_for_what_other_processes_got() -> None:
    with queue_of(8, records=2) as queue:
        for number in range(5):
            queue.put(record(number))

        def consume() -> None:
            for _ in range(5):
                queue.get()
                time.sleep(0.005)
                queue.task_done()

        consumer = fork(consume)
        queue.join()
        assert queue.stats().delivered == 5
        assert reap(consumer) == 0


def test_join_thread_and_cancel_join_thread_lose_nothing() -> None:
    """There is no feeder thread: a put record is in the arena, whatever its process does next."""
    with queue_of(8) as queue:

        def child() -> None:
            queue.put(ONE)
            queue.cancel_join_thread()
            queue.put(TWO)
            queue.join_thread()

        assert in_a_child(child) == 0
        assert audit(queue) == [1, 2]


@pytest.mark.parametrize(
    "use",
    [
        lambda queue: queue.put(ONE),
        lambda queue: queue.put_nowait(ONE),
        lambda queue: queue.get(),
        lambda queue: queue.get_nowait(),
        lambda queue: queue.task_done(),
        lambda queue: queue.join(),
        lambda queue: queue.qsize(),
        lambda queue: queue.empty(),
        lambda queue: queue.full(),
        lambda queue: queue.producer.append(ONE),
        lambda queue: queue.producer.append_alone(ONE),
        lambda queue: queue.producer.seal(),
        lambda queue: queue.producer.seal_due(0.0),
        lambda queue: queue.producer.flush(),
        lambda queue: queue.stats(),
    ],
)
def test_a_closed_queue_raises_value_error(use: Callable[[RecordQueue], object]) -> None:
    queue = RecordQueue(2, 64)
    queue.put(ONE)
    queue.close()
    with pytest.raises(ValueError, match="it is closed; emit before") as caught:
        use(queue)
    assert isinstance(caught.value, ClosedError)


def test_close_is_idempotent_and_what_may_follow_it_does() -> None:
    queue = RecordQueue(2, 64)
    queue.close()
    queue.close()
    queue.join_thread()
    queue.cancel_join_thread()
    assert repr(queue) == "<RecordQueue closed>"


def test_its_state_is_legible() -> None:
    with queue_of(3) as queue:
        queue.put(ONE)
        assert repr(queue) == "<RecordQueue 1 of 3 frames in use>"


@pytest.mark.parametrize("wrong", ["text", 1, None, bytearray(b"{}\n"), memoryview(b"{}\n")])
def test_a_record_is_bytes(wrong: Any) -> None:
    with queue_of() as queue:
        with pytest.raises(TypeError, match="a record is bytes"):
            queue.put(wrong)
        assert queue.empty()


@pytest.mark.parametrize("wrong", [b"", b"{}", b"{}\n{}\n", b"\n\n", b"{\0}\n", b"{}\n\0"])
def test_a_record_is_one_line(wrong: bytes) -> None:
    with queue_of() as queue:
        with pytest.raises(ValueError, match="a record is one line"):
            queue.put(wrong)
        assert queue.empty()


def test_a_record_may_be_as_large_as_a_frame_and_no_larger() -> None:
    with queue_of(4, 64, records=9) as queue:
        queue.put(ONE)
        with pytest.raises(EventError, match="takes 65 bytes as JSON, and a request holds 64"):
            queue.put(record(3, 65))
        with pytest.raises(EventError, match="takes 65 bytes"):
            queue.producer.append_alone(record(3, 65))
        queue.put(TWO)
        assert queue.arena.all_in(READY) == [], "what was open stays open"
        queue.put(record(4, 64))
        assert audit(queue) == [1, 2, 4]


@pytest.mark.parametrize(
    "shape",
    [
        {"frames": 0},
        {"capacity": 0},
        {"capacity": 1 << 24},
        {"records": 0},
        {"records": 1 << 20},
    ],
)
def test_a_shape_that_the_accounts_cannot_tell_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="make each 1 or more"):
        RecordQueue(**{"frames": 2, "capacity": 64, **shape})


# Between processes


def test_it_is_handed_on_by_inheritance_only() -> None:
    with queue_of() as queue, pytest.raises(RuntimeError, match="through inheritance"):
        pickle.dumps(queue)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing_inherits_it(method: str, tmp_path: Path) -> None:
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


def in_two_threads(work: Callable[[int], object]) -> None:
    threads = [threading.Thread(target=work, args=[half]) for half in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_several_producers_and_consumers_share_it() -> None:
    """Three processes put, three get, each with two threads. Every record arrives once."""
    got, over = Slate(), Slate()
    with queue_of(12, 256, records=5) as queue:

        def produce(first: int) -> None:
            def put_all(half: int) -> None:
                for number in range(first + 200 * half, first + 200 * half + 200):
                    queue.put(record(number))

            in_two_threads(put_all)
            queue.close()

        def consume() -> None:
            def get_all(half: int) -> None:
                while not over[0]:
                    with suppress(Empty):
                        got.mark(number_of(queue.get(timeout=0.05)))
                        queue.task_done()

            in_two_threads(get_all)

        consumers = [fork(consume) for _ in range(3)]
        producers = [fork(partial(produce, first)) for first in (0, 400, 800)]
        assert [reap(producer) for producer in producers] == [0, 0, 0]
        queue.join()
        over.mark(0)
        assert [reap(consumer) for consumer in consumers] == [0, 0, 0]
        assert [got[number] for number in range(1200)] == [1] * 1200
        assert audit(queue) == []


def test_a_consumer_that_dies_idle_in_get_hangs_nobody() -> None:
    """The plain class hangs: the dead one holds the readers' semaphore for ever."""
    with queue_of() as queue:
        idle = [fork(queue.get) for _ in range(3)]
        time.sleep(0.1)
        for each in idle:
            kill(each)
        queue.put(ONE)
        assert queue.get(timeout=10) == ONE


def test_what_a_dead_consumer_had_got_is_got_by_the_next() -> None:
    """By the face alone: no worker, no janitor process."""
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


def test_what_a_dead_producer_left_unsealed_is_got_by_the_next() -> None:
    with queue_of(records=5) as queue:

        def put_and_die() -> None:
            queue.put(ONE)
            die()

        in_a_child(put_and_die)
        assert queue.get(timeout=10) == ONE


def test_a_frame_whose_last_step_was_died_in_holds_nothing_to_get() -> None:
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
