"""Trouble with the spool's directory never reaches live events, and ends no worker."""

import logging
import shutil
from pathlib import Path

import pytest

from dataart_mp import Client, Failure
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import each_arrived_once, emit
from tests.support import SCRIPT, App, Configure, all_gone, wait_until, workers_of

DOWN = {"kind": "status", "status": 503}
QUICK = {
    "flush_num_processes": 1,
    "flush_num_retries": 0,
    "flush_buffer_size": 50,
    "max_request_bytes": 8192,
}


def test_live_events_arrive_while_the_spool_cannot_be_reached(
    config: Configure, sink: SinkProcess, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "dataart_mp")
    away = spool.with_name("away")
    with Client(config(spool_dir=spool, **QUICK)) as client:
        emit(client, 0, 10)
        assert client.flush(20) == 0
        workers = workers_of(client)
        spool.rename(away)
        wait_until(lambda: "parked batches cannot be read" in caplog.text)
        emit(client, 10, 10)
        assert client.flush(20) == 0
        away.rename(spool)
        wait_until(lambda: "parked batches can be read again" in caplog.text)
        emit(client, 20, 10)
        assert client.flush(20) == 0
        assert workers_of(client) == workers
    each_arrived_once(sink, 30)
    assert caplog.text.count("parked batches can") == 2
    assert "crashed" not in caplog.text
    assert list(spool.iterdir()) == []


def test_workers_end_if_the_spool_was_removed_and_no_producer_is_left(
    app: App, sink: SinkProcess, spool: Path
) -> None:
    sink.set_faults(DOWN)
    script = (
        SCRIPT
        + """
client = Client(
    ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_buffer_size=20,
                 flush_interval=0.2, flush_backoff_ratio=0.1, flush_num_retries=1, exit_timeout=0)
)
for number in range(5):
    client.emit_action("tick", "ann")
while len(workers_of(client)) < client.config.num_processes:
    time.sleep(0.01)
print(*workers_of(client))
"""
    )
    workers = [int(pid) for pid in app(script, sink.url, spool).stdout.split()]
    assert workers
    shutil.rmtree(spool)
    wait_until(lambda: all_gone(workers))


def test_a_removed_file_of_parked_batches_is_reported_and_the_balance_closes(
    config: Configure, sink: SinkProcess, spool: Path
) -> None:
    sink.set_faults(DOWN)
    failures: list[Failure] = []
    settings = {"spool_dir": spool, "on_failure": failures.append, "flush_interval": 0.2}
    with Client(config(**{**QUICK, **settings})) as client:
        emit(client, 0, 10)
        wait_until(lambda: client.stats().parked == 10)
        for file in spool.glob("parked.db*"):
            file.unlink()
        wait_until(lambda: client.stats().failed == 10)
        wait_until(lambda: failures)
        sink.clear_faults()
        emit(client, 10, 10)
        assert client.flush(20) == 0
        stats = client.stats()
    assert [(each.reason, each.records) for each in failures] == [("spool lost", ())]
    assert stats.balanced
    assert (stats.accepted, stats.delivered, stats.parked) == (20, 10, 0)
