"""What the tests of the record queue share: processes that die, and an auditor of what they leave.

A test here forks: the child works on the queue and dies as the test wants it, the parent is the
process that lives on, gives back what the dead have left (`audit`), and looks at every record.
"""

import contextlib
import json
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.arena import FREE, READY, WAITING
from dataart_mp.queue.release import wake
from dataart_mp.stats import Stats

KILLED = -signal.SIGKILL
FAR_FUTURE = 1 << 62
NOW = 1 << 60


def record(number: int, width: int = 0) -> bytes:
    """The record of that number, as many bytes long as `width` or as it needs."""
    return b'{"n":%d}' % number + b" " * (width - 1 - len(b'{"n":%d}' % number)) + b"\n"


def number_of(line: bytes) -> int:
    number = json.loads(line)["n"]
    assert isinstance(number, int)
    return number


def die() -> None:
    """As `kill -9` does it: nothing of Python's runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[], object]) -> int:
    """Do the work in a forked child that then ends without Python's leave; its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        sys.settrace(None)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it must not unwind into pytest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def reap(pid: int) -> int:
    """Wait for a child's end: its exit code, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_a_child(work: Callable[[], object]) -> int:
    return reap(fork(work))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert reap(pid) == KILLED


class Slate:
    """Numbers that several processes write down, and that outlive them all."""

    def __init__(self, size: int = 4096) -> None:
        self._memory = mmap.mmap(-1, size)
        self._size = size

    def __getitem__(self, number: int) -> int:
        return self._memory[number]

    def mark(self, number: int) -> None:
        """One more mark at this number (by one process at a time)."""
        self._memory[number] += 1

    def wipe(self) -> None:
        self._memory[:] = bytes(self._size)

    def marked(self) -> set[int]:
        return {number for number in range(self._size) if self._memory[number]}


@contextlib.contextmanager
def queue_of(
    frames: int = 4, capacity: int = 64, *, records: int = 1, interval: float = 60.0
) -> Iterator[RecordQueue]:
    queue = RecordQueue(frames, capacity, records=records, interval=interval)
    try:
        yield queue
    finally:
        queue.close()


def put_seven(queue: RecordQueue) -> None:
    for number in range(6):
        queue.producer.append(record(number))
    queue.producer.append_alone(record(6))


def put_eight(queue: RecordQueue) -> None:
    for number in range(7):
        queue.producer.append(record(number))
    queue.producer.append_alone(record(7))
    queue.producer.seal()


def claim_all(queue: RecordQueue) -> list[Frame]:
    """Claim whatever is READY, the lowest frame first."""
    frames = [Frame.claim(queue.arena, number) for number in queue.arena.all_in(READY)]
    return [frame for frame in frames if frame is not None]


def lines_of(frame: Frame) -> list[bytes]:
    """The records of a frame that are still to be sent."""
    return [
        line
        for start, end in frame.spans()
        for line in frame.content(start, end).splitlines(keepends=True)
    ]


def drain(queue: RecordQueue) -> list[int]:
    """Deliver all that is sealed, or left behind by the dead; the numbers of the records."""
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
            numbers += [number_of(line) for line in lines_of(frame)]
            queue.worker.settle(frame)


def serve(queue: RecordQueue, delivered: Slate | None = None) -> NoReturn:
    """Be a worker, until somebody kills this process."""
    while True:
        for number in janitor.sweep(queue.arena):
            queue.work.notify(number)
        heard = queue.work.wait_at_most(0.002)
        for frame in claim_all(queue) if heard is None else [Frame.claim(queue.arena, heard)]:
            if frame is not None:
                if delivered is not None:
                    for line in lines_of(frame):
                        delivered.mark(number_of(line))
                queue.worker.settle(frame)


def stats_while(queue: RecordQueue, frame: int, move: Callable[[], object]) -> Stats:
    """The balance, if records are moved when all frames before `frame` have been read."""
    arena: Any = queue.arena
    account = arena.account

    def read(number: int) -> Any:
        if number == frame and "account" in vars(arena):
            del arena.account
            move()
        return account(number)

    arena.account = read
    return queue.stats()


def audit(queue: RecordQueue) -> list[int]:
    """Deliver what is left, and see that everything is accounted for and nothing leaked."""
    before = queue.stats()
    assert before.balanced
    numbers = drain(queue)
    after = queue.stats()
    assert after.balanced
    assert (after.accepted, after.pending) == (before.accepted, 0), f"{before} became {after}"
    assert after.delivered == before.delivered + len(numbers), "each was accepted as one"
    assert_clean(queue)
    return numbers


def assert_clean(queue: RecordQueue) -> None:
    """No frame is in use, or owned, or holds a byte of what it held."""
    arena = queue.arena
    states = [arena.state(frame) for frame in range(arena.frames)]
    assert states == [FREE] * arena.frames, "a frame leaked"
    owners = [arena.locks.owner(frame) for frame in range(arena.frames)]
    assert owners == [None] * arena.frames, "a lock leaked"
    for frame in range(arena.frames):
        assert not arena.content(frame, 0, arena.stride).strip(b"\0"), "a free frame is all zeros"


def descriptors() -> set[str]:
    """The open descriptors of this process, by their numbers and what they lead to."""
    folder = Path("/proc/self/fd" if sys.platform == "linux" else "/dev/fd")
    return {f"{fd.name} {fd.readlink()}" for fd in folder.iterdir() if fd.exists()}
