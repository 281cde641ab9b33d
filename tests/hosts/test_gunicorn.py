"""gunicorn: the event of each answered request arrives, however gunicorn's processes end."""

import signal
import sys
import threading
from collections.abc import Callable

import psutil
import pytest

from tests.hosts.host import WSGI, Host, StartHost

pytest.importorskip("gunicorn", reason="gunicorn has no release for this interpreter")
Gunicorn = Callable[..., Host]


@pytest.fixture
def gunicorn(host: StartHost, port: int) -> Gunicorn:
    """Starts gunicorn with two workers and these arguments, and waits until it responds."""

    def start(*arguments: str, **options: str) -> Host:
        bind = ("--bind", f"127.0.0.1:{port}", "--workers", "2", "--graceful-timeout", "5")
        command = (sys.executable, "-m", "gunicorn", *bind, *arguments, "app:application")
        started = host({"app.py": WSGI}, *command, port=port, **options)
        started.until(lambda: started.get("/"), "a response")
        return started

    return start


def workers_of(gunicorn: Host) -> set[int]:
    """Return the process ids of gunicorn's workers."""
    return gunicorn.host_pids() - {gunicorn.process.pid}


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_every_event_of_every_worker_arrives(
    gunicorn: Gunicorn, kind: str, preload: list[str]
) -> None:
    gunicorn("--worker-class", kind, *preload).check_every_event_arrives()


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_an_event_of_the_master_and_those_of_its_workers_arrive_once(
    gunicorn: Gunicorn, kind: str
) -> None:
    """An event that is emitted at import time starts threads and shippers before the fork."""
    server = gunicorn("--preload", "--worker-class", kind, EMIT_AT_IMPORT="yes")
    answered = server.emit(range(50))
    assert len(answered) == 50
    server.check_arrived([*answered, 1_000_000 + server.process.pid])
    assert server.stop() == 0
    assert len(server.sink.ids()) == 51


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_unsent_events_of_a_worker_that_is_terminated_arrive(
    gunicorn: Gunicorn, preload: list[str]
) -> None:
    server = gunicorn(*preload, flush_interval=1000)
    answered = server.emit(range(7))
    assert server.stop() == 0
    server.check_arrived(answered)
    assert len(answered) == 7


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_unsent_events_of_a_recycled_worker_arrive(gunicorn: Gunicorn, kind: str) -> None:
    server = gunicorn(
        "--preload", "--worker-class", kind, "--max-requests", "8", flush_interval=1000
    )
    answered = server.emit(range(100), at_once=2)
    assert len(set(answered.values())) > 4
    assert server.stop() == 0
    server.check_arrived(answered, attempted=range(100))


@pytest.mark.parametrize("ignored", [{}, {"IGNORE_SIGABRT": "1"}], ids=["SIGABRT", "SIGKILL"])
def test_events_of_a_worker_that_gunicorn_kills_arrive(
    gunicorn: Gunicorn, ignored: dict[str, str]
) -> None:
    server = gunicorn("--timeout", "1", "--preload", flush_interval=1000, **ignored)
    server.until(lambda: len(workers_of(server)) == 2, "both workers")
    before = workers_of(server)
    answered = server.emit(range(10))
    assert server.get("/hang?10") is None, "its worker was killed"
    server.until(lambda: len(workers_of(server) - before) == 1, "a new worker")
    answered |= server.emit(range(11, 20))
    assert "WORKER TIMEOUT" in server.log
    assert server.stop() == 0
    server.check_arrived([*answered, 10])


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_a_graceful_reload_loses_nothing(gunicorn: Gunicorn, preload: list[str]) -> None:
    server = gunicorn(*preload)
    before = workers_of(server)
    answered: dict[int, str] = {}
    done = threading.Event()

    def emit() -> None:
        while not done.is_set():
            answered.update(server.emit(range(len(attempted), len(attempted) + 20)))
            attempted.extend(range(20))

    attempted: list[int] = []
    emitter = threading.Thread(target=emit)
    emitter.start()
    server.until(lambda: answered, "a first response")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: workers_of(server) and not workers_of(server) & before, "new workers")
    renewed = len(answered)
    server.until(lambda: len(answered) > renewed + 40, "responses of the new workers")
    done.set()
    emitter.join()
    assert set(map(int, answered.values())) > before
    assert server.stop() == 0
    server.check_arrived(answered, attempted=range(len(attempted)))


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_workers_that_lose_their_master_lose_no_event(
    gunicorn: Gunicorn, preload: list[str]
) -> None:
    # Workers check twice per timeout whether their master runs.
    server = gunicorn("--timeout", "2", *preload, flush_interval=1000)
    answered = server.emit(range(30))
    server.process.kill()
    server.check_end()
    server.check_arrived(answered)


def test_killing_all_processes_of_gunicorn_at_once_loses_no_event(gunicorn: Gunicorn) -> None:
    server = gunicorn("--preload", flush_interval=1000)
    answered = server.emit(range(30))
    server.kill_host()
    server.check_end()
    server.check_arrived(answered)


def test_gunicorns_workers_replace_killed_shippers(gunicorn: Gunicorn) -> None:
    """The master has not emitted, so only forked workers can have started the shippers."""
    server = gunicorn("--preload")
    answered = server.emit(range(10))
    server.check_arrived(answered)
    first = server.shippers()
    for shipper in first:
        shipper.kill()
    psutil.wait_procs(first, 10)
    answered |= server.emit(range(10, 40))
    server.check_arrived(answered)
    assert not set(server.shippers()) & set(first)
    assert server.stop() == 0
