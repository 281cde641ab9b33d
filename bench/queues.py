"""A plain `multiprocessing.Queue` against `RecordQueue`: speed, and who survives what.

    python bench/queues.py

Both are used through the same face. Every figure is a ratio, or a count, from this one run.
"""

import multiprocessing
import multiprocessing.queues
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from statistics import median
from typing import Final, TypeAlias

from dataart_mp.queue import RecordQueue, janitor

RECORD: Final = b'{"key":"button-clicked","user_key":"user-12345678","metadata":{"n":1}}'.ljust(181)
LINE: Final = RECORD + b"\n"
RECORDS: Final = 20_000
REPETITIONS: Final = 5
TRIALS: Final = 5
PATIENCE: Final = 2.0
MARK: Final = b"mark\n"
END: Final = b"end\n"

Queue: TypeAlias = "multiprocessing.queues.JoinableQueue[bytes] | RecordQueue"
context = multiprocessing.get_context("fork")


def plain() -> Queue:
    """The library's queue, with `task_done` and `join`."""
    return context.JoinableQueue()


def ours() -> Queue:
    """Ours, used as the library's: each record to be seen at once."""
    return RecordQueue(frames=1000, records=1)


def ours_in_frames() -> Queue:
    """Ours, as the client uses it: records travel together."""
    return RecordQueue(frames=1000, records=300)


def main() -> None:
    """Print both tables."""
    speed()
    survival()


def speed() -> None:
    """Records from one process to another, each with `put`, `get` and `task_done`."""
    makers: dict[str, Callable[[], Queue]] = {
        "multiprocessing.JoinableQueue": plain,
        "RecordQueue, 1 record a frame": ours,
        "RecordQueue, 300 a frame": ours_in_frames,
    }
    times: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(REPETITIONS):
        for name, make in makers.items():
            times[name].append(_transfer(make()))
    base = median(times["multiprocessing.JoinableQueue"])
    print(f"{RECORDS:,} records of {len(LINE)} bytes, medians of {REPETITIONS} interleaved runs")
    for name, runs in times.items():
        print(f"  {name:32} {RECORDS / median(runs):10,.0f} records/s   x{base / median(runs):.1f}")


def _transfer(queue: Queue) -> float:
    with _child(_consume, queue):
        start = time.perf_counter()
        for _ in range(RECORDS):
            queue.put(LINE)
        queue.put(END)
        if isinstance(queue, RecordQueue):
            queue.seal()
        queue.join()
        return time.perf_counter() - start


def survival() -> None:
    """How many of the trials end with the records delivered, after a death."""
    trials: dict[str, Callable[[Queue], bool]] = {
        "an idle consumer is killed": _idle_consumer_killed,
        "a busy producer is killed": _busy_producer_killed,
        "a child of os.fork() puts": _forked_child_puts,
    }
    print(f"\nof {TRIALS} trials, how many deliver all that was put, within {PATIENCE:.0f} s")
    print(f"  {'':32} {'multiprocessing.JoinableQueue':>30} {'RecordQueue':>14}")
    for name, trial in trials.items():
        survived = [sum(_in_time(trial, make) for _ in range(TRIALS)) for make in (plain, ours)]
        print(f"  {name:32} {survived[0]:>30} {survived[1]:>14}")


def _in_time(trial: Callable[[Queue], bool], make: Callable[[], Queue]) -> bool:
    """Run the trial in a process group of its own: with a plain queue even `put` may hang."""
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        os._exit(0 if trial(make()) else 1)
    deadline = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _idle_consumer_killed(queue: Queue) -> bool:
    with _child(_consume, queue) as victim:
        time.sleep(0.2)  # by now it waits in get()
        _kill(victim)
    return _deliver(queue, lambda: queue.put(MARK), 1)


def _busy_producer_killed(queue: Queue) -> bool:
    with _child(_produce, queue) as victim:
        time.sleep(0.05)
        _kill(victim)
    return _deliver(queue, lambda: queue.put(MARK), 1)


def _forked_child_puts(queue: Queue) -> bool:
    queue.put(LINE)  # from here on a plain queue has a feeder thread, which no fork takes along
    time.sleep(0.05)

    def put_in_child() -> None:
        pid = os.fork()
        if not pid:
            for _ in range(5):
                queue.put(MARK)
            os._exit(0)
        os.waitpid(pid, 0)

    return _deliver(queue, put_in_child, 5)


def _deliver(queue: Queue, put: Callable[[], None], count: int) -> bool:
    """Whether a fresh consumer gets the `count` marked records that `put` puts."""
    got = context.Value("i", 0, lock=False)

    def consume() -> None:
        while True:
            got.value += queue.get() == MARK
            queue.task_done()

    _janitor(queue)
    with _child(consume):
        put()
        _janitor(queue)
        deadline = time.monotonic() + PATIENCE
        while got.value < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return bool(got.value >= count)


def _janitor(queue: Queue) -> None:
    """Give back frames of the dead, as a worker process does all the time."""
    if isinstance(queue, RecordQueue):
        janitor.sweep(queue.arena)


def _consume(queue: Queue) -> None:
    while queue.get() != END:
        queue.task_done()
    queue.task_done()


def _produce(queue: Queue) -> None:
    while True:
        queue.put(LINE)


def _kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


@contextmanager
def _child(work: Callable[..., None], *args: Queue) -> Iterator[BaseProcess]:
    process = context.Process(target=work, args=args, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


if __name__ == "__main__":
    main()
