"""gevent, where a thread is a greenlet, and one that blocks stops all others."""

import sys

import pytest

from tests.hosts.host import CLIENT, Host, StartHost, StartScript

pytest.importorskip("gevent", reason="gevent has no wheel for this interpreter")
PATCH = "from gevent import monkey; monkey.patch_all()\n"
STARTS = {
    "patched first": PATCH + CLIENT,
    "patched last": CLIENT + PATCH,
}
# A greenlet measures how late it is resumed.
DELAYS = """
import gevent, time

def measure():
    while True:
        before = time.monotonic()
        gevent.sleep(0.01)
        delays.append(time.monotonic() - before - 0.01)

delays = []
gevent.spawn(measure)
gevent.sleep(0.05)

def check_delays():
    gevent.sleep(0.05)
    longest, count = max(delays), len(delays)
    delays.clear()
    assert longest < 0.5, longest
    return count

"""


@pytest.fixture(params=list(STARTS.values()), ids=list(STARTS))
def application(host: StartHost, request: pytest.FixtureRequest) -> StartScript:
    """Starts an application that is patched before or after it imports the client."""

    def start(text: str, **options: float) -> Host:
        files = {"app.py": request.param + DELAYS + text}
        return host(files, sys.executable, "app.py", **options)

    return start


def check(app: Host, numbers: range) -> None:
    """Check that the application ends without an error, and that the events arrive."""
    assert app.check_end() == 0, app.log
    app.check_arrived(numbers)


def test_many_greenlets_emit_without_blocking_each_other(application: StartScript) -> None:
    app = application(
        """
def work(first):
    for number in range(first, first + 100):
        emit(number)
        gevent.sleep(0)

gevent.joinall([gevent.spawn(work, first) for first in range(0, 2000, 100)], raise_error=True)
check_delays()
assert client.flush(20) == 0
check_delays()
assert client.close(20) == 0
check_delays()
"""
    )
    check(app, range(2000))


def test_a_single_event_is_sent_in_time_while_all_greenlets_sleep(
    application: StartScript,
) -> None:
    """The housekeeping thread is a greenlet, which only gevent's loop resumes."""
    app = application(
        """
emit(0)
start = time.monotonic()
while client.stats().pending:
    gevent.sleep(0.01)
took = time.monotonic() - start
assert took < 3, took
check_delays()
""",
        flush_interval=0.2,
    )
    check(app, range(1))


def test_waiting_for_the_platform_lets_other_greenlets_run(application: StartScript) -> None:
    """`flush`, and an emit that waits for a free frame, block only their greenlet."""
    app = application(
        """
import dataclasses
small = dataclasses.replace(client.config, flush_buffer_size=2, flush_actions_batch_size=1,
                            flush_num_workers=1)
client = Client(small)
for number in range(6):
    emit(number)
assert check_delays() > 50
assert client.flush(20) == 0
assert check_delays() > 20
assert client.close(20) == 0
"""
    )
    app.sink.set_faults({"kind": "latency", "seconds": 0.4})
    check(app, range(6))


def test_a_worker_that_dies_is_replaced(application: StartScript) -> None:
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
check_delays()
"""
    )
    check(app, range(100))


def test_a_child_that_gevent_forks_ships_its_own_events(application: StartScript) -> None:
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
check_delays()
for number in range(30, 60):
    emit(number)
client.close(20)
"""
    )
    check(app, range(60))


def test_an_exit_without_close_loses_no_event(application: StartScript) -> None:
    app = application("for number in range(30): emit(number)", flush_interval=1000)
    check(app, range(30))


def test_a_client_that_is_collected_in_a_callback_of_the_loop_does_not_block_it(
    application: StartScript,
) -> None:
    """A callback of the loop must not wait, and neither must a finalizer that runs in it."""
    app = application(
        """
emit(0)
client.flush(20)
emit(1)
emit = None
gevent.get_hub().loop.run_callback(globals().pop, "client")
gevent.sleep(0.2)
assert "client" not in globals()
check_delays()
"""
    )
    check(app, range(2))
