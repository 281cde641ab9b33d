"""Every place has a live worker, or the application knows why not; and nothing storms."""

import contextlib
import itertools
import logging
import math
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

from dataart_mp import BufferFullError, Client, ClientConfig
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.locks import STARTER
from dataart_mp.supervision import interpreter
from dataart_mp.supervision import supervisor as supervisor_module
from dataart_mp.supervision.launch import Launch
from tests.support import wait_until
from tests.transport.servers import refused_port
from tests.worker.crew import Crew, gone

MakeCrew = Callable[..., Crew]


@pytest.fixture
def crew(platform: SinkProcess) -> Iterator[MakeCrew]:
    crews: list[Crew] = []

    def make(**settings: Any) -> Crew:
        defaults = {"base_url": platform.url, "flush_num_processes": 1, "flush_buffer_size": 8}
        crews.append(Crew(ClientConfig("key", **{**defaults, **settings})))
        return crews[-1]

    yield make
    for made in crews:
        made.close()


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module of the application with a pool factory in it."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        (tmp_path / "crew_pools.py").write_text(text)
        return "crew_pools:make"

    return write


def starts(crew: Crew, seconds: float, step: float) -> list[float]:
    """When workers were started, by a clock that stands still until they have ended."""
    times: list[float] = []
    for tick in range(int(seconds / step)):
        now = 1000.0 + tick * step
        crew.supervisor.tend(now)
        if crew.launches:
            times.append(now)
            crew.hear_until(lambda: not crew.launches, now)
    return times


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


# All goes well


def test_every_place_is_taken_and_the_starter_lets_go(crew: MakeCrew) -> None:
    work = crew(flush_num_processes=3)
    work.tend_until(work.all_ready)
    assert len(set(work.places)) == 3
    assert work.supervisor.workers() == work.places
    assert work.supervisor.error is None
    assert not work.supervisor.unavailable_reason()
    assert work.queue.arena.locks.owner(STARTER) is None


def test_the_first_worker_is_started_alone_and_the_others_when_it_is_ready(
    crew: MakeCrew,
) -> None:
    """A start holds up the thread with the first event."""
    work = crew(flush_num_processes=3)
    now = time.monotonic()
    work.supervisor.tend(now)
    work.supervisor.tend(now)
    assert len(work.launches) == 1
    work.hear_until(lambda: all(launch.ready for launch in work.launches), now)
    work.supervisor.tend(now)
    assert len(work.launches) == 3


def test_a_first_worker_that_is_held_up_holds_up_no_other(crew: MakeCrew) -> None:
    work = crew(flush_num_processes=3)
    now = time.monotonic()
    work.supervisor.tend(now)
    work.supervisor.tend(now + 1.0)
    assert len(work.launches) == 3


def test_secure_makes_one_worker_and_does_not_wait_for_it(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    work = crew(flush_num_processes=2)
    started = time.monotonic()
    work.supervisor.secure(started)
    assert time.monotonic() - started < 0.5
    assert len(work.launches) == 1
    work.emit("tick")
    wait_until(lambda: work.delivered() == 1)  # and nobody tends


def test_a_place_that_is_taken_is_not_filled_twice(crew: MakeCrew) -> None:
    work = crew()
    work.tend_until(work.all_ready)
    (worker,) = work.places
    second = Launch(work.inheritance(), work.config, 0, None)
    second.await_end(20)
    assert second.found_its_place_taken
    assert not second.ready
    assert work.places == [worker]
    second.reap(wait=True)
    second.close()


def test_a_killed_worker_is_replaced_at_once_and_it_is_said(
    crew: MakeCrew, caplog: pytest.LogCaptureFixture
) -> None:
    work = crew(flush_num_processes=2)
    work.tend_until(work.all_ready)
    victim, survivor = work.places
    assert victim is not None
    with caplog.at_level(logging.WARNING, "dataart_mp"):
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: work.places[0] is None)
        work.tend_until(work.all_ready, 5)
    assert work.places[1] == survivor
    assert work.places[0] not in (victim, None)
    assert "worker 0 died; its batches are sent again" in caplog.text


def test_a_worker_that_another_process_started_is_missed_too(crew: MakeCrew) -> None:
    """Its death is seen by its lock alone."""
    work = crew()
    stranger = Launch(work.inheritance(), work.config, 0, None)
    wait_until(lambda: work.places != [None])
    work.supervisor.tend(time.monotonic())
    assert not work.launches
    (victim,) = work.places
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: work.places == [None])
    work.tend_until(work.all_ready, 10)
    stranger.reap(wait=True)
    stranger.close()


def test_nobody_starts_while_another_process_is_at_it(crew: MakeCrew) -> None:
    work = crew()
    with held_elsewhere(work, STARTER):
        work.supervisor.secure(time.monotonic())
        work.supervisor.tend(time.monotonic())
        assert not work.launches
    work.tend_until(work.all_ready)


def test_threads_that_start_at_once_start_one_worker_for_a_place(
    crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first event's thread and the watch, say. One too many might outlive the other."""
    work = crew()
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

    calls = [work.supervisor.secure, work.supervisor.tend] * 2
    threads = [threading.Thread(target=begin, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    work.tend_until(work.all_ready)
    assert work.queue.arena.locks.owner(STARTER) is None


def test_nothing_is_started_when_the_client_is_closed_and_all_is_settled(crew: MakeCrew) -> None:
    work = crew()
    work.queue.arena.close_for_good()
    work.supervisor.tend(time.monotonic())
    assert not work.launches


def test_a_worker_is_started_to_deliver_what_a_closed_client_left(
    crew: MakeCrew, platform: SinkProcess
) -> None:
    work = crew()
    work.emit("tick")
    work.queue.arena.close_for_good()
    work.tend_until(lambda: work.delivered() == 1)
    work.tend_until(lambda: work.places == [None])
    work.tend_until(lambda: not work.launches)
    assert platform.stats()["actions"] == 1


# Workers that cannot start


@pytest.mark.parametrize(
    ("executable", "said"),
    [
        ("/bin/false", "it ended without a word"),
        ("/no/such/python", "FileNotFoundError: [Errno 2] No such file or directory"),
        ("/dev/null", "PermissionError: [Errno 13] Permission denied"),
    ],
)
def test_an_interpreter_that_is_none_is_reported_and_nobody_waits_for_it(
    crew: MakeCrew,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    executable: str,
    said: str,
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: executable)
    work = crew()
    work.tend_until(lambda: work.supervisor.error)
    assert work.supervisor.error is not None
    assert said in work.supervisor.error
    assert work.supervisor.unavailable_reason()
    assert "a worker could not start" in caplog.text
    assert work.queue.arena.locks.owner(STARTER) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def make(config): raise RuntimeError('no vault')", "RuntimeError: no vault"),
        ("def make(config): raise SystemExit('sorry')", "sorry"),
        ("def make(config): return 7", "must make a urllib3.PoolManager, not int"),
        ("import os\ndef make(config): os._exit(3)", "it ended without a word"),
        ("import os\ndef make(config): os.kill(os.getpid(), 9)", "it ended without a word"),
    ],
)
def test_what_a_pool_factory_raises_is_the_error_and_the_log_has_all_of_it(
    crew: MakeCrew,
    own_module: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
    text: str,
    said: str,
) -> None:
    work = crew(pool_factory=own_module(text))
    work.tend_until(lambda: work.supervisor.error)
    assert work.supervisor.error is not None
    assert said in work.supervisor.error
    assert "\n" not in work.supervisor.error
    assert work.supervisor.unavailable_reason()
    assert said in caplog.text
    if "raise RuntimeError" in text:
        assert "crew_pools.py" in caplog.text


def test_an_error_is_forgotten_when_a_worker_gets_ready(
    crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = crew()
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    work.tend_until(work.supervisor.unavailable_reason)
    monkeypatch.undo()
    work.tend_until(work.all_ready)
    assert work.supervisor.error is None
    assert not work.supervisor.unavailable_reason()


def test_a_worker_that_does_not_get_ready_in_time_is_ended_and_said_so(
    crew: MakeCrew, own_module: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise there would be one more of them every minute."""
    work = crew(pool_factory=own_module("import time\ndef make(config): time.sleep(1000)"))
    now = time.monotonic()
    work.supervisor.tend(now)
    (launch,) = work.launches
    wait_until(lambda: work.places != [None])
    (hanging,) = work.places
    assert hanging is not None
    assert not work.supervisor.unavailable_reason(), "it may still come"
    work.supervisor.tend(now + supervisor_module.READY_SECONDS - 1)
    assert work.launches == [launch]
    work.supervisor.tend(now + supervisor_module.READY_SECONDS + 1)
    assert work.supervisor.error == "it was not ready within 30 seconds"
    assert launch not in work.launches
    wait_until(lambda: gone(hanging))
    wait_until(work.supervisor.unavailable_reason)
    assert work.queue.arena.locks.owner(STARTER) is None


def test_newborns_that_somebody_kills_are_an_accident_unless_it_never_ends(
    crew: MakeCrew,
) -> None:
    """Whoever waits for room goes on waiting: the next start comes soon."""
    work = crew()
    now = time.monotonic()
    for accidents in range(4):
        assert not work.supervisor.unavailable_reason()
        pause = 0.1 * 2 ** (accidents - 1) if accidents else math.inf
        assert work.supervisor.due(now) == pytest.approx(pause)
        now += 60
        work.supervisor.tend(now)
        (launch,) = work.launches
        launch.kill()
        work.hear_until(lambda: not work.launches, now)
    assert work.supervisor.unavailable_reason() == "it ended without a word"


def test_it_never_ends_no_later_with_many_places(
    crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for room, or for the end of a flush, is told by then."""
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    work = crew(flush_num_processes=16, flush_num_workers=16)
    now = time.monotonic()
    for _ in range(4):
        assert not work.supervisor.unavailable_reason()
        now += 60
        work.supervisor.tend(now)
        work.hear_until(lambda: not work.launches, now)
    assert work.supervisor.unavailable_reason()


# No storm


def test_starts_that_fail_come_ever_more_slowly_and_never_end(
    crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    pauses = gaps(starts(crew(), 120, 0.1))
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.1, abs=0.11)
    assert pauses[-1] == pytest.approx(30, abs=0.2)
    assert len(pauses) < 13


def test_a_worker_that_crashes_over_its_work_is_replaced_ever_more_slowly(
    crew: MakeCrew, own_module: Callable[[str], str]
) -> None:
    """It gets ready each time; that alone must not count as having worked."""
    work = crew(
        pool_factory=own_module(
            "import urllib3\n"
            "class Broken(urllib3.PoolManager):\n"
            "    def urlopen(self, *args, **options): raise RuntimeError('a bug')\n"
            "def make(config): return Broken()\n"
        )
    )
    work.emit("tick")
    pauses = gaps(starts(work, 3.2, 0.05))
    assert pauses == sorted(pauses)
    assert pauses[-1] > 0.7
    assert len(pauses) in (4, 5)
    assert work.queue.stats().pending == 1, "and nothing is lost meanwhile"
    assert not work.supervisor.unavailable_reason(), "for it does start"


def test_a_worker_that_lived_long_is_replaced_without_delay(crew: MakeCrew) -> None:
    work = crew()
    now = time.monotonic()
    work.supervisor.tend(now)
    for _ in range(3):
        work.hear_until(work.all_ready, now)
        (victim,) = work.places
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        now += 11
        work.hear_until(lambda: not work.launches, now)
        work.supervisor.tend(now)
        assert len(work.launches) == 1


# Through the client's eyes


def test_an_application_without_workers_is_told_why_instead_of_hanging(
    own_module: Callable[[str], str],
) -> None:
    factory = own_module("import no_such_module")
    settings: dict[str, Any] = {"flush_buffer_size": 2, "flush_actions_batch_size": 1}
    url = f"http://127.0.0.1:{refused_port()}"
    client = Client(ClientConfig("k", base_url=url, pool_factory=factory, **settings))
    started = time.monotonic()
    assert client.emit_action("tick", "ann")
    assert client.emit_action("tick", "ann")
    with pytest.raises(BufferFullError, match="No module named 'no_such_module'"):
        client.emit_action("tick", "ann")
    assert client.flush() == 2
    assert client.close() == 2
    assert time.monotonic() - started < 20


def test_hopeless_may_be_asked_by_any_thread_while_workers_come_and_go(crew: MakeCrew) -> None:
    work = crew(flush_num_processes=2)
    work.supervisor.error = "so that it looks closely"
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
            work.tend_until(work.all_ready)
            work.supervisor.error = "so that it looks closely"
            for pid in work.places:
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: work.places == [None, None])
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert not errors


def test_await_departure_waits_for_workers_to_leave_and_no_longer(crew: MakeCrew) -> None:
    work = crew()
    work.tend_until(work.all_ready)
    (worker,) = work.places
    assert worker is not None
    started = time.monotonic()
    work.supervisor.await_departure(0.2)
    assert 0.15 < time.monotonic() - started < 2
    work.queue.arena.close_for_good()
    work.wiring.hang_up()
    work.supervisor.await_departure(20)
    wait_until(lambda: gone(worker), 2)


def test_a_forked_child_leaves_its_parents_workers_alone(crew: MakeCrew) -> None:
    work = crew()
    work.tend_until(work.all_ready)
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
def held_elsewhere(crew: Crew, byte: int) -> Iterator[None]:
    """Inside, another process holds a lock of the crew's arena."""
    fd = crew.queue.arena.fd
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(fd), str(byte)],
        pass_fds=[fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate()
