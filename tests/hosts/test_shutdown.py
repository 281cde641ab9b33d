"""Emitting when nobody else would any more: at exit, in finalizers, in signal handlers."""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.hosts.hosted import CLIENT, Host, StartHost

Script = Callable[..., Host]
PYTHON = (sys.executable, "-X", "dev", "app.py")


def ended_well(app: Host) -> None:
    """It has ended by itself, and nothing was said: no traceback, no warning."""
    assert app.ends() == 0
    assert app.log == ""


def test_an_exit_handler_from_before_the_client_emits_after_the_clients_own(
    host: StartHost,
) -> None:
    head = "import atexit\natexit.register(lambda: [emit(number) for number in range(30, 60)])\n"
    text = "for number in range(30): emit(number)"
    app = host({"app.py": head + CLIENT + text}, *PYTHON)
    ended_well(app)
    app.arrived(range(60))


def test_an_exit_handler_from_after_the_client(script: Script) -> None:
    app = script(
        """
import atexit
atexit.register(lambda: [emit(number) for number in range(30, 60)])
for number in range(30):
    emit(number)
"""
    )
    ended_well(app)
    app.arrived(range(60))


@pytest.mark.parametrize("count", [1, 50])
def test_the_very_first_event_comes_from_an_exit_handler(host: StartHost, count: int) -> None:
    """No thread can be started any more; a worker can."""
    head = f"import atexit\natexit.register(lambda: [emit(number) for number in range({count})])\n"
    app = host({"app.py": head + CLIENT}, *PYTHON)
    ended_well(app)
    app.arrived(range(count))


def test_an_exit_handler_that_makes_flushes_and_closes_a_client(host: StartHost) -> None:
    text = f"""
import atexit

def say_goodbye():
    exec({CLIENT!r}, globals())
    for number in range(30):
        emit(number)
    assert client.flush(10) == 0
    assert client.close(10) == 0

atexit.register(say_goodbye)
"""
    app = host({"app.py": text}, *PYTHON)
    ended_well(app)
    app.arrived(range(30))


def test_a_thread_emits_after_the_main_thread_has_ended(script: Script) -> None:
    """From Python 3.12 on no thread can be started, and no process forked, at that time."""
    app = script(
        """
import threading

def emit_late():
    threading.main_thread().join()
    for number in range(50):
        emit(number)

threading.Thread(target=emit_late).start()
"""
    )
    ended_well(app)
    app.arrived(range(50))


def test_a_daemon_thread_emits_until_the_interpreter_is_gone(script: Script) -> None:
    app = script(
        """
import itertools, os, threading, time

def emit_on():
    for number in itertools.count():
        emit(number)
        os.pwrite(emitted, str(number).encode(), 0)  # after: it is accepted

emitted = os.open("emitted", os.O_CREAT | os.O_WRONLY)
threading.Thread(target=emit_on, daemon=True).start()
while client.stats().accepted < 1000:
    time.sleep(0.001)
"""
    )
    ended_well(app)
    last = int((app.folder / "emitted").read_text())
    assert last >= 999
    app.arrived(range(last + 1), attempted=range(last + 2))


def test_a_finalizer_emits_when_the_interpreter_takes_modules_apart(script: Script) -> None:
    app = script(
        """
class Session:
    def __init__(self, number):
        self.number, self.emit, self.itself = number, emit, self  # a cycle: collected, or last

    def __del__(self):
        self.emit(self.number)

session = Session(0)
for number in range(1, 30):
    Session(number)
"""
    )
    ended_well(app)
    app.arrived(range(30))


def test_a_finalizer_emits_in_the_middle_of_emitting(script: Script) -> None:
    """The collector may run it between any two steps of an emit, in the same thread."""
    app = script(
        """
import gc
gc.set_threshold(1)
numbers = iter(range(1, 4000, 2))

class Session:
    def __init__(self):
        self.itself = self

    def __del__(self):
        emit(next(numbers))

for number in range(0, 4000, 2):
    Session()
    emit(number)
gc.collect()
"""
    )
    ended_well(app)
    app.arrived(range(4000))


def test_a_signal_handler_emits_in_the_middle_of_emitting(script: Script) -> None:
    app = script(
        """
import itertools, signal, time

def tick(number, frame):
    emit(next(odd))
    signal.setitimer(signal.ITIMER_REAL, 0.0005 if time.monotonic() < end else 0)

odd, even = itertools.count(1, 2), itertools.count(0, 2)
signal.signal(signal.SIGALRM, tick)
end = time.monotonic() + 1
signal.setitimer(signal.ITIMER_REAL, 0.0005)
while time.monotonic() < end:
    emit(next(even))
assert client.flush(20) == 0
print(next(even), next(odd))
"""
    )
    assert app.ends() == 0
    evens, odds = map(int, app.log.split())
    assert odds > 100
    app.arrived([*range(0, evens, 2), *range(1, odds, 2)])


def test_a_signal_handler_emits_and_flushes_while_its_thread_flushes(script: Script) -> None:
    app = script(
        """
import signal, threading

def tick(number, frame):
    emit(1)
    assert client.flush(10) == 0
    handled.set()

handled = threading.Event()
signal.signal(signal.SIGALRM, tick)
emit(0)
signal.setitimer(signal.ITIMER_REAL, 0.3)
while not handled.is_set():
    client.flush(10)
""",
    )
    app.sink.set_faults({"kind": "latency", "seconds": 0.2})
    ended_well(app)
    app.arrived([0, 1])


def test_a_handler_of_sigterm_emits_flushes_and_exits(script: Script) -> None:
    app = script(
        """
import signal, sys, time

def end(number, frame):
    emit(1)
    client.flush(10)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
emit(0)
print("ready", flush=True)
while True:
    time.sleep(1000)
"""
    )
    app.until(lambda: "ready" in app.log, "ready")
    assert app.stop(signal.SIGTERM) == 0
    app.arrived([0, 1])


def test_the_hook_of_an_unhandled_exception_emits(script: Script) -> None:
    app = script(
        """
import sys
sys.excepthook = lambda *error: emit(1)
emit(0)
raise RuntimeError
"""
    )
    assert app.ends() == 1
    app.arrived([0, 1])


def test_a_client_that_is_forgotten_in_a_cycle_is_collected_in_silence(script: Script) -> None:
    app = script(
        """
import gc
client.itself = client
emit(0)
del client
gc.collect()
"""
    )
    ended_well(app)
    app.arrived([0])


def test_an_exit_waits_no_longer_than_exit_timeout(script: Script) -> None:
    """The rest is the workers'."""
    app = script(
        """
import dataclasses
slow = Client(dataclasses.replace(client.config, exit_timeout=0.5))
slow.emit_action("tick", "ann", metadata={"_id": 0})
"""
    )
    app.sink.set_faults({"kind": "latency", "seconds": 3})
    assert app.process.wait(2.5) == 0
    assert app.shippers()
    app.sink.clear_faults()
    ended_well(app)
    app.arrived([0])
