"""Accepted events arrive, whichever process dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import each_arrived_once, emit
from tests.support import (
    SCRIPT,
    App,
    Configure,
    all_gone,
    arena_of,
    holders,
    open_descriptors,
    wait_until,
    workers_of,
)

PREAMBLE = (
    SCRIPT
    + """
client = Client(ClientConfig(sys.argv[1], base_url=sys.argv[2], flush_backoff_ratio=0.05))

def emit(count, first=0):
    for number in range(first, first + count):
        client.emit_action("tick", "ann", metadata={"_id": number})

"""
)


@pytest.mark.parametrize("count", [1, 19, 20, 21, 5000])
def test_events_outlive_kill_9_right_after_emit(app: App, sink: SinkProcess, count: int) -> None:
    """No worker is ready by then, but the first event has started one."""
    done = app(PREAMBLE + f"emit({count}); os.kill(os.getpid(), signal.SIGKILL)", "k", sink.url)
    assert done.returncode == -signal.SIGKILL
    each_arrived_once(sink, count)


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("raise RuntimeError('unhandled')", 1),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
        ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT),
        ("os.abort()", -signal.SIGABRT),
        ("threading.Thread(target=sys.exit).start()", 0),
        ("del client", 0),
        ("client.close(timeout=0)", 0),
    ],
)
def test_events_outlive_every_way_to_end(
    app: App, sink: SinkProcess, ending: str, code: int
) -> None:
    done = app(PREAMBLE + f"emit(50)\n{ending}", "k", sink.url)
    assert done.returncode == code
    assert "ResourceWarning" not in done.stderr
    each_arrived_once(sink, 50)


def test_ctrl_c_reaches_the_application_and_not_the_workers(
    tmp_path: Path, sink: SinkProcess
) -> None:
    """A terminal sends SIGINT to the process group; workers are in other groups."""
    script = tmp_path / "app.py"
    script.write_text(PREAMBLE + "emit(50)\nprint('emitted', flush=True)\ntime.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, script, "k", sink.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
    each_arrived_once(sink, 50)


def test_events_outlive_kill_9_of_a_worker_and_it_is_replaced(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(flush_num_processes=1)) as client:
        client.emit_action("first", "ann")
        assert client.flush(20) == 0
        (victim,) = workers_of(client)
        os.kill(victim, signal.SIGKILL)
        emit(client, 0, 200)
        assert client.flush(20) == 0
        (successor,) = workers_of(client)
        assert successor != victim
        assert client.stats().delivered == 201
    assert set(sink.ids().values()) == {1}


def test_the_batch_of_a_killed_worker_is_sent_again_with_the_same_key(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "hang", "times": 1})
    with Client(config(flush_num_processes=1)) as client:
        emit(client, 0, 20)
        sink.wait_for(lambda stats: stats["in_flight"] == 1)
        os.kill(workers_of(client)[0], signal.SIGKILL)
        assert client.flush(20) == 0
        assert client.stats().delivered == 20
    keys = [request["idempotency_key"] for request in sink.requests()]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_events_outlive_application_and_worker_killed_together(app: App, sink: SinkProcess) -> None:
    """One of two workers remains, and sends the frames of the dead processes."""
    text = """
emit(1)
client.flush()
while len(workers_of(client)) < 2:
    time.sleep(0.01)
emit(3000, first=1)
os.kill(workers_of(client)[0], signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""
    app(PREAMBLE.replace("flush_back", "flush_num_processes=2, flush_back") + text, "k", sink.url)
    stats = sink.wait_for(lambda stats: stats["distinct_ids"] == 3001)
    assert stats["unexplained_duplicates"] == 0


def test_a_worker_is_replaced_by_a_sibling_when_no_producer_is_left(
    app: App, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    text = """
emit(300)
while len(workers_of(client)) < 2:
    time.sleep(0.01)
print(*workers_of(client), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    settings = "flush_num_retries=1000, flush_num_processes=2, "
    preamble = PREAMBLE.replace("flush_back", f"{settings}flush_back")
    one, other = map(int, app(preamble + text, "k", sink.url).stdout.split())
    os.kill(one, signal.SIGKILL)
    sink.wait_for(lambda stats: stats["connections"] > 0)
    arena = arena_of(other)
    wait_until(lambda: len(holders(arena) - {one, other}) == 1)
    os.kill(other, signal.SIGKILL)
    sink.clear_faults()
    each_arrived_once(sink, 300)
    wait_until(lambda: not holders(arena))


def test_workers_end_when_the_client_is_closed(config: Configure) -> None:
    descriptors = open_descriptors()
    client = Client(config(flush_num_processes=2))
    client.emit_action("tick", "ann")
    wait_until(lambda: len(workers_of(client)) == 2)
    workers = workers_of(client)
    assert client.close(20) == 0
    wait_until(lambda: all_gone(workers))
    assert open_descriptors() == descriptors


def test_workers_end_when_the_application_is_killed(app: App, sink: SinkProcess) -> None:
    text = """
emit(1)
client.flush()
print(*workers_of(client), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = app(PREAMBLE + text, "k", sink.url)
    workers = [int(pid) for pid in done.stdout.split()]
    assert workers
    wait_until(lambda: all_gone(workers))


def test_workers_deliver_the_events_of_a_garbage_collected_client(
    config: Configure, sink: SinkProcess
) -> None:
    descriptors = open_descriptors()
    client = Client(config())
    client.emit_action("tick", "ann")
    workers = workers_of(client)
    del client
    sink.wait_for(lambda stats: stats["actions"] == 1)
    wait_until(lambda: all_gone(workers))
    assert open_descriptors() == descriptors


def test_nothing_is_started_before_the_first_event(app: App, sink: SinkProcess) -> None:
    text = """
print(threading.active_count(), workers_of(client), client.stats().accepted)
client.close()
"""
    assert app(PREAMBLE + text, "k", sink.url).stdout.split() == ["1", "[]", "0"]


def test_workers_do_not_keep_a_pipe_of_the_application_open(
    tmp_path: Path, sink: SinkProcess
) -> None:
    """`app | tee log` returns when the application ends, even if workers are still busy."""
    sink.set_faults({"kind": "hang"})
    script = tmp_path / "app.py"
    script.write_text(PREAMBLE + "emit(20)\nclient.close(timeout=0)")
    piped = subprocess.run(
        f"{sys.executable} {script} k {sink.url} 2>&1 | cat",
        shell=True,
        timeout=30,
        capture_output=True,
        check=True,
    )
    assert piped.stdout == b""
    sink.clear_faults()
    each_arrived_once(sink, 20)
