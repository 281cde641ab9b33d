"""Celery, whose workers are daemonic processes that `multiprocessing` forbids to have children."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.host import CLIENT, Host, StartHost

pytest.importorskip("celery", reason="celery has no release for this interpreter")
TASKS = (
    CLIENT
    + """
import time
from pathlib import Path
from celery import Celery

app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={"data_folder_in": "messages",
                              "data_folder_out": os.environ.get("OUTBOX", "messages"),
                              "control_folder": "control",
                              "polling_interval": 0.05},
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_max_tasks_per_child=int(os.environ.get("TASKS_PER_CHILD", 1000)),
)

@app.task
def tick(number):
    emit(number)
    Path("done", str(number)).write_text(str(os.getpid()))

@app.task
def hang(number):
    tick(number)
    time.sleep(1000)
"""
)
SEND = "from tasks import tick, hang\nfor n in range({0}, {1}): {2}.delay(n)"


class Celery:
    """A Celery worker, and the folder of its application."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self._folder = folder

    def run(self, task: str, *numbers: int) -> dict[int, str]:
        """Run these tasks; return, by number, the process id that has run each."""
        first, end = numbers[0], numbers[-1] + 1
        subprocess.run(
            [sys.executable, "-c", SEND.format(first, end, task)],
            cwd=self._folder,
            env={"SINK_URL": self.host.sink.url, "FLUSH_INTERVAL": "1", "OUTBOX": "outbox"},
            timeout=30,
            check=True,
        )
        # This broker may read a message that is not written completely yet.
        for message in (self._folder / "outbox").iterdir():
            message.rename(self._folder / "messages" / message.name)
        done = {number: self._folder / "done" / str(number) for number in numbers}
        self.host.until(
            lambda: all(file.exists() and file.read_text() for file in done.values()), "all tasks"
        )
        return {number: file.read_text() for number, file in done.items()}


StartCelery = Callable[..., Celery]


@pytest.fixture
def celery(host: StartHost, tmp_path: Path) -> StartCelery:
    """Starts a Celery worker with two processes, and waits until it is ready."""

    def start(**options: str) -> Celery:
        for folder in ("messages", "outbox", "control", "done"):
            (tmp_path / folder).mkdir()
        worker = ("worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "INFO")
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        command = (sys.executable, "-m", "celery", "--app", "tasks", *worker, *quiet)
        started = host({"tasks.py": TASKS}, *command, **options)
        started.until(lambda: "ready." in started.log, "ready")
        return Celery(started, tmp_path)

    return start


def test_unsent_events_of_recycled_processes_arrive(celery: StartCelery) -> None:
    worker = celery(flush_interval=1000, TASKS_PER_CHILD="5")
    done = worker.run("tick", *range(23))
    assert str(worker.host.process.pid) not in done.values()
    assert len(set(done.values())) > 3, "processes were recycled"
    assert worker.host.stop() == 0
    worker.host.check_arrived(done)


def test_events_arrive_in_time_and_survive_kills(celery: StartCelery) -> None:
    worker = celery()
    done = worker.run("hang", 0)
    os.kill(int(done[0]), signal.SIGKILL)  # in its task: an idle process may hold Celery's lock
    worker.host.until(lambda: "signal 9" in worker.host.log, "Celery notices the kill")
    done |= worker.run("tick", *range(1, 12))
    worker.host.check_arrived(done)
    done |= worker.run("tick", *range(12, 20))
    worker.host.kill_host()
    worker.host.check_end()
    worker.host.check_arrived(done)
