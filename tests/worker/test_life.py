"""A worker works as long as a process may emit, then delivers what is left, and ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from dataart_mp import ClientConfig
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.arena import FILLING, SENDING, WAITING
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.loop import Loop
from dataart_mp.worker.parking import NoParking
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.shared_flow import FixedPace
from dataart_mp.worker.worker import Worker
from tests.support import stop, wait_until
from tests.transport.servers import refused_port
from tests.worker.crew import Crew, gone

MakeCrew = Callable[..., Crew]


@pytest.fixture
def crew(platform: SinkProcess, quick_workers: None) -> Iterator[MakeCrew]:
    """Makes crews whose workers are ready."""
    crews: list[Crew] = []

    def make(**settings: Any) -> Crew:
        defaults: dict[str, Any] = {
            "base_url": platform.url,
            "flush_num_processes": 1,
            "flush_buffer_size": 8,
            "flush_max_batch_size": None,
            "flush_backoff_ratio": 0.2,
        }
        crews.append(Crew(ClientConfig("key", **{**defaults, **settings})))
        crews[-1].check_until(crews[-1].all_ready)
        return crews[-1]

    yield make
    for made in crews:
        made.close()


def die(crew: Crew) -> None:
    """Die, as workers see it: the client is not closed, but no producer is left."""
    crew.wiring.close_life()


def two_workers(crew: MakeCrew, platform: SinkProcess) -> Crew:
    """Make a crew of two workers with one sender each, whose requests hang."""
    platform.set_faults({"kind": "hang"})
    return crew(flush_num_processes=2, flush_num_workers=2)


def kill_first(crew: Crew) -> None:
    victim, *_ = crew.places
    assert victim is not None
    os.kill(victim, signal.SIGKILL)


def worker_of(crew: Crew) -> int:
    (worker,) = crew.places
    assert worker is not None
    return worker


def states(crew: Crew, state: int) -> list[int]:
    return crew.queue.arena.all_in(state)


# Running


def test_a_worker_runs_while_a_producer_lives_even_without_work(crew: MakeCrew) -> None:
    work = crew()
    worker = worker_of(work)
    time.sleep(1.2)  # more than one check
    assert not gone(worker)
    assert psutil.Process(worker).cpu_times().user < 1


def test_a_worker_runs_while_any_process_holds_the_life_pipe(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    """A forked child may emit after its parent has died."""
    work = crew()
    worker = worker_of(work)
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[work.wiring.life_write_fd],
    )
    die(work)
    time.sleep(0.3)
    assert not gone(worker)
    work.emit("tick")
    platform.wait_for(lambda stats: stats["actions"] == 1)
    child.communicate(b"\n")
    wait_until(lambda: gone(worker))


def test_an_idle_worker_uses_almost_no_cpu(crew: MakeCrew) -> None:
    worker = psutil.Process(worker_of(crew(flush_num_workers=16)))
    before = sum(worker.cpu_times()[:2])
    time.sleep(1)
    assert sum(worker.cpu_times()[:2]) - before < 0.1


# Ending


def test_a_worker_ends_at_once_when_the_client_is_closed_and_all_is_settled(crew: MakeCrew) -> None:
    work = crew()
    worker = worker_of(work)
    work.emit("tick")
    wait_until(lambda: work.delivered() == 1)
    work.queue.arena.close_permanently()
    die(work)
    wait_until(lambda: gone(worker), 1)


def test_a_worker_ends_soon_when_the_client_is_closed_but_other_processes_hold_the_life_pipe(
    crew: MakeCrew,
) -> None:
    work = crew()
    worker = worker_of(work)
    work.queue.arena.close_permanently()
    wait_until(lambda: gone(worker), 3)


def test_every_worker_ends(crew: MakeCrew) -> None:
    work = crew(flush_num_processes=3)
    workers = [pid for pid in work.places if pid is not None]
    assert len(workers) == 3
    work.emit(*["tick"] * 20)
    die(work)
    wait_until(lambda: all(map(gone, workers)))
    assert work.delivered() == 20


def test_before_a_worker_ends_it_delivers_what_waits_for_a_retry(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 3})
    work = crew()
    worker = worker_of(work)
    work.emit("tick")
    wait_until(lambda: states(work, WAITING))
    die(work)
    wait_until(lambda: gone(worker))
    stats = work.queue.stats()
    assert (stats.delivered, stats.retries, stats.pending) == (1, 3, 0)


def test_before_a_worker_ends_it_delivers_what_is_in_flight(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    """On connections that the loop drives and on new ones, and whatever signals arrive."""
    work = crew(flush_num_workers=6)
    worker = worker_of(work)
    work.emit("tick")
    wait_until(lambda: work.delivered() == 1)
    platform.set_faults({"kind": "latency", "seconds": 1.0})
    for _ in range(6):
        work.emit("tick")
    platform.wait_for(lambda stats: stats["in_flight"] == 6)
    work.queue.arena.close_permanently()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(worker, number)
    die(work)
    wait_until(lambda: gone(worker))
    assert platform.stats()["actions"] == 7
    assert platform.stats()["unexplained_duplicates"] == 0


def test_before_a_worker_ends_it_abandons_what_cannot_be_delivered(crew: MakeCrew) -> None:
    work = crew(base_url=f"http://127.0.0.1:{refused_port()}", flush_num_retries=1)
    worker = worker_of(work)
    work.emit("tick")
    die(work)
    wait_until(lambda: gone(worker))
    stats = work.queue.stats()
    assert (stats.failed, stats.requests, stats.balanced) == (1, 2, True)


FILL = """
import os, sys
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.frame_writer import FrameWriter
arena = Arena(int(sys.argv[2]), int(sys.argv[3]))
for torn in (False, True):
    writer = FrameWriter.open(arena, 0, 20, 0.0)
    text = sys.argv[1].encode() + b"\\n"
    if torn:
        text += b'{"key":"torn'
    arena.memory[writer.position:writer.position + len(text)] = text
os._exit(0)
"""


def test_before_a_worker_ends_it_delivers_the_open_frames_of_dead_producers(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    """Except a record that is incomplete because of the death: it was never accepted."""
    work = crew()
    worker = worker_of(work)
    record = (
        '{"key":"left","user_key":"ann","is_anonymous_user":false,'
        '"timestamp":"2021-05-04T10:11:12Z","metadata":null}'
    )
    fds = (work.queue.arena.fd, work.queue.arena.lock_fd)
    command = [sys.executable, "-c", FILL, record, *map(str, fds)]
    subprocess.run(command, pass_fds=fds, check=True)
    die(work)
    wait_until(lambda: gone(worker))
    assert not states(work, FILLING)
    assert platform.stats()["by_key"] == {"left": 2}
    assert (work.delivered(), work.queue.stats().pending) == (2, 0)


def test_the_last_worker_replaces_a_dead_one_when_no_producer_is_left(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    work = two_workers(crew, platform)
    victim, survivor = work.places
    work.emit(*["tick"] * 20)
    die(work)
    kill_first(work)
    wait_until(lambda: work.places[0] not in (victim, None))
    helper, _ = work.places
    assert helper is not None
    assert survivor is not None
    platform.clear_faults()
    wait_until(lambda: gone(helper) and gone(survivor))
    assert (work.delivered(), work.queue.stats().pending) == (20, 0)


# Finding work


def test_a_frame_whose_notification_is_lost_is_found(crew: MakeCrew, platform: SinkProcess) -> None:
    work = crew()
    lost: list[int] = []

    def lose(number: int) -> bool:
        lost.append(number)
        return True

    work.queue.work.write = lose  # type: ignore[method-assign]
    work.emit("tick")
    assert lost, "the frame was sealed without a notification to lose"
    platform.wait_for(lambda stats: stats["actions"] == 1, 5)


def test_notifications_without_work_do_no_harm(crew: MakeCrew, platform: SinkProcess) -> None:
    work = crew()
    for _ in range(3):
        for number in range(8):
            work.queue.work.notify(number)
    work.emit("tick")
    platform.wait_for(lambda stats: stats["actions"] == 1)


def test_the_frames_of_a_killed_worker_are_sent_by_another(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    work = two_workers(crew, platform)
    work.emit(*["tick"] * 20)
    work.emit(*["tock"] * 20)
    platform.wait_for(lambda stats: stats["in_flight"] == 2)
    assert len(states(work, SENDING)) == 2
    kill_first(work)
    platform.clear_faults()
    wait_until(lambda: work.delivered() == 40)
    assert platform.stats()["unexplained_duplicates"] == 0


@pytest.mark.parametrize("place", [0, 1])
def test_a_frame_that_a_stopped_worker_was_woken_for_is_sent_by_another(
    crew: MakeCrew, platform: SinkProcess, place: int
) -> None:
    work = crew(flush_num_processes=2)
    stopped = work.places[place]
    assert stopped is not None
    stop(stopped)
    try:
        work.emit("tick")
        platform.wait_for(lambda stats: stats["actions"] == 1, 10)
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_a_batch_that_waits_does_not_hold_up_a_sender(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    """The Go client stops sending when as many batches fail as it has workers."""
    platform.set_faults({"kind": "status", "status": 503, "match": {"key": "bad"}})
    work = crew(flush_num_workers=1, flush_backoff_ratio=60.0)
    for _ in range(4):
        work.emit("bad")
    wait_until(lambda: len(states(work, WAITING)) == 4)
    work.emit("good")
    platform.wait_for(lambda stats: stats["by_key"] == {"good": 1})


# Crashing


class _Exited(BaseException):
    pass


@pytest.fixture
def worker(crew: MakeCrew, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Worker, Crew]]:
    """A worker in this process, whose exit is an exception."""

    def exit_instead(code: int) -> None:
        raise _Exited(code)

    monkeypatch.setattr(os, "_exit", exit_instead)
    work = crew()
    reporter = Reporter(work.queue.arena, work.wiring.report_write_fd, with_records=True)
    shipper: Any = None
    made = Worker(
        queue=work.queue,
        life_end=work.wiring.life_read_fd,
        shipper=shipper,
        sender=shipper,
        gate=Gate(FixedPace(), 0, lambda: False),
        reporter=reporter,
        supervisor=work.supervisor,
        parking=NoParking(work.queue),
    )
    yield made, work
    made._wakeup.close()


@pytest.mark.parametrize("thread", ["_check", "_run_loop"])
def test_a_crash_in_any_thread_is_reported(
    worker: tuple[Worker, Crew], monkeypatch: pytest.MonkeyPatch, thread: str
) -> None:
    made, work = worker

    def crash(loop: object = None) -> None:
        raise RuntimeError("a bug in the worker")

    monkeypatch.setattr(made, "_check", crash)
    monkeypatch.setattr(Loop, "turn", crash)
    with pytest.raises(_Exited):
        made.run() if thread == "_check" else made._run_loop()
    report = os.read(work.wiring.report_read_fd, 65536)
    assert b'"Crashed"' in report
    assert b"RuntimeError: a bug in the worker" in report


def test_an_ordinary_end_is_not_reported(worker: tuple[Worker, Crew]) -> None:
    made, work = worker
    work.queue.arena.close_permanently()
    made.run()
    with contextlib.suppress(BlockingIOError):
        assert not os.read(work.wiring.report_read_fd, 65536)
