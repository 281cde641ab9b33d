"""A part is shipped by the process that calls `ship_iter`: reused, forked or spawned."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.ship import Report, ship_iter
from tests.ship.visits import Configure, visits
from tests.support import App, environment, wait_until

pyarrow = pytest.importorskip("pyarrow")


def test_parts_in_one_process_share_connections(settings: Configure, platform: SinkProcess) -> None:
    for part in range(5):
        ship_iter(visits(800, first=part * 800), settings(in_flight=2), str(part))
    assert platform.stats()["connections"] <= 2
    assert sorted(platform.ids()) == [*range(4000)]


def test_a_forked_child_has_its_own_connections(settings: Configure, platform: SinkProcess) -> None:
    job = settings(in_flight=1)
    ship_iter(visits(400), job, "0")
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as one, fork.Pool(1) as other:  # in a pool of two, one may do all the work
        tables = [visits(4000, first=part * 4000 + 400) for part in range(4)]
        futures = [
            pool.apply_async(ship_iter, (tables[part].to_batches(), job, str(part + 1)))
            for part, pool in enumerate((one, other, one, other))
        ]
        ship_iter(visits(4000, first=16_400), job, "5")
        reports: list[Report] = [future.get(30) for future in futures]
    assert [report.delivered for report in reports] == [4000] * 4
    stats = platform.stats()
    assert sorted(platform.ids()) == [*range(20_400)]
    assert (stats["connections"], stats["rejected_requests"], stats["requests"]) == (3, 0, 51)


SCRIPT = """
import pickle, sys, psutil
from tests.ship.visits import visits
from dataart_mp.ship import ship_iter
settings = pickle.loads(bytes.fromhex(sys.argv[1]))
report = ship_iter(visits(1000), settings, "0", attempt=int(sys.argv[2]))
assert report.delivered == 1000, report
assert psutil.Process().children() == []
loaded = [name for name in sys.modules if name.startswith("dataart_mp.")]
for name in ("worker", "client", "supervision", "queue.arena"):
    assert f"dataart_mp.{name}" not in loaded, name
"""


def test_it_starts_no_process_and_loads_no_code_of_workers(
    settings: Configure, platform: SinkProcess, app: App
) -> None:
    given: Any = pickle.dumps(settings()).hex()
    for attempt in (0, 1):
        done = app(SCRIPT, given, attempt, env=environment(PYTHONPATH=os.pathsep.join(sys.path)))
        assert done.returncode == 0, done.stderr
    stats = platform.stats()
    assert (stats["distinct_actions"], stats["explained_duplicates"]) == (1000, 1000)
    assert (stats["repeated_requests"], stats["reused_keys"]) == (3, 0)
    assert psutil.pid_exists(platform.pid)


def test_a_process_that_is_killed_while_it_ships_loses_nothing(
    settings: Configure, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "latency", "seconds": 0.02})
    given = pickle.dumps(settings(batch_size=5)).hex()
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, given, "0"],
        env=environment(PYTHONPATH=os.pathsep.join(sys.path)),
    ) as child:
        wait_until(lambda: platform.stats()["actions"] > 100)
        child.send_signal(signal.SIGKILL)
    wait_until(lambda: not platform.stats()["in_flight"])
    sent = platform.stats()["accepted_requests"]
    assert sent < 200
    report = ship_iter(visits(1000).to_batches(max_chunksize=7), settings(batch_size=5), "0", 1)
    stats = platform.stats()
    assert sorted(platform.ids()) == [*range(1000)]
    assert (stats["distinct_actions"], stats["unexplained_duplicates"]) == (1000, 0)
    assert stats["repeated_requests"] == sent
    assert stats["reused_keys"] == 0
    assert (report.delivered, report.may_repeat) == (1000, 200)
