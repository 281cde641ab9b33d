"""Under uWSGI, which forks in C, before or after it has loaded the application."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.hosts.hosted import CLIENT, Host, StartHost

pytest.importorskip("pyuwsgi", reason="pyuwsgi has no wheel for this interpreter")
HEAD = """
import os, sys, time

if "NO_PYTHON" in os.environ:
    sys.executable = os.environ["NO_PYTHON"]  # as the uwsgi program does; pyuwsgi is a module
"""
APP = """
if "EMIT_AT_IMPORT" in os.environ:
    emit(1_000_000 + os.getpid())

def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path != "/":
        emit(int(query))
    if path == "/hang":
        time.sleep(1000)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""

UWSGI = Callable[..., Host]


@pytest.fixture
def uwsgi(host: StartHost, port: int) -> UWSGI:
    """Starts uWSGI with a master, two workers and more arguments; waits until it answers."""

    def start(*arguments: str, **options: str) -> Host:
        serve = ("--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2")
        run = (sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", *serve, "--need-app")
        command = (*run, "--die-on-term", "--wsgi-file", "app.py", *arguments)
        started = host({"app.py": HEAD + CLIENT + APP}, *command, port=port, **options)
        started.until(lambda: started.get("/"), "an answer")
        return started

    return start


@pytest.mark.parametrize(
    "how", [[], ["--lazy-apps"], ["--threads", "2"]], ids=["fork", "lazy-apps", "threads"]
)
def test_every_event_of_every_worker_arrives(uwsgi: UWSGI, how: list[str]) -> None:
    server = uwsgi(*how)
    answered: dict[int, str] = {}
    while len(set(answered.values())) < 2:  # both workers have emitted
        answered |= server.emit(range(len(answered), len(answered) + 30))
    server.arrived(answered)
    later = server.emit(range(len(answered), len(answered) + 5))
    assert server.stop() == 0
    server.arrived(answered | later)


@pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["fork", "lazy-apps"])
def test_what_a_worker_has_not_sent_when_it_is_told_to_end_arrives(
    uwsgi: UWSGI, lazy: list[str]
) -> None:
    server = uwsgi(*lazy, flush_interval=1000)
    answered = server.emit(range(7))
    assert server.stop() == 0
    server.arrived(answered)


@pytest.mark.parametrize("hooks", [[], ["--py-call-uwsgi-fork-hooks"]], ids=["", "hooks"])
def test_an_event_of_the_master_hangs_no_worker(uwsgi: UWSGI, hooks: list[str]) -> None:
    """Emitting at import time must start no thread: a worker forked beside one would hang."""
    server = uwsgi("--processes", "6", *hooks, EMIT_AT_IMPORT="yes")
    assert psutil.Process(server.process.pid).num_threads() == 1
    answered = server.emit(range(60), at_once=6)
    assert len(answered) == 60
    server.arrived(answered, attempted=[*answered, 1_000_000 + server.process.pid])
    assert server.stop() == 0
    server.arrived([*answered, 1_000_000 + server.process.pid])


def test_a_worker_that_is_killed_for_its_request_leaves_its_events(uwsgi: UWSGI) -> None:
    server = uwsgi("--harakiri", "1", flush_interval=1000)
    before = server.emit(range(30))
    assert server.get("/hang?30") is None, "its worker was killed"
    after = server.emit(range(31, 60))
    assert "HARAKIRI" in server.log
    assert server.stop() == 0
    server.arrived([*before, 30, *after])


@pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["fork", "lazy-apps"])
def test_all_of_uwsgi_killed_at_once_loses_no_event(uwsgi: UWSGI, lazy: list[str]) -> None:
    server = uwsgi(*lazy, flush_interval=1000)
    answered = server.emit(range(30))
    os.killpg(server.process.pid, signal.SIGKILL)
    server.ends()
    server.arrived(answered)


def test_no_second_uwsgi_is_started_for_a_worker(uwsgi: UWSGI, tmp_path: Path) -> None:
    """sys.executable is the uwsgi program, but Python lies where it was installed."""
    program = tmp_path / "uwsgi"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o700)
    server = uwsgi(NO_PYTHON=str(program))
    answered = server.emit(range(10))
    server.arrived(answered)
    assert server.stop() == 0
    assert not (tmp_path / "started").exists()
