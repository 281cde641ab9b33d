"""The queue's methods work as those of `multiprocessing.Queue` and `JoinableQueue`."""

import multiprocessing
import multiprocessing.queues
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, Full
from typing import Any

import pytest

from dataart_mp.errors import ClosedError, EventError
from dataart_mp.queue import RecordQueue
from tests.queue.internals import READY, idle_writers
from tests.queue.tools import audit, fork, in_a_child, number_of, queue_of, reap, record

ONE, TWO = record(1), record(2)


def test_the_queue_is_a_multiprocessing_queue() -> None:
    with queue_of() as queue:
        assert isinstance(queue, multiprocessing.queues.Queue)
        interface = {name for name in vars(multiprocessing.queues.JoinableQueue) if name[0] != "_"}
        interface |= {name for name in vars(multiprocessing.queues.Queue) if name[0] != "_"}
        inherited = {"get_nowait", "put_nowait"}  # each calls only `get` or `put`
        assert interface - inherited <= set(vars(RecordQueue)), "others use what does not exist"


def test_records_are_got_in_the_order_in_which_they_were_put() -> None:
    with queue_of(8) as queue:
        for number in range(5):
            queue.put(record(number))
        assert [number_of(queue.get()) for _ in range(3)] == [0, 1, 2]
        for _ in range(3):
            queue.task_done()
        for number in range(5, 9):  # in frames with lower numbers than those that wait
            queue.put(record(number))
        assert [number_of(queue.get()) for _ in range(6)] == [3, 4, 5, 6, 7, 8]


def test_the_order_is_kept_when_frames_hold_several_records() -> None:
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
def test_a_record_can_be_got_immediately_after_it_was_put(records: int) -> None:
    with queue_of(records=records) as queue:
        queue.put_nowait(ONE)
        assert queue.get_nowait() == ONE


def seconds_until(error: type[Exception], call: Callable[[], object]) -> list[float]:
    """Return how long each of some calls takes to raise; on a loaded machine, one may take long."""
    seconds = []
    for _ in range(5):
        begin = time.monotonic()
        with pytest.raises(error):
            call()
        seconds.append(time.monotonic() - begin)
    return seconds


def test_get_on_an_empty_queue_raises_empty_immediately_or_after_the_timeout() -> None:
    with queue_of() as queue:
        for arguments in ((False,), (False, 5), (True, 0), (True, -1)):
            assert min(seconds_until(Empty, partial(queue.get, *arguments))) < 0.05
        assert 0.12 <= min(seconds_until(Empty, partial(queue.get, timeout=0.12))) < 0.5


def test_put_on_a_full_queue_raises_full_immediately_or_after_the_timeout() -> None:
    with queue_of(1) as queue:
        queue.put(ONE)
        assert queue.full()
        for arguments in ((False,), (False, 5), (True, 0), (True, -1)):
            assert min(seconds_until(Full, partial(queue.put, TWO, *arguments))) < 0.05
        assert 0.12 <= min(seconds_until(Full, partial(queue.put, TWO, timeout=0.12))) < 0.5
        assert audit(queue) == [1], "a refused record is not in the queue"


def test_a_waiting_get_returns_the_next_record_that_is_put() -> None:
    with queue_of() as queue:
        thread = threading.Timer(0.05, queue.put, [ONE])
        thread.start()
        assert queue.get(timeout=10) == ONE
        thread.join()


def test_a_waiting_put_continues_when_a_frame_becomes_free() -> None:
    with queue_of(1) as queue:
        queue.put(ONE)
        assert queue.get() == ONE
        thread = threading.Timer(0.05, queue.task_done)
        thread.start()
        queue.put(TWO, timeout=10)
        thread.join()
        assert queue.get() == TWO


def test_a_waiting_put_uses_a_frame_writer_that_another_thread_puts_back() -> None:
    """With more threads than frames, no thread may wait for a frame that no worker will settle."""
    with queue_of(1, 4096, records=100) as queue:
        queue.put(record(0))
        writer = idle_writers(queue).pop()  # as if another thread were in the middle of a put
        thread = threading.Timer(0.05, idle_writers(queue).append, [writer])
        thread.start()
        queue.put(record(1), timeout=10)
        thread.join()
        assert audit(queue) == [0, 1]


def test_qsize_counts_the_records_that_were_not_got_yet() -> None:
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


def test_calling_task_done_more_often_than_get_raises_value_error() -> None:
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


def test_join_waits_until_task_done_was_called_for_every_record() -> None:
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


def test_join_returns_immediately_when_nothing_was_put() -> None:
    with queue_of() as queue:
        queue.join()


def test_join_waits_for_records_that_other_processes_got() -> None:
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
    """There is no feeder thread: a put record is in the arena, even if its process then ends."""
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
    with pytest.raises(ValueError, match=r"the client is closed, by close.*emit before") as caught:
        use(queue)
    assert isinstance(caught.value, ClosedError)


def test_close_may_be_repeated_and_join_thread_may_follow_it() -> None:
    queue = RecordQueue(2, 64)
    queue.close()
    queue.close()
    queue.join_thread()
    queue.cancel_join_thread()
    assert repr(queue) == "<RecordQueue closed>"


def test_the_repr_shows_how_many_frames_are_in_use() -> None:
    with queue_of(3) as queue:
        queue.put(ONE)
        assert repr(queue) == "<RecordQueue 1 of 3 frames in use>"


@pytest.mark.parametrize("wrong", ["text", 1, None, bytearray(b"{}\n"), memoryview(b"{}\n")])
def test_a_record_must_be_bytes(wrong: Any) -> None:
    with queue_of() as queue:
        with pytest.raises(TypeError, match="a record is bytes"):
            queue.put(wrong)
        assert queue.empty()


@pytest.mark.parametrize("wrong", [b"", b"{}", b"{}\n{}\n", b"\n\n", b"{\0}\n", b"{}\n\0"])
def test_a_record_must_be_one_line(wrong: bytes) -> None:
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
        assert queue.arena.all_in(READY) == [], "the open frame stays open"
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
def test_sizes_that_an_account_cannot_represent_are_refused(shape: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="make each 1 or more"):
        RecordQueue(**{"frames": 2, "capacity": 64, **shape})
