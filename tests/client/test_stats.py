"""`stats()` and `health()` show the state of a client over all its processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.spool.parking_lot import ParkingLot
from tests.client.tools import emit, kill
from tests.support import Configure, stop, wait_until, workers_of
from tests.transport.servers import Serve

MANY_RETRIES = {"flush_num_retries": 1000, "flush_backoff_ratio": 0.2}


@pytest.fixture
def sink(platform: SinkProcess) -> SinkProcess:
    """One sink for all tests, because starting one takes longer than most of them."""
    return platform


@pytest.fixture
def down(sink: SinkProcess) -> Iterator[SinkProcess]:
    sink.set_faults({"kind": "status", "status": 503})
    yield sink
    sink.clear_faults()


def test_an_idle_client_is_ok_and_has_no_worker(client: Client) -> None:
    stats = client.stats()
    assert (stats.workers, stats.in_flight, stats.frames_in_use) == (0, 0, 0)
    assert stats.frames_free == client.config.flush_buffer_size
    assert (stats.oldest_pending_seconds, stats.circuit, stats.circuit_since) == (
        None,
        "closed",
        None,
    )
    assert (stats.last_error, stats.last_error_at, stats.failing_since) == (None, None, None)
    assert str(client.health()) == "ok"


def test_the_age_is_that_of_the_oldest_record_in_whatever_process(config: Configure) -> None:
    with Client(config(flush_interval=3600.0)) as client:
        emit(client, 0, 1)
        time.sleep(0.3)
        pid = os.fork()
        if not pid:
            emit(client, 1, 1)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        age = client.stats().oldest_pending_seconds
        assert age is not None
        assert 0.3 <= age < 5.0
        assert client.flush(20) == 0
        wait_until(lambda: client.stats().pending == 0)
        assert client.stats().oldest_pending_seconds is None


def test_a_joined_record_keeps_its_age(config: Configure, down: SinkProcess) -> None:
    """Under backlog, frames are joined; the leader may be younger than what is joined to it."""
    with Client(config(**MANY_RETRIES, flush_num_workers=1, flush_num_processes=1)) as client:
        emit(client, 0, 20)
        time.sleep(0.2)
        emit(client, 20, 200)
        age = client.stats().oldest_pending_seconds
        assert age is not None
        assert age >= 0.2
        down.clear_faults()
        assert client.close(20) == 0


def test_the_workers_and_requests_of_all_processes_are_counted(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "hang"})
    with Client(config(flush_max_batch_size=20, flush_num_processes=2)) as client:
        emit(client, 0, 400)
        wait_until(lambda: client.stats().workers == 2 and client.stats().in_flight == 4)
        kill(workers_of(client)[0])
        wait_until(lambda: client.stats().workers == 2)
        stats = client.stats()
        assert stats.frames_in_use > 0
        assert stats.frames_in_use + stats.frames_free == client.config.flush_buffer_size
        assert stats.circuit == "closed"
        sink.clear_faults()


def test_an_outage_shows_in_the_stats_of_all_processes_and_ends(
    config: Configure, down: SinkProcess
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    with Client(config(**MANY_RETRIES, flush_num_processes=2)) as client:
        emit(client, 0, 400)
        wait_until(lambda: client.stats().circuit == "open")
        stats = client.stats()
        assert stats.last_error is not None
        assert stats.last_error.startswith("status 503")
        times = (stats.last_error_at, stats.circuit_since, stats.failing_since)
        assert all(began < moment < datetime.now(UTC) for moment in times if moment)
        assert None not in times
        health = client.health()
        assert health.status == "failing"
        assert "status 503" in health.reason
        pid = os.fork()
        if not pid:
            os._exit(client.stats().circuit != "open" or client.health().status != "failing")
        assert os.waitpid(pid, 0)[1] == 0
        down.clear_faults()
        wait_until(lambda: client.stats().delivered == 400)
        wait_until(lambda: client.stats().failing_since is None)
        after = client.stats()
        assert after.circuit == "closed"
        assert after.circuit_since is not None
        assert stats.circuit_since is not None
        assert after.circuit_since > stats.circuit_since
        assert after.last_error == stats.last_error, "it stays, with its time"
        assert client.health().is_ok


def test_the_last_error_is_bounded_and_shows_no_secret(config: Configure, serve: Serve) -> None:
    body = ("the key very-secret-key is unknown\n" * 100).encode()
    server = serve(lambda peer: peer.respond_to_all(400, body))
    with Client(config(api_key="very-secret-key", base_url=server.url)) as client:
        emit(client, 0, 1)
        assert client.flush(20) == 0
        error = client.stats().last_error
    assert error is not None
    assert error.startswith("status 400, 'the key *** is unknown")
    assert "secret" not in error
    assert len(error.encode()) <= 304
    assert error.isprintable()


def test_a_stopped_application_has_workers_and_records(
    config: Configure, down: SinkProcess
) -> None:
    with Client(config(**MANY_RETRIES, flush_num_processes=1)) as client:
        emit(client, 0, 40)
        wait_until(lambda: client.stats().workers == 1)
        (worker,) = workers_of(client)
        stop(worker)
        assert client.stats().workers == 1, "a stopped worker is alive"
        os.kill(worker, signal.SIGCONT)
        down.clear_faults()


# The numbers agree

QUICK = {
    "flush_num_processes": 2,
    "flush_num_retries": 1,
    "max_request_bytes": 8192,
    "flush_buffer_size": 50,
}


@pytest.fixture
def outage(config: Configure, down: SinkProcess, spool: Path) -> Iterator[Callable[..., Client]]:
    """Creates clients with a spool while the platform is down."""
    made: list[Client] = []

    def make(**settings: Any) -> Client:
        made.append(Client(config(spool_dir=spool, **{**QUICK, **settings})))
        return made[-1]

    yield make
    down.clear_faults()
    for client in made:
        client.close(20)


def in_file(spool: Path) -> int:
    """Return how many records parked.db holds."""
    lot = ParkingLot(spool, max_bytes=0)
    try:
        return sum(batch.count for batch in lot.batches())
    finally:
        lot.close()


def test_parked_records_count_as_parked_while_they_are_tried_again(
    outage: Callable[..., Client], spool: Path
) -> None:
    """Workers take some of them again and again, to find out whether the platform is up."""
    client = outage()
    emit(client, 0, 400)
    assert client.flush(20) == 0
    wait_until(lambda: client.stats().parked == 400)
    deadline = time.monotonic() + 2.0
    tried = client.stats().requests
    while time.monotonic() < deadline or client.stats().requests == tried:
        stats = client.stats()
        assert (stats.accepted, stats.parked, stats.pending) == (400, 400, 0)
        assert in_file(spool) == 400
    assert client.health().status in ("degraded", "failing")


def test_close_returns_what_stats_count_as_pending_also_during_an_outage(
    outage: Callable[..., Client], spool: Path
) -> None:
    client = outage()
    emit(client, 0, 400)
    wait_until(lambda: client.stats().frames_in_use > 0)
    pending = client.close(20)
    stats = client.stats()
    assert pending == stats.pending
    assert stats.balanced
    assert (stats.pending, stats.parked) == (0, 400)
    assert in_file(spool) == 400


def test_close_returns_what_is_pending_of_all_processes(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 1.0})
    client = Client(config())
    emit(client, 0, 20)
    pid = os.fork()
    if not pid:
        emit(client, 20, 30)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert client.close(0.1) == client.stats().pending == 50
    assert client.close() == 50
    sink.clear_faults()


def test_the_log_counts_each_parked_record_once(
    outage: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    client = outage()
    emit(client, 0, 400)
    assert client.flush(20) == 0
    wait_until(lambda: client.stats().parked == 400)
    requests = client.stats().requests
    # Batches that were parked are tried, and parked again.
    wait_until(lambda: client.stats().requests > requests + 2)
    client.close(20)
    lines = [record.getMessage() for record in caplog.records]
    parked = [int(line.split()[0].replace(",", "")) for line in lines if "records parked" in line]
    assert sum(parked) == 400, lines
