"""Emitting at unusual times: at exit, in finalizers, in signal handlers."""

import signal
import sys
import time

import pytest

from tests.hosts.host import CLIENT, SECONDS, StartHost, StartScript

PYTHON = (sys.executable, "-X", "dev", "app.py")


def test_an_exit_handler_that_runs_after_the_clients_emits(
    host: StartHost,
) -> None:
    start = "import atexit\natexit.register(lambda: [emit(number) for number in range(30, 60)])\n"
    text = "for number in range(30): emit(number)"
    app = host({"app.py": start + CLIENT + text}, *PYTHON)
    app.check_clean_end()
    app.check_arrived(range(60))


def test_an_exit_handler_that_runs_before_the_clients_emits(script: StartScript) -> None:
    app = script(
        """
import atexit
atexit.register(lambda: [emit(number) for number in range(30, 60)])
for number in range(30):
    emit(number)
"""
    )
    app.check_clean_end()
    app.check_arrived(range(60))


@pytest.mark.parametrize("count", [1, 50])
def test_the_very_first_event_comes_from_an_exit_handler(host: StartHost, count: int) -> None:
    """No thread can be started at that time, but a worker can."""
    start = f"import atexit\natexit.register(lambda: [emit(number) for number in range({count})])\n"
    app = host({"app.py": start + CLIENT}, *PYTHON)
    app.check_clean_end()
    app.check_arrived(range(count))


def test_an_exit_handler_creates_flushes_and_closes_a_client(host: StartHost) -> None:
    text = f"""
import atexit

def at_exit():
    exec({CLIENT!r}, globals())
    for number in range(30):
        emit(number)
    assert client.flush(10) == 0
    assert client.close(10) == 0

atexit.register(at_exit)
"""
    app = host({"app.py": text}, *PYTHON)
    app.check_clean_end()
    app.check_arrived(range(30))


def test_a_thread_emits_after_the_main_thread_has_ended(script: StartScript) -> None:
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
    app.check_clean_end()
    app.check_arrived(range(50))


def test_a_daemon_thread_emits_until_the_interpreter_has_ended(script: StartScript) -> None:
    app = script(
        """
import itertools, os, threading, time

def emit_forever():
    for number in itertools.count():
        emit(number)
        os.pwrite(emitted, str(number).encode(), 0)  # written after the event was accepted

emitted = os.open("emitted", os.O_CREAT | os.O_RDWR)
threading.Thread(target=emit_forever, daemon=True).start()
while int(os.pread(emitted, 20, 0) or 0) < 999:
    time.sleep(0.001)
"""
    )
    app.check_clean_end()
    last = int((app.folder / "emitted").read_text())
    assert last >= 999
    app.check_arrived(range(last + 1), attempted=range(last + 2))


def test_a_finalizer_emits_when_the_interpreter_clears_modules(script: StartScript) -> None:
    app = script(
        """
class Session:
    def __init__(self, number):
        self.number, self.emit, self.itself = number, emit, self  # a cycle: collected late

    def __del__(self):
        self.emit(self.number)

session = Session(0)
for number in range(1, 30):
    Session(number)
"""
    )
    app.check_clean_end()
    app.check_arrived(range(30))


def test_a_finalizer_emits_in_the_middle_of_emitting(script: StartScript) -> None:
    """The garbage collector may run it between any two steps of an emit, in the same thread."""
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
    app.check_clean_end()
    app.check_arrived(range(4000))


def test_a_signal_handler_emits_in_the_middle_of_emitting(script: StartScript) -> None:
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
    assert app.check_end() == 0
    evens, odds = map(int, app.output.split())
    assert odds > 100
    app.check_arrived([*range(0, evens, 2), *range(1, odds, 2)])


def test_a_signal_handler_emits_and_flushes_while_its_thread_flushes(script: StartScript) -> None:
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
    app.check_clean_end()
    app.check_arrived([0, 1])


def test_a_handler_of_sigterm_emits_flushes_and_exits(script: StartScript) -> None:
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
    app.check_arrived([0, 1])


def test_the_hook_of_an_unhandled_exception_emits(script: StartScript) -> None:
    app = script(
        """
import sys
sys.excepthook = lambda *error: emit(1)
emit(0)
raise RuntimeError
"""
    )
    assert app.check_end() == 1
    app.check_arrived([0, 1])


def test_a_client_in_a_reference_cycle_is_collected_without_a_warning(script: StartScript) -> None:
    app = script(
        """
import gc
client.itself = client
emit(0)
del client
gc.collect()
"""
    )
    app.check_clean_end()
    app.check_arrived([0])


def test_an_exit_waits_no_longer_than_exit_timeout(script: StartScript) -> None:
    """The workers then send the rest."""
    app = script(
        """
import dataclasses
import time
slow = Client(dataclasses.replace(client.config, exit_timeout=0.5))
slow.emit_action("tick", "ann", metadata={"_id": 0})
print(time.monotonic())
"""
    )
    app.sink.set_faults({"kind": "hang"})
    assert app.process.wait(SECONDS) == 0
    seconds = time.monotonic() - float(app.output)
    assert 0.5 <= seconds < 5 - 1, f"{seconds}; by default, it waits for 5 s"
    assert app.shippers()
    app.sink.clear_faults()
    assert app.check_end() == 0
    app.check_arrived([0])
