"""Helpers of the queue's tests: processes that die, and an audit of what they leave behind.

A test forks a child that works on the queue and dies. The parent survives, recovers what the dead
process has left (`audit`), and checks every record.
"""

import contextlib
import itertools
import json
import mmap
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.account import OPENING
from dataart_mp.queue.account import can_follow as account_can_follow
from dataart_mp.stats import Stats
from tests.queue.internals import FREE, NONE, READY, WAITING, Arena, WakeupPipe, janitor, wake

KILLED = -signal.SIGKILL
FAR_FUTURE = 1 << 62
NOW = 1 << 60


def record(number: int, width: int = 0) -> bytes:
    """Return the record with this number, `width` bytes long or as long as necessary."""
    return b'{"n":%d}' % number + b" " * (width - 1 - len(b'{"n":%d}' % number)) + b"\n"


def number_of(line: bytes) -> int:
    """Return the number of a record, or of an action whose metadata hold it."""
    fields = json.loads(line)
    number = fields.get("metadata", fields)["n"]
    assert isinstance(number, int)
    return number


# Processes


def die() -> None:
    """Kill this process by SIGKILL, so that no more Python code runs in it."""
    os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[], object]) -> int:
    """Call `work` in a forked child, which then ends by `os._exit`; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        sys.settrace(None)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - no exception may unwind into pytest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def reap(pid: int) -> int:
    """Wait until a child has ended; return its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_child(work: Callable[[], object]) -> int:
    """Call `work` in a forked child, and return its exit code as `reap` does."""
    return reap(fork(work))


def kill(pid: int) -> None:
    """Kill a child by SIGKILL, and reap it."""
    os.kill(pid, signal.SIGKILL)
    assert reap(pid) == KILLED


class SharedCounts:
    """A count for each number, in memory that processes share and that outlives them."""

    def __init__(self, size: int = 4096) -> None:
        self._memory = mmap.mmap(-1, size)
        self._size = size

    def __getitem__(self, number: int) -> int:
        return self._memory[number]

    def add(self, number: int) -> None:
        """Add one to the count of this number; only one process may do so at a time."""
        self._memory[number] += 1

    def clear(self) -> None:
        """Set all counts to zero."""
        self._memory[:] = bytes(self._size)

    def numbers(self) -> set[int]:
        """Return the numbers whose count is not zero."""
        return {number for number in range(self._size) if self._memory[number]}


def run_threads(works: Iterable[Callable[[], object]]) -> None:
    """Run each function in a separate thread, and wait until all have returned."""
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Queues


@contextlib.contextmanager
def queue_of(
    frames: int = 4,
    capacity: int = 64,
    *,
    records: int = 1,
    interval: float = 60.0,
    durability: int = NONE,
) -> Iterator[RecordQueue]:
    """Create a queue, and close it afterwards."""
    arena = Arena.create(frames, capacity, durability)
    queue = RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), records, interval)
    try:
        yield queue
    finally:
        queue.close()


def put_seven(queue: RecordQueue) -> None:
    """Append the actions 0 to 5 and the identity 6."""
    for number in range(6):
        queue.producer.append(record(number))
    queue.producer.append_alone(record(6))


def put_eight(queue: RecordQueue) -> None:
    """Append the actions 0 to 6 and the identity 7, and seal all frames."""
    for number in range(7):
        queue.producer.append(record(number))
    queue.producer.append_alone(record(7))
    queue.producer.seal()


def claim(queue: RecordQueue, number: int) -> Frame:
    """Claim a frame that is READY."""
    frame = Frame.claim(queue.arena, number)
    assert frame is not None
    return frame


def claim_all(queue: RecordQueue) -> list[Frame]:
    """Claim all frames that are READY, in the order of their numbers."""
    frames = [Frame.claim(queue.arena, number) for number in queue.arena.all_in(READY)]
    return [frame for frame in frames if frame is not None]


def can_follow(frame: Frame) -> bool:
    """Return whether a frame could be joined to another one."""
    account = frame.account
    words = account.words[account.first : account.first + OPENING].tolist()
    return account_can_follow(words, refused_too=True)


def lines_of(frame: Frame) -> list[bytes]:
    """Return the records of a frame that are still to be sent."""
    return [
        line
        for start, end in frame.spans()
        for line in frame.content(start, end).splitlines(keepends=True)
    ]


def numbers_of(frame: Frame) -> list[int]:
    """Return the numbers of the records of a frame that are still to be sent."""
    return [number_of(line) for line in lines_of(frame)]


def drain(queue: RecordQueue) -> list[int]:
    """Deliver all records, those left behind by dead processes too; return their numbers."""
    numbers: list[int] = []
    queue.producer.seal()
    while True:
        janitor.sweep(queue.arena)
        for waiting in queue.arena.all_in(WAITING):
            due = queue.arena.account(waiting).due_at(FAR_FUTURE)
            wake(queue.arena, waiting, max(FAR_FUTURE, due))
        frames = claim_all(queue)
        if not frames:
            return numbers
        for frame in frames:
            numbers += numbers_of(frame)
            queue.worker.settle(frame)


def serve(queue: RecordQueue, delivered: SharedCounts | None = None) -> NoReturn:
    """Work as a worker until this process is killed."""
    while True:
        for number in janitor.sweep(queue.arena):
            queue.work.notify(number)
        notified = queue.work.wait_at_most(0.002)
        ready = claim_all(queue) if notified is None else [Frame.claim(queue.arena, notified)]
        for frame in ready:
            if frame is not None:
                if delivered is not None:
                    for number in numbers_of(frame):
                        delivered.add(number)
                queue.worker.settle(frame)


def stats_while(queue: RecordQueue, frame: int, move: Callable[[], object]) -> Stats:
    """Return the stats when `move` is called after all frames but `frame` have been counted."""
    arena: Any = queue.arena
    generations, calls = arena.generations, itertools.count()

    def read(frames: range | None = None) -> Any:
        if frames == range(frame, frame + 1):  # it is read again, alone
            del arena.generations
            move()
        found = generations(frames)
        if frames is None or next(calls) == 0:
            found[frame] += 1  # as if it was used before, and changes while the others are read
        return found

    arena.generations = read
    return queue.stats()


def audit(queue: RecordQueue) -> list[int]:
    """Deliver all records, and check that each is counted once and that nothing leaks.

    Returns:
        The numbers of the delivered records.
    """
    before = queue.stats()
    assert before.balanced
    numbers = drain(queue)
    after = queue.stats()
    assert after.balanced
    assert (after.accepted, after.pending) == (before.accepted, 0), f"{before} became {after}"
    assert after.delivered == before.delivered + len(numbers), "each was accepted once"
    assert_clean(queue)
    return numbers


def assert_clean(queue: RecordQueue) -> None:
    """Check that all frames are free and zeroed, and that no process owns one."""
    arena = queue.arena
    states = [arena.state(frame) for frame in range(arena.frames)]
    assert states == [FREE] * arena.frames, "a frame leaked"
    owners = [arena.locks.owner(frame) for frame in range(arena.frames)]
    assert owners == [None] * arena.frames, "a lock leaked"
    for frame in range(arena.frames):
        assert not arena.content(frame, 0, arena.stride).strip(b"\0"), "a free frame is all zeros"


def descriptors() -> set[str]:
    """Return the open descriptors of this process: their numbers and what they refer to."""
    folder = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    return {f"{fd.name} {fd.readlink()}" for fd in folder.iterdir() if fd.exists()}
