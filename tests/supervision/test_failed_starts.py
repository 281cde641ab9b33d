"""A worker that cannot start, or that crashes, is reported, and restarted ever more slowly."""

import itertools
import math
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from dataart_mp import BufferFullError, Client, ClientConfig
from dataart_mp.queue.locks import STARTER
from dataart_mp.supervision import interpreter
from dataart_mp.supervision import supervisor as supervisor_module
from tests.support import wait_until
from tests.transport.servers import refused_port
from tests.worker.crew import Crew, MakeCrew, gone


def starts(crew: Crew, seconds: float, step: float) -> list[float]:
    """Return when workers were started, by a clock that stops until they have ended."""
    times: list[float] = []
    for tick in range(int(seconds / step)):
        now = 1000.0 + tick * step
        crew.supervisor.check(now)
        if crew.launches:
            times.append(now)
            crew.read_until(lambda: not crew.launches, now)
    return times


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.mark.parametrize(
    ("executable", "said"),
    [
        ("/bin/false", "it ended without a message"),
        ("/no/such/python", "FileNotFoundError: [Errno 2] No such file or directory"),
        ("/dev/null", "PermissionError: [Errno 13] Permission denied"),
    ],
)
def test_an_interpreter_that_cannot_run_is_reported_at_once(
    make_crew: MakeCrew,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    executable: str,
    said: str,
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: executable)
    work = make_crew()
    work.check_until(lambda: work.supervisor.error)
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
        ("import os\ndef make(config): os._exit(3)", "it ended without a message"),
        ("import os\ndef make(config): os.kill(os.getpid(), 9)", "it ended without a message"),
    ],
)
def test_an_exception_in_a_pool_factory_is_the_error_and_its_traceback_is_logged(
    make_crew: MakeCrew,
    own_module: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
    text: str,
    said: str,
) -> None:
    work = make_crew(pool_factory=own_module(text))
    work.check_until(lambda: work.supervisor.error)
    assert work.supervisor.error is not None
    assert said in work.supervisor.error
    assert "\n" not in work.supervisor.error
    assert work.supervisor.unavailable_reason()
    assert said in caplog.text
    if "raise RuntimeError" in text:
        assert "crew_pools.py" in caplog.text


def test_the_error_is_cleared_when_a_worker_becomes_ready(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_crew()
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    work.check_until(work.supervisor.unavailable_reason)
    monkeypatch.undo()
    work.check_until(work.all_ready)
    assert work.supervisor.error is None
    assert not work.supervisor.unavailable_reason()


def test_a_worker_that_is_not_ready_in_time_is_killed_and_reported(
    make_crew: MakeCrew, own_module: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise there would be one more every minute."""
    work = make_crew(pool_factory=own_module("import time\ndef make(config): time.sleep(1000)"))
    now = time.monotonic()
    work.supervisor.check(now)
    (launch,) = work.launches
    wait_until(lambda: work.places != [None])
    (hanging,) = work.places
    assert hanging is not None
    assert not work.supervisor.unavailable_reason(), "it may still become ready"
    work.supervisor.check(now + supervisor_module.READY_SECONDS - 1)
    assert work.launches == [launch]
    work.supervisor.check(now + supervisor_module.READY_SECONDS + 1)
    assert work.supervisor.error == "it was not ready within 30 seconds"
    assert launch not in work.launches
    wait_until(lambda: gone(hanging))
    wait_until(work.supervisor.unavailable_reason)
    assert work.queue.arena.locks.owner(STARTER) is None


def test_killed_starts_are_an_error_only_if_they_continue(
    make_crew: MakeCrew,
) -> None:
    """Calls that wait for a free frame keep waiting, because the next start follows soon."""
    work = make_crew()
    now = time.monotonic()
    for accidents in range(4):
        assert not work.supervisor.unavailable_reason()
        pause = 0.1 * 2 ** (accidents - 1) if accidents else math.inf
        assert work.supervisor.due(now) == pytest.approx(pause)
        now += 60
        work.supervisor.check(now)
        (launch,) = work.launches
        launch.kill()
        work.read_until(lambda: not work.launches, now)
    assert work.supervisor.unavailable_reason() == "it ended without a message"


def test_killed_starts_at_many_places_count_once_per_round(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that wait for a free frame or a flush raise by then."""
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    work = make_crew(flush_num_processes=16, flush_num_workers=16)
    now = time.monotonic()
    for _ in range(4):
        assert not work.supervisor.unavailable_reason()
        now += 60
        work.supervisor.check(now)
        work.read_until(lambda: not work.launches, now)
    assert work.supervisor.unavailable_reason()


def test_failing_starts_slow_down_but_continue(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "find", lambda: "/bin/false")
    pauses = gaps(starts(make_crew(), 120, 0.1))
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(0.1, abs=0.11)
    assert pauses[-1] == pytest.approx(30, abs=0.2)
    assert len(pauses) < 13


def test_restarts_of_a_worker_that_crashes_on_its_work_slow_down(
    make_crew: MakeCrew, own_module: Callable[[str], str]
) -> None:
    """It becomes ready each time, which alone does not reset the delay."""
    work = make_crew(
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
    assert work.queue.stats().pending == 1, "and nothing is lost"
    assert not work.supervisor.unavailable_reason(), "because it does start"


def test_a_worker_that_lived_long_is_replaced_at_once(make_crew: MakeCrew) -> None:
    work = make_crew()
    now = time.monotonic()
    work.supervisor.check(now)
    for _ in range(3):
        work.read_until(work.all_ready, now)
        (victim,) = work.places
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        now += 11
        work.read_until(lambda: not work.launches, now)
        work.supervisor.check(now)
        assert len(work.launches) == 1


def test_an_application_without_workers_gets_the_reason_instead_of_hanging(
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
