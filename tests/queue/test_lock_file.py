"""The locks of frames survive whatever the application does with descriptors of files."""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from dataart_mp.queue import Frame
from tests.queue.internals import (
    FILLING,
    FREE,
    NOBODY,
    READY,
    SENDING,
    Process,
    janitor,
    lock_file,
)
from tests.queue.tools import (
    SharedCounts,
    audit,
    claim_all,
    fork,
    in_a_child,
    kill,
    queue_of,
    reap,
    record,
)
from tests.support import wait_until


def open_and_close_all_descriptors() -> None:
    """What a program does that looks at all its open files."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            os.close(os.open(entry, os.O_RDONLY | os.O_NONBLOCK))


def test_no_path_leads_to_a_lock_file() -> None:
    fd = lock_file.make()
    with pytest.raises(OSError, match="No such device") as caught:
        os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    assert caught.value.errno == errno.ENXIO
    os.close(fd)


def test_the_locks_lie_on_an_anonymous_file_where_a_socket_takes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lockf, refused = fcntl.lockf, []

    def refuse_sockets(fd: int, *arguments: int) -> None:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            refused.append(fd)
            raise OSError(errno.EBADF, "Bad file descriptor")
        lockf(fd, *arguments)

    monkeypatch.setattr(fcntl, "lockf", refuse_sockets)
    fd = lock_file.make()
    assert refused
    assert not stat.S_ISSOCK(os.fstat(fd).st_mode)
    os.close(fd)


def test_a_frame_stays_its_producers_when_all_descriptors_are_opened_and_closed_again() -> None:
    with queue_of(records=5) as queue:
        queue.producer.append(record(0))
        open_and_close_all_descriptors()
        assert in_a_child(lambda: None if janitor.sweep(queue.arena) == [] else os._exit(1)) == 0
        assert queue.arena.all_in(FILLING) == [0]
        queue.producer.append(record(1))
        assert audit(queue) == [0, 1]


def test_a_frame_stays_its_workers_when_all_descriptors_are_opened_and_closed_again() -> None:
    sign = SharedCounts()
    with queue_of() as queue:
        queue.producer.append(record(0))

        def claim_and_look_around() -> None:
            claim_all(queue)
            open_and_close_all_descriptors()
            sign.add(0)
            wait_until(lambda: sign[1])

        worker = fork(claim_and_look_around)
        wait_until(lambda: sign[0])
        assert janitor.sweep(queue.arena) == []
        assert queue.arena.state(0) == SENDING
        kill(worker)
        assert janitor.sweep(queue.arena) == [0]
        assert audit(queue) == [0]


def test_a_frame_of_a_living_process_that_has_lost_its_lock_is_left_alone() -> None:
    """Its application has closed the descriptor of the lock file."""
    sign = SharedCounts()
    with queue_of(records=5) as queue:

        def lose_the_lock() -> None:
            queue.producer.append(record(0))
            os.close(os.dup(queue.arena.lock_fd))
            sign.add(0)
            wait_until(lambda: sign[1])
            queue.producer.append(record(1))
            queue.producer.seal()

        child = fork(lose_the_lock)
        wait_until(lambda: sign[0])
        assert queue.arena.locks.owner(0) is None, "as after a death"
        assert janitor.sweep(queue.arena) == []
        assert queue.arena.locks.owner(0) is None, "it is free for its owner again"
        assert queue.arena.state(0) == FILLING
        sign.add(1)
        assert reap(child) == 0
        assert queue.arena.state(0) == READY
        assert audit(queue) == [0, 1]


@pytest.mark.parametrize(
    "owner",
    [NOBODY, Process(os.getpid(), 1), Process(1 << 22, 1)],
    ids=["nobody", "an id that is used again", "a dead process"],
)
def test_a_frame_whose_owner_is_dead_is_released(owner: Process) -> None:
    with queue_of(records=5) as queue:
        assert in_a_child(lambda: queue.producer.append(record(0))) == 0
        queue.arena.account(0).process = owner
        assert janitor.sweep(queue.arena) == [0]
        assert audit(queue) == [0]


def test_a_zombie_owns_nothing() -> None:
    with queue_of() as queue:
        queue.producer.append(record(0))
        child = fork(lambda: Frame.claim(queue.arena, 0))
        wait_until(lambda: queue.arena.locks.owner(0) is None and queue.arena.state(0) == SENDING)
        assert janitor.sweep(queue.arena) == [0]
        assert reap(child) == 0
        assert audit(queue) == [0]


def test_an_owner_of_another_boot_is_dead() -> None:
    with queue_of(records=5) as queue:
        assert in_a_child(lambda: queue.producer.append(record(0))) == 0
        assert queue.arena.account(0).process != NOBODY
        queue.arena.settle_in()
        assert queue.arena.account(0).process == NOBODY
        assert audit(queue) == [0]


def test_a_forked_child_owns_its_frames_itself() -> None:
    """Else a sweep would leave them alone after its death, as long as its parent lives."""
    with queue_of(records=5) as queue:

        def emit() -> None:
            queue.producer.append(record(0))
            assert queue.arena.account(0).process.pid == os.getpid()

        assert in_a_child(emit) == 0
        assert in_a_child(lambda: None if janitor.sweep(queue.arena) == [0] else os._exit(1)) == 0
        assert audit(queue) == [0]


def test_a_process_that_has_closed_the_arena_owns_nothing_though_it_lives() -> None:
    sign = SharedCounts()
    with queue_of(records=5) as queue:

        def close_in_the_middle() -> None:
            queue.producer.append(record(0))
            queue.arena.close()
            sign.add(0)
            wait_until(lambda: sign[1])

        child = fork(close_in_the_middle)
        wait_until(lambda: sign[0])
        assert janitor.sweep(queue.arena) == [0]
        assert audit(queue) == [0]
        sign.add(1)
        assert reap(child) == 0


def test_a_process_that_finds_its_own_frame_unlocked_is_not_its_owner_any_more() -> None:
    with queue_of() as queue:
        arena = queue.arena
        arena.account(0).process = arena.process
        assert not arena.is_owner_alive(0)
        child = fork(lambda: wait_until(lambda: arena.state(0)))
        arena.account(0).process = Process(child, int(start_of(child)))
        assert arena.is_owner_alive(0)
        arena.set_state(0, FILLING)
        assert reap(child) == 0
        assert not arena.is_owner_alive(0)
        arena.set_state(0, FREE)


def start_of(pid: int) -> str:
    """Return when a process started, as /proc says."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
