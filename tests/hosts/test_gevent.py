"""Under gevent, where a thread is a greenlet and whoever blocks, blocks everybody."""

import sys
from collections.abc import Callable

import pytest

from tests.hosts.hosted import CLIENT, Host, StartHost

pytest.importorskip("gevent", reason="gevent has no wheel for this interpreter")
PATCH = "from gevent import monkey; monkey.patch_all()\n"
HEADS = {
    "patched first": PATCH + CLIENT,
    "patched last": CLIENT + PATCH,
}
# Every greenlet that waits writes down how long it had to wait beyond its time.
PULSE = """
import gevent, time

def pulse():
    while True:
        before = time.monotonic()
        gevent.sleep(0.01)
        lates.append(time.monotonic() - before - 0.01)

lates = []
beating = gevent.spawn(pulse)
gevent.sleep(0.05)

def no_pause():
    gevent.sleep(0.05)
    late, beats = max(lates), len(lates)
    lates.clear()
    assert late < 0.5, late
    return beats

"""

Application = Callable[..., Host]


@pytest.fixture(params=list(HEADS.values()), ids=list(HEADS))
def application(host: StartHost, request: pytest.FixtureRequest) -> Application:
    """Starts an application that is patched early or late."""

    def start(text: str, **options: float) -> Host:
        files = {"app.py": request.param + PULSE + text}
        return host(files, sys.executable, "app.py", **options)

    return start


def ended_well(app: Host, numbers: range) -> None:
    assert app.ends() == 0, app.log
    app.arrived(numbers)


def test_many_greenlets_emit_and_nobody_waits(application: Application) -> None:
    app = application(
        """
def work(first):
    for number in range(first, first + 100):
        emit(number)
        gevent.sleep(0)

gevent.joinall([gevent.spawn(work, first) for first in range(0, 2000, 100)], raise_error=True)
no_pause()
assert client.flush(20) == 0
no_pause()
assert client.close(20) == 0
no_pause()
"""
    )
    ended_well(app, range(2000))


def test_a_trickle_is_sent_in_time_while_everybody_sleeps(application: Application) -> None:
    """The watch is a greenlet that nobody wakes but the loop."""
    app = application(
        """
emit(0)
start = time.monotonic()
while client.stats().pending:
    gevent.sleep(0.01)
took = time.monotonic() - start
assert took < 3, took
no_pause()
""",
        flush_interval=0.2,
    )
    ended_well(app, range(1))


def test_waiting_for_the_platform_lets_others_run(application: Application) -> None:
    """`flush`, and an emit that waits for a free frame, wait as a greenlet."""
    app = application(
        """
import dataclasses
small = dataclasses.replace(client.config, flush_buffer_size=2, flush_actions_batch_size=1,
                            flush_num_workers=1)
client = Client(small)
for number in range(6):
    emit(number)
assert no_pause() > 50
assert client.flush(20) == 0
assert no_pause() > 20
assert client.close(20) == 0
"""
    )
    app.sink.set_faults({"kind": "latency", "seconds": 0.4})
    ended_well(app, range(6))


def test_a_worker_that_dies_is_replaced(application: Application) -> None:
    app = application(
        """
import os, signal
emit(0)
client.flush(20)
workers = client._engine.workers()
for pid in workers:
    os.kill(pid, signal.SIGKILL)
while set(workers) & set(client._engine.workers()):
    gevent.sleep(0.01)
for number in range(1, 100):
    emit(number)
assert client.flush(20) == 0
no_pause()
"""
    )
    ended_well(app, range(100))


def test_a_child_that_gevent_forks_ships_its_own_events(application: Application) -> None:
    app = application(
        """
import os
emit(0)
pid = os.fork()
if not pid:
    for number in range(1, 30):
        emit(number)
    gevent.sleep(0.01)
    os._exit(client.flush(20))
assert os.waitpid(pid, 0)[1] == 0
no_pause()
for number in range(30, 60):
    emit(number)
client.close(20)
"""
    )
    ended_well(app, range(60))


def test_an_end_without_close_leaves_nothing(application: Application) -> None:
    app = application("for number in range(30): emit(number)", flush_interval=1000)
    ended_well(app, range(30))


def test_a_client_that_the_collector_finds_inside_the_loop_blocks_nobody(
    application: Application,
) -> None:
    """A callback of the loop must not wait, so neither must a finalizer that runs there."""
    app = application(
        """
emit(0)
client.flush(20)
emit(1)
emit = None
gevent.get_hub().loop.run_callback(globals().pop, "client")
gevent.sleep(0.2)
assert "client" not in globals()
no_pause()
"""
    )
    ended_well(app, range(2))
