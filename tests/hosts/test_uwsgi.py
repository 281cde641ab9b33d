"""uWSGI, which forks in C, before or after it has loaded the application."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.hosts.host import WSGI, Host, StartHost

pytest.importorskip("pyuwsgi", reason="pyuwsgi has no wheel for this interpreter")
START = """
import os, sys

if "NO_PYTHON" in os.environ:
    sys.executable = os.environ["NO_PYTHON"]  # as the uwsgi program does; pyuwsgi is a module
"""
UWSGI = Callable[..., Host]


@pytest.fixture
def uwsgi(host: StartHost, port: int) -> UWSGI:
    """Starts uWSGI with a master, two workers and these arguments; waits until all are ready."""

    def start(*arguments: str, **options: str) -> Host:
        serve = ("--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2")
        run = (sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", *serve, "--need-app")
        command = (*run, "--die-on-term", "--wsgi-file", "app.py", *arguments)
        started = host({"app.py": START + WSGI}, *command, port=port, **options)
        started.until(lambda: started.get("/"), "a response")
        # With lazy-apps each worker loads the application, and may still be at it.
        loaded = 2 if "--lazy-apps" in arguments else 1
        started.until(lambda: started.log.count("WSGI app 0 ") >= loaded, "all workers are ready")
        return started

    return start


@pytest.mark.parametrize(
    "mode", [[], ["--lazy-apps"], ["--threads", "2"]], ids=["fork", "lazy-apps", "threads"]
)
def test_every_event_of_every_worker_arrives(uwsgi: UWSGI, mode: list[str]) -> None:
    uwsgi(*mode).check_every_event_arrives()


@pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["fork", "lazy-apps"])
def test_unsent_events_of_a_worker_that_is_terminated_arrive(uwsgi: UWSGI, lazy: list[str]) -> None:
    server = uwsgi(*lazy, flush_interval=1000)
    answered = server.emit(range(7))
    assert server.stop() == 0
    server.check_arrived(answered)


@pytest.mark.parametrize("hooks", [[], ["--py-call-uwsgi-fork-hooks"]], ids=["", "hooks"])
def test_an_event_of_the_master_hangs_no_worker(uwsgi: UWSGI, hooks: list[str]) -> None:
    """Emitting at import time must start no thread: a worker forked while one runs would hang."""
    server = uwsgi("--processes", "6", *hooks, EMIT_AT_IMPORT="yes")
    assert psutil.Process(server.process.pid).num_threads() == 1
    answered = server.emit(range(60), at_once=6)
    assert len(answered) == 60
    server.check_arrived(answered, attempted=[*answered, 1_000_000 + server.process.pid])
    assert server.stop() == 0
    server.check_arrived([*answered, 1_000_000 + server.process.pid])


def test_events_of_a_worker_that_is_killed_in_a_request_arrive(uwsgi: UWSGI) -> None:
    server = uwsgi("--harakiri", "1", flush_interval=1000)
    before = server.emit(range(30))
    assert server.get("/hang?30") is None, "its worker was killed"
    after = server.emit(range(31, 60))
    assert "HARAKIRI" in server.log
    assert server.stop() == 0
    server.check_arrived([*before, 30, *after])


@pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["fork", "lazy-apps"])
def test_killing_all_processes_of_uwsgi_at_once_loses_no_event(
    uwsgi: UWSGI, lazy: list[str]
) -> None:
    server = uwsgi(*lazy, flush_interval=1000)
    answered = server.emit(range(30))
    os.killpg(server.process.pid, signal.SIGKILL)
    server.check_end()
    server.check_arrived(answered)


def test_workers_are_started_with_python_and_not_with_uwsgi(uwsgi: UWSGI, tmp_path: Path) -> None:
    """`sys.executable` is the uwsgi program; Python is found where it was installed."""
    program = tmp_path / "uwsgi"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o700)
    server = uwsgi(NO_PYTHON=str(program))
    answered = server.emit(range(10))
    server.check_arrived(answered)
    assert server.stop() == 0
    assert not (tmp_path / "started").exists()
