"""The supervisor keeps a live worker in every place."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.locks import STARTER
from dataart_mp.supervision import interpreter
from dataart_mp.supervision import supervisor as supervisor_module
from dataart_mp.supervision.launch import Launch
from dataart_mp.supervision.supervisor import READY_SECONDS
from tests.support import slow_python, wait_until
from tests.worker.crew import Crew, MakeCrew, gone


def test_every_place_gets_a_worker_and_the_starter_lock_is_released(make_crew: MakeCrew) -> None:
    work = make_crew(flush_num_processes=3)
    work.check_until(work.all_ready)
    assert len(set(work.places)) == 3
    assert work.supervisor.workers() == work.places
    assert work.supervisor.error is None
    assert not work.supervisor.unavailable_reason()
    assert work.queue.arena.locks.owner(STARTER) is None


def test_the_first_worker_is_started_alone_and_the_others_once_it_is_ready(
    make_crew: MakeCrew,
) -> None:
    """A start slows down the thread with the first event."""
    work = make_crew(flush_num_processes=3)
    now = time.monotonic()
    work.supervisor.check(now)
    work.supervisor.check(now)
    assert len(work.launches) == 1
    work.read_until(lambda: all(launch.ready for launch in work.launches), now)
    work.supervisor.check(now)
    assert len(work.launches) == 3


def test_a_slow_first_worker_does_not_delay_the_others(make_crew: MakeCrew) -> None:
    work = make_crew(flush_num_processes=3)
    now = time.monotonic()
    work.supervisor.check(now)
    work.supervisor.check(now + 1.0)
    assert len(work.launches) == 3


def test_ensure_one_starts_one_worker_and_does_not_wait_for_it(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python, may_start = slow_python(tmp_path)
    monkeypatch.setattr(interpreter, "find", lambda: str(python))
    work = make_crew(flush_num_processes=2)
    work.supervisor.ensure_one(time.monotonic())
    assert len(work.launches) == 1
    assert work.places == [None, None], "it cannot be ready yet"
    may_start.touch()
    work.emit("tick")
    wait_until(lambda: work.delivered() == 1)  # without any check


def test_a_second_worker_for_the_same_place_ends(make_crew: MakeCrew) -> None:
    work = make_crew()
    work.check_until(work.all_ready)
    (worker,) = work.places
    second = Launch(work.inheritance(), work.config, 0, None)
    second.wait(20)
    assert second.place_was_taken
    assert not second.ready
    assert work.places == [worker]
    wait_until(second.reap)
    second.close()


def test_a_killed_worker_is_replaced_at_once_and_logged(
    make_crew: MakeCrew, caplog: pytest.LogCaptureFixture
) -> None:
    work = make_crew(flush_num_processes=2)
    work.check_until(work.all_ready)
    victim, survivor = work.places
    assert victim is not None
    with caplog.at_level(logging.WARNING, "dataart_mp"):
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: work.places[0] is None)
        work.check_until(work.all_ready, 5)
    assert work.places[1] == survivor
    assert work.places[0] not in (victim, None)
    assert "worker 0 died; its batches will be sent again" in caplog.text


def test_a_worker_that_another_process_started_is_replaced_too(make_crew: MakeCrew) -> None:
    """Only its lock shows that it has died."""
    work = make_crew()
    stranger = Launch(work.inheritance(), work.config, 0, None)
    wait_until(lambda: work.places != [None])
    work.supervisor.check(time.monotonic())
    assert not work.launches
    (victim,) = work.places
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: work.places == [None])
    work.check_until(work.all_ready, 10)
    wait_until(stranger.reap)
    stranger.close()


def test_no_worker_is_started_while_another_process_starts_one(make_crew: MakeCrew) -> None:
    work = make_crew()
    with held_elsewhere(work, STARTER):
        work.supervisor.ensure_one(time.monotonic())
        work.supervisor.check(time.monotonic())
        assert not work.launches
    work.check_until(work.all_ready)


def test_a_starter_that_is_stopped_is_not_waited_for(make_crew: MakeCrew) -> None:
    """By SIGSTOP, or by a debugger: its lock would keep all others from starting workers."""
    work = make_crew()
    with held_elsewhere(work, STARTER) as holder:
        os.kill(holder, signal.SIGSTOP)
        os.waitid(os.P_PID, holder, os.WSTOPPED)
        work.supervisor.ensure_one(time.monotonic())
        work.check_until(work.all_ready)
        assert work.queue.arena.locks.owner(STARTER) == holder
        os.kill(holder, signal.SIGCONT)


def test_a_starter_that_does_not_get_on_is_not_waited_for_for_ever(make_crew: MakeCrew) -> None:
    """Its container is frozen, for example, which looks like sleeping."""
    work = make_crew()
    now = time.monotonic()
    with held_elsewhere(work, STARTER):
        for seconds in (0, 1, READY_SECONDS - 1):
            work.supervisor.check(now + seconds)
            assert not work.launches
        work.supervisor.check(now + READY_SECONDS + 1)
        assert work.launches


def test_threads_that_start_concurrently_start_one_worker_for_a_place(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, the thread of the first event and the housekeeping thread."""
    work = make_crew()
    made: list[Launch] = []

    def slow(*arguments: Any) -> Launch:
        time.sleep(0.05)
        made.append(Launch(*arguments))
        return made[-1]

    monkeypatch.setattr(supervisor_module, "Launch", slow)
    start = threading.Barrier(4)

    def begin(call: Callable[[float], None]) -> None:
        start.wait()
        call(time.monotonic())

    calls = [work.supervisor.ensure_one, work.supervisor.check] * 2
    threads = [threading.Thread(target=begin, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    work.check_until(work.all_ready)
    assert work.queue.arena.locks.owner(STARTER) is None


def test_no_worker_is_started_if_the_client_is_closed_and_all_is_settled(
    make_crew: MakeCrew,
) -> None:
    work = make_crew()
    work.queue.arena.close_permanently()
    work.supervisor.check(time.monotonic())
    assert not work.launches


def test_a_worker_is_started_to_deliver_what_a_closed_client_left(
    make_crew: MakeCrew, platform: SinkProcess
) -> None:
    work = make_crew()
    work.emit("tick")
    work.queue.arena.close_permanently()
    work.check_until(lambda: work.delivered() == 1)
    work.check_until(lambda: work.places == [None])
    work.check_until(lambda: not work.launches)
    assert platform.stats()["actions"] == 1


def test_any_thread_may_ask_for_the_unavailable_reason_while_workers_start_and_end(
    make_crew: MakeCrew,
) -> None:
    work = make_crew(flush_num_processes=2)
    work.supervisor.error = "so that the places are checked"
    stop = threading.Event()
    errors: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                work.supervisor.unavailable_reason()
            except BaseException as error:  # noqa: BLE001 - for the test to see
                errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(2):
            work.check_until(work.all_ready)
            work.supervisor.error = "so that the places are checked"
            for pid in work.places:
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: work.places == [None, None])
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert not errors


def test_wait_ends_when_workers_have_ended_or_time_is_up(make_crew: MakeCrew) -> None:
    work = make_crew()
    work.check_until(work.all_ready)
    (worker,) = work.places
    assert worker is not None
    started = time.monotonic()
    work.supervisor.wait(0.2)
    assert 0.15 < time.monotonic() - started < 2
    work.queue.arena.close_permanently()
    work.wiring.close_life()
    work.supervisor.wait(20)
    wait_until(lambda: gone(worker), 2)


def test_a_forked_child_does_not_affect_its_parents_workers(make_crew: MakeCrew) -> None:
    work = make_crew()
    work.check_until(work.all_ready)
    (worker,) = work.places
    pid = os.fork()
    if not pid:
        try:
            work.queue.after_fork()
            work.supervisor.forked()
            clean = not work.launches and work.places == [worker]
        finally:
            os._exit(0 if clean else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert work.places == [worker]
    assert [launch.ready for launch in work.launches] == [True]


HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX, 1, int(sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held_elsewhere(crew: Crew, byte: int) -> Iterator[int]:
    """Let another process, whose id this yields, hold a lock of the crew's arena."""
    fd = crew.queue.arena.lock_fd
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(fd), str(byte)],
        pass_fds=[fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid
        holder.communicate()
