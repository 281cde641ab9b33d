"""The end of a client holds its timeout, takes every step, and leaves nothing behind."""

import logging
import os
import pickle
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from dataart_mp import BufferFullError, Client, ClosedError
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer import engine as engine_module
from dataart_mp.spool import arena_file
from dataart_mp.supervision.supervisor import Supervisor
from dataart_mp.supervision.wiring import Wiring
from dataart_mp.testing import RecordingClient
from tests.client.tools import each_arrived_once, emit
from tests.queue.tools import in_a_child
from tests.support import App, Configure, open_descriptors, slow_python, wait_until


def our_threads() -> int:
    return sum(thread.name.startswith("dataart_mp") for thread in threading.enumerate())


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Checks that the test's clients have left no thread and no descriptor."""
    threads, descriptors = our_threads(), open_descriptors()
    yield
    wait_until(lambda: our_threads() == threads)
    wait_until(lambda: open_descriptors() == descriptors)


# Timeouts


INVALID_TIMEOUTS = [
    float("nan"),
    float("inf"),
    -1,
    -0.001,
    -float("inf"),
    np.float64("nan"),
    10**400,
    "5",
    b"5",
    True,
    False,
    np.True_,
    1j,
    Decimal(1),
    timedelta(seconds=1),
    [1],
]


@pytest.mark.parametrize("kind", ["Client", "RecordingClient"])
def test_an_invalid_timeout_is_an_error_that_names_it(config: Configure, kind: str) -> None:
    client = Client(config()) if kind == "Client" else RecordingClient()
    client.emit_action("tick", "ann")
    for timeout in INVALID_TIMEOUTS:
        for call in (client.flush, client.close):
            with pytest.raises(ValueError, match=TIMEOUT_REFUSED):
                call(timeout)  # type: ignore[arg-type]
    client.emit_action("tock", "ann")  # it is not closed by an invalid call
    assert client.close(10) == 0
    for timeout in INVALID_TIMEOUTS:
        with pytest.raises(ValueError, match=TIMEOUT_REFUSED):
            client.close(timeout)  # type: ignore[arg-type]


TIMEOUT_REFUSED = r"^timeout=.*: must be seconds, .* pass None to wait"


@pytest.mark.parametrize("timeout", [30, 30.5, Fraction(61, 2), np.int64(30), np.float32(30.5)])
def test_any_kind_of_real_number_is_a_timeout(client: Client, timeout: Any) -> None:
    client.emit_action("tick", "ann")
    assert client.flush(timeout) == 0
    assert client.close(timeout) == 0


SLOW_START = """
import multiprocessing, os, sys, time
from dataart_mp import Client, ClientConfig

multiprocessing.set_executable(sys.argv[1])
client = Client(ClientConfig("k", base_url=sys.argv[2], exit_timeout=0.2, spool_dir=sys.argv[4]))
client.emit_action("tick", "ann")
start = time.monotonic()
if sys.argv[3] == "close":
    assert client.close(0.2) == 1
elif sys.argv[3] == "collect":
    del client
elif sys.argv[3] == "close of a child":
    pid = os.fork()
    if not pid:
        client.emit_action("tick", "bob")
        assert client.close(0.2) == 1
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    client = None
print(start)
"""


@pytest.mark.parametrize("end", ["close", "collect", "exit", "close of a child"])
def test_no_end_of_a_client_waits_for_a_worker_that_starts_slowly(
    app: App, sink: SinkProcess, tmp_path: Path, end: str
) -> None:
    """On a network file system, or a machine that is overloaded. The worker delivers later."""
    python, may_start = slow_python(tmp_path)
    done = app(SLOW_START, python, sink.url, end, tmp_path / "spool")
    took = time.monotonic() - float(done.stdout.split()[-1])
    may_start.touch()
    assert done.returncode == 0, done.stderr
    assert took < 5, took
    sink.wait_for(lambda stats: stats["actions"] >= (2 if "child" in end else 1))


def test_the_interpreter_of_a_slow_start_is_reaped_after_the_client_was_closed(
    config: Configure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nothing_left: None
) -> None:
    python, may_start = slow_python(tmp_path, then="exit 1")
    monkeypatch.setattr(spawn, "_python_exe", os.fsencode(python))
    before = psutil.Process().children()
    client = Client(config())
    client.emit_action("tick", "ann")
    assert client.close(0.2) == 1
    (interpreter,) = (child for child in psutil.Process().children() if child not in before)
    may_start.touch()
    wait_until(lambda: not psutil.pid_exists(interpreter.pid))


# Another thread


def test_close_waits_for_the_first_event_of_another_thread(
    config: Configure, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    """Else its threads would start when everything that they use is closed already."""
    monkeypatch.setattr(engine_module, "_START_SECONDS", 20.0)
    outcomes, was_awaited = race_close_with_first_event(Client(config()), monkeypatch, seconds=0.2)
    assert was_awaited
    assert outcomes in (["ClosedError"], ["accepted"])


def test_a_first_event_that_takes_longer_than_close_waits_cleans_up_itself(
    config: Configure, monkeypatch: pytest.MonkeyPatch, nothing_left: None
) -> None:
    monkeypatch.setattr(engine_module, "_START_SECONDS", 0.05)
    outcomes, was_awaited = race_close_with_first_event(Client(config()), monkeypatch)
    assert not was_awaited
    assert outcomes == ["ClosedError"]


def emit_first(client: Client, outcomes: list[str]) -> None:
    try:
        client.emit_action("tick", "ann")
        outcomes.append("accepted")
    except Exception as error:  # noqa: BLE001 - the test looks at its type
        outcomes.append(type(error).__name__)


def race_close_with_first_event(
    client: Client, monkeypatch: pytest.MonkeyPatch, seconds: float | None = None
) -> tuple[list[str], bool]:
    """Close while another thread is starting a worker.

    Args:
        client: A client that has emitted nothing.
        monkeypatch: Restores what is replaced.
        seconds: How long the start takes; None: until `close` has returned.

    Returns:
        What became of its event, and whether the start had ended when `close` returned.
    """
    started, ended, closed = threading.Event(), threading.Event(), threading.Event()
    ensure_one = Supervisor.ensure_one

    def slow(supervisor: Supervisor, now: float) -> None:
        started.set()
        closed.wait(seconds)
        ensure_one(supervisor, now)
        ended.set()

    monkeypatch.setattr(Supervisor, "ensure_one", slow)
    outcomes: list[str] = []
    thread = threading.Thread(target=emit_first, args=(client, outcomes))
    thread.start()
    assert started.wait(10)
    monkeypatch.setattr(Supervisor, "ensure_one", ensure_one)
    client.close(5)
    was_awaited = ended.is_set()
    closed.set()
    thread.join()
    return outcomes, was_awaited


def test_close_and_the_first_event_may_meet_at_any_moment(
    config: Configure, nothing_left: None
) -> None:
    for number in range(20):
        client = Client(config(flush_interval=0.1))
        outcomes: list[str] = []
        thread = threading.Thread(target=emit_first, args=(client, outcomes))
        thread.start()
        time.sleep(number * 0.0002)
        client.close(5)
        thread.join()
        assert outcomes in (["ClosedError"], ["accepted"])


# A step that fails


def fail(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", "/spool/x.arena")


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (arena_file, "remove"),
        (Wiring, "close_life"),
        (Supervisor, "ensure_one_remains"),
        (Supervisor, "wait"),
        (Supervisor, "close"),
    ],
)
def test_a_step_that_fails_is_logged_and_the_others_are_made(
    config: Configure,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: Any,
    name: str,
) -> None:
    """After the application has dropped its privileges, for example."""
    threads = our_threads()
    client = Client(config(spool_dir=spool))
    emit(client, 0, 3)
    assert client.flush(20) == 0
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "dataart_mp"):
        patch.setattr(where, name, fail)
        assert client.close(20) == 0
    assert "closing a client: [Errno 13] Permission denied: '/spool/x.arena'" in caplog.text
    assert our_threads() == threads
    assert client.close() == 0


# A lack of descriptors


@pytest.fixture
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Lets the process open no further descriptor until it is called again."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def toggle() -> None:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3 if soft > 3 else before[0], before[1]))

    yield toggle
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_emit_without_descriptors_says_which_limit_to_raise(
    config: Configure, no_descriptors: Callable[[], None], sink: SinkProcess
) -> None:
    client = Client(config(flush_interval=0.1))
    before = open_descriptors()
    no_descriptors()
    for _ in range(3):
        with pytest.raises(BufferFullError, match=r"Too many open files; .*\(ulimit -n\)"):
            client.emit_action("tick", "ann", metadata={"_id": 99})
    no_descriptors()
    assert open_descriptors() == before
    emit(client, 0, 2)
    each_arrived_once(sink, 2)
    assert client.close(20) == 0


def test_an_event_after_the_end_of_the_with_block_is_refused_with_the_reason(
    config: Configure,
) -> None:
    with Client(config()) as client:
        client.emit_action("k", "u")

    calls: list[Callable[[], object]] = [
        lambda: client.emit_action("k", "u"),
        lambda: client.emit_actions([{"key": "k", "user_key": "u"}]),
        lambda: client.identify("u"),
        client.flush,
    ]
    for call in calls:
        with pytest.raises(ClosedError) as caught:
            call()
        assert str(caught.value) == (
            "the client is closed, by close() or by the end of its `with` block; "
            "emit before that, or create another Client"
        )
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_close_waits_for_what_children_have_emitted_before_their_end(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 1.0})
    client = Client(config())

    def emit_and_hand_over() -> None:
        client.emit_action("child", "bob")
        client._producer.seal()

    def emit_and_die() -> None:
        client.emit_action("victim", "eve")
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(emit_and_hand_over) == 0
    assert in_a_child(emit_and_die) != 0
    assert client.close(20) == client.stats().pending == 0
    assert sorted(event["key"] for event in sink.events()) == ["child", "victim"]
