"""A process that is stopped while it holds a role holds up nobody."""

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from dataart_mp.queue import RecordQueue
from tests.queue.internals import (
    JANITOR,
    LOADER,
    SENDING,
    Arena,
    janitor,
    may_act,
    role,
)
from tests.queue.tools import (
    SharedCounts,
    audit,
    claim_all,
    fork,
    in_a_child,
    kill,
    queue_of,
    record,
)
from tests.support import wait_until


@pytest.fixture
def queue() -> Iterator[RecordQueue]:
    with queue_of() as made:
        yield made


def hold_elsewhere(arena: Arena, byte: int) -> int:
    """Let a child hold a role; return its process id."""
    sign = SharedCounts()

    def hold() -> None:
        assert arena.locks.acquire(byte)
        sign.add(1)
        signal.pause()

    child = fork(hold)
    wait_until(lambda: sign[1])
    return child


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


def test_one_process_at_a_time_acts_in_a_role(queue: RecordQueue) -> None:
    arena = queue.arena
    other = hold_elsewhere(arena, LOADER)
    with role(arena.locks, LOADER) as may:
        assert not may
    kill(other)
    with role(arena.locks, LOADER) as may:
        assert may
        assert not may_act(arena.locks, LOADER), "another thread of this process"
    with role(arena.locks, LOADER) as may:
        assert may


def test_a_stopped_holder_is_not_waited_for(queue: RecordQueue) -> None:
    arena = queue.arena
    other = hold_elsewhere(arena, LOADER)
    stop(other)
    with role(arena.locks, LOADER) as may:
        assert may
        assert arena.locks.owner(LOADER) == other, "it keeps the lock"
    os.kill(other, signal.SIGCONT)
    wait_until(lambda: not may_act(arena.locks, LOADER))
    kill(other)
    assert may_act(arena.locks, LOADER)


def test_frames_of_the_dead_are_released_while_the_janitor_is_stopped(queue: RecordQueue) -> None:
    queue.producer.append(record(0))
    assert in_a_child(partial(claim_all, queue)) == 0
    other = hold_elsewhere(queue.arena, JANITOR)
    assert janitor.sweep(queue.arena) == []
    stop(other)
    assert queue.arena.state(0) == SENDING
    assert janitor.sweep(queue.arena) == [0]
    kill(other)
    audit(queue)
