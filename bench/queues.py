"""`multiprocessing.JoinableQueue` compared with `RecordQueue`: speed, and process deaths.

Both are used by the same interface, in turn, in one run.
"""

import multiprocessing
import multiprocessing.queues
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Final, TypeAlias

from bench.settings import Scale
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.measurement import Column, Sample
from dataart_mp.queue import RecordQueue, janitor

PLAIN: Final = "multiprocessing.JoinableQueue"
COLUMNS: Final = (Column("records/s", "records_per_second"),)
_RECORD: Final = b'{"key":"button-clicked","user_key":"user-12345678","metadata":{"n":1}}'
_LINE: Final = _RECORD.ljust(181) + b"\n"
_RECORDS: Final = 20_000
_TIMEOUT_SECONDS: Final = 2.0
_MARK: Final = b"mark\n"
_END: Final = b"end\n"

Queue: TypeAlias = "multiprocessing.queues.JoinableQueue[bytes] | RecordQueue"
context = multiprocessing.get_context("fork")


def _plain() -> Queue:
    """Return a queue of the standard library."""
    return context.JoinableQueue()


def _ours() -> Queue:
    """Return our queue, used like the standard one: each record can be got immediately."""
    return RecordQueue(frames=1000, records=1)


def _ours_in_frames() -> Queue:
    """Return our queue, used as the client does: records cross it in frames."""
    return RecordQueue(frames=1000, records=300)


_MAKERS: Final[dict[str, Callable[[], Queue]]] = {
    PLAIN: _plain,
    "RecordQueue, 1 record a frame": _ours,
    "RecordQueue, 300 a frame": _ours_in_frames,
}


def cases(scale: Scale) -> dict[str, Callable[[], Sample]]:
    """Return cases that move records to another process by `put`, `get` and `task_done`."""

    def case(name: str) -> Callable[[], Sample]:
        return lambda: fresh(transfer, queue=name, records=scale(_RECORDS))

    return {name: case(name) for name in _MAKERS}


def transfer(queue: str, records: int) -> Sample:
    """Measure the transfer of records through one queue."""
    seconds = _transfer(_MAKERS[queue](), records)
    return {"records": records, "seconds": seconds, "records_per_second": records / seconds}


def _transfer(queue: Queue, records: int) -> float:
    with _child(_consume, queue):
        start = time.perf_counter()
        for _ in range(records):
            queue.put(_LINE)
        queue.put(_END)
        if isinstance(queue, RecordQueue):
            queue.producer.seal()
        queue.join()
        return time.perf_counter() - start


def survival(trials: int) -> dict[str, dict[str, int]]:
    """Return, by death and queue, in how many trials all records are delivered."""
    deaths: dict[str, Callable[[Queue], bool]] = {
        "an idle consumer is killed": _idle_consumer_killed,
        "a busy producer is killed": _busy_producer_killed,
        "a child of os.fork() puts": _forked_child_puts,
    }
    makers: dict[str, Callable[[], Queue]] = {PLAIN: _plain, "RecordQueue": _ours}
    return {
        death: {
            name: sum(_in_time(trial, make) for _ in range(trials)) for name, make in makers.items()
        }
        for death, trial in deaths.items()
    }


def survival_table(survived: dict[str, dict[str, int]], trials: int) -> str:
    """Return the result of `survival` as a table."""
    lines = [f"Trials in which all records are delivered within {_TIMEOUT_SECONDS:.0f} s:"]
    for death, counts in survived.items():
        if len(lines) == 1:
            titles = [f"{name.rpartition('.')[2]:>15}" for name in counts]
            lines.append(f"{'':28}" + "".join(titles))
        cells = [f"{f'{count} of {trials}':>15}" for count in counts.values()]
        lines.append(f"{death:28}" + "".join(cells))
    return "\n".join(lines)


def _in_time(trial: Callable[[Queue], bool], make: Callable[[], Queue]) -> bool:
    """Run a trial in a separate process group: with the standard queue even `put` may hang."""
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        os._exit(0 if trial(make()) else 1)
    deadline = time.monotonic() + 2 * _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _idle_consumer_killed(queue: Queue) -> bool:
    with _child(_consume, queue) as consumer:
        time.sleep(0.2)  # by now it waits in get()
        _kill(consumer)
    return _deliver(queue, lambda: queue.put(_MARK), 1)


def _busy_producer_killed(queue: Queue) -> bool:
    with _child(_produce, queue) as producer:
        time.sleep(0.05)
        _kill(producer)
    return _deliver(queue, lambda: queue.put(_MARK), 1)


def _forked_child_puts(queue: Queue) -> bool:
    queue.put(_LINE)  # it starts the standard queue's feeder thread, which a forked child lacks
    time.sleep(0.05)

    def put_in_child() -> None:
        pid = os.fork()
        if not pid:
            for _ in range(5):
                queue.put(_MARK)
            os._exit(0)
        os.waitpid(pid, 0)

    return _deliver(queue, put_in_child, 5)


def _deliver(queue: Queue, put: Callable[[], None], count: int) -> bool:
    """Whether a new consumer gets the `count` marked records that `put` puts."""
    got = context.Value("i", 0, lock=False)

    def consume() -> None:
        while True:
            got.value += queue.get() == _MARK
            queue.task_done()

    _sweep(queue)
    with _child(consume):
        put()
        _sweep(queue)
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while got.value < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return bool(got.value >= count)


def _sweep(queue: Queue) -> None:
    """Release frames of dead processes, as a worker does regularly."""
    if isinstance(queue, RecordQueue):
        janitor.sweep(queue.arena)


def _consume(queue: Queue) -> None:
    while queue.get() != _END:
        queue.task_done()
    queue.task_done()


def _produce(queue: Queue) -> None:
    while True:
        queue.put(_LINE)


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
