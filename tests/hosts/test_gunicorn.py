"""Under gunicorn: every event of an answered request arrives, however its processes end."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import psutil
import pytest

from tests.hosts.hosted import CLIENT, Host, StartHost

pytest.importorskip("gunicorn", reason="gunicorn has no release for this interpreter")
APP = (
    CLIENT
    + """
import signal, time

if "EMIT_AT_IMPORT" in os.environ:
    client.emit_action("import", "ann", metadata={"_id": 1_000_000 + os.getpid()})

def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path != "/":
        emit(int(query))
    if path == "/hang":
        if "DEAF" in os.environ:
            signal.signal(signal.SIGABRT, signal.SIG_IGN)
        time.sleep(1000)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
)

Gunicorn = Callable[..., Host]


@pytest.fixture
def gunicorn(host: StartHost, port: int) -> Gunicorn:
    """Starts gunicorn with two workers and more arguments, and waits until it answers."""

    def start(*arguments: str, **options: str) -> Host:
        bind = ("--bind", f"127.0.0.1:{port}", "--workers", "2", "--graceful-timeout", "5")
        command = (sys.executable, "-m", "gunicorn", *bind, *arguments, "app:application")
        started = host({"app.py": APP}, *command, port=port, **options)
        started.until(lambda: started.get("/"), "an answer")
        return started

    return start


def workers_of(gunicorn: Host) -> set[int]:
    """The process ids of gunicorn's own workers."""
    return gunicorn.others() - {gunicorn.process.pid}


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_every_event_of_every_worker_arrives(
    gunicorn: Gunicorn, kind: str, preload: list[str]
) -> None:
    server = gunicorn("--worker-class", kind, *preload)
    answered: dict[int, str] = {}
    while len(set(answered.values())) < 2:  # both workers have emitted
        answered |= server.emit(range(len(answered), len(answered) + 30))
    server.arrived(answered)
    later = server.emit(range(len(answered), len(answered) + 5))
    assert server.stop() == 0
    server.arrived(answered | later)


@pytest.mark.parametrize("kind", ["sync", "gevent"])
def test_an_event_of_the_master_and_those_of_its_workers_arrive_once(
    gunicorn: Gunicorn, kind: str
) -> None:
    """Emitting at import time starts threads and shippers before the fork."""
    server = gunicorn("--preload", "--worker-class", kind, EMIT_AT_IMPORT="yes")
    answered = server.emit(range(50))
    assert len(answered) == 50
    server.arrived([*answered, 1_000_000 + server.process.pid])
    assert server.stop() == 0
    assert len(server.sink.ids()) == 51


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_what_a_worker_has_not_sent_when_it_is_told_to_end_arrives(
    gunicorn: Gunicorn, preload: list[str]
) -> None:
    server = gunicorn(*preload, flush_interval=1000)
    answered = server.emit(range(7))
    assert server.stop() == 0
    server.arrived(answered)
    assert len(answered) == 7


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_a_worker_that_is_recycled_leaves_nothing_behind(gunicorn: Gunicorn, kind: str) -> None:
    server = gunicorn(
        "--preload", "--worker-class", kind, "--max-requests", "8", flush_interval=1000
    )
    answered = server.emit(range(100), at_once=2)
    assert len(set(answered.values())) > 4
    assert server.stop() == 0
    server.arrived(answered, attempted=range(100))


@pytest.mark.parametrize("deaf", [{}, {"DEAF": "yes"}], ids=["SIGABRT", "SIGKILL"])
def test_a_worker_that_the_arbiter_ends_leaves_its_events(
    gunicorn: Gunicorn, deaf: dict[str, str]
) -> None:
    server = gunicorn("--timeout", "1", "--preload", flush_interval=1000, **deaf)
    before = workers_of(server)
    answered = server.emit(range(10))
    assert server.get("/hang?10") is None, "its worker was ended"
    server.until(lambda: len(workers_of(server) - before) == 1, "a new worker")
    answered |= server.emit(range(11, 20))
    assert "WORKER TIMEOUT" in server.log
    assert server.stop() == 0
    server.arrived([*answered, 10])


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_a_graceful_reload_loses_nothing(gunicorn: Gunicorn, preload: list[str]) -> None:
    server = gunicorn(*preload)
    before = workers_of(server)
    answered: dict[int, str] = {}
    done = threading.Event()

    def drive() -> None:
        while not done.is_set():
            answered.update(server.emit(range(len(attempted), len(attempted) + 20)))
            attempted.extend(range(20))

    attempted: list[int] = []
    driver = threading.Thread(target=drive)
    driver.start()
    server.until(lambda: answered, "a first answer")
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: workers_of(server) and not workers_of(server) & before, "new workers")
    renewed = len(answered)
    server.until(lambda: len(answered) > renewed + 40, "answers of the new workers")
    done.set()
    driver.join()
    assert set(map(int, answered.values())) > before
    assert server.stop() == 0
    server.arrived(answered, attempted=range(len(attempted)))


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_workers_that_lose_their_master_lose_no_event(
    gunicorn: Gunicorn, preload: list[str]
) -> None:
    # They look for their master twice in the time-out.
    server = gunicorn("--timeout", "2", *preload, flush_interval=1000)
    answered = server.emit(range(30))
    server.process.kill()
    server.ends()
    server.arrived(answered)


def test_everything_that_is_of_gunicorn_killed_at_once_loses_no_event(gunicorn: Gunicorn) -> None:
    server = gunicorn("--preload", flush_interval=1000)
    answered = server.emit(range(30))
    for pid in server.others():
        os.kill(pid, signal.SIGKILL)
    server.ends()
    server.arrived(answered)


def test_a_shipper_that_is_killed_is_replaced_by_gunicorns_workers(gunicorn: Gunicorn) -> None:
    """The master has never emitted: nobody but forked workers can have started a shipper."""
    server = gunicorn("--preload")
    answered = server.emit(range(10))
    server.arrived(answered)
    first = server.shippers()
    for shipper in first:
        shipper.kill()
    psutil.wait_procs(first, 10)
    answered |= server.emit(range(10, 40))
    server.arrived(answered)
    assert not set(server.shippers()) & set(first)
    assert server.stop() == 0
