"""With a spool, an outage of any length loses no event, even if processes die meanwhile."""

import contextlib
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp import Client, Failure
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import emit, kill
from tests.support import SCRIPT, Configure, all_gone, wait_until, workers_of

DOWN = {"kind": "status", "status": 503}
QUICK = {
    "flush_num_processes": 2,
    "flush_num_retries": 1,
    "max_request_bytes": 8192,
    "flush_buffer_size": 50,
}


@pytest.fixture
def outage(config: Configure, sink: SinkProcess, spool: Path) -> Iterator[Callable[..., Client]]:
    """Creates clients with a spool while the platform is down."""
    sink.set_faults(DOWN)
    made: list[Client] = []

    def make(**settings: Any) -> Client:
        made.append(Client(config(spool_dir=spool, **{**QUICK, **settings})))
        return made[-1]

    yield make
    sink.clear_faults()
    for client in made:
        client.close(20)


def all_parked(client: Client, count: int) -> Callable[[], bool]:
    """Whether all batches are parked, except those that test whether the platform is up."""

    def reached() -> bool:
        stats = client.stats()
        return stats.accepted == count and stats.parked >= count - 20 * len(workers_of(client))

    return reached


def test_batches_without_retries_left_are_parked_and_sent_after_the_outage(
    outage: Callable[..., Client], sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    client = outage()
    emit(client, 0, 100)
    client.identify("ann", {"plan": "free"})
    assert client.flush(20) == 0
    wait_until(all_parked(client, 101))
    assert client.stats().failed == 0
    keys = {request["idempotency_key"] for request in sink.requests()}
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100 and stats["identities"] == 1)
    wait_until(lambda: client.stats().delivered == 101)
    stats = client.stats()
    assert (stats.parked, stats.pending, stats.failed) == (0, 0, 0)
    assert set(sink.ids().values()) == {1}
    assert {r["idempotency_key"] for r in sink.requests() if r["status"] == 200} == keys
    assert client.close(20) == 0
    assert re.search(r"\d+ records parked( in \d+ s)?: retries exhausted, status 503", caplog.text)


def test_the_next_client_sends_parked_batches_even_if_it_emits_nothing(
    outage: Callable[..., Client], sink: SinkProcess, spool: Path
) -> None:
    first = outage()
    emit(first, 0, 100)
    assert first.flush(20) == 0
    wait_until(all_parked(first, 100))
    gone = workers_of(first)
    assert first.close(20) == 0
    parked, pending = first.stats().parked, first.stats().pending
    assert parked + pending == 100
    wait_until(lambda: all_gone(gone))
    sink.clear_faults()
    successor = outage()
    sink.wait_for(lambda stats: stats["distinct_ids"] == 100)
    assert set(sink.ids().values()) == {1}
    # A batch is settled a moment after the sink has received it.
    wait_until(lambda: successor.stats().delivered >= parked)
    wait_until(lambda: successor.stats().frames_in_use == 0)
    stats = successor.stats()
    assert stats.accepted == stats.delivered >= parked
    assert stats.pending == 0


def test_an_idle_client_sends_what_a_closed_client_parked(
    outage: Callable[..., Client], sink: SinkProcess
) -> None:
    idle, other = outage(), outage()
    emit(other, 0, 40)
    assert other.flush(20) == 0
    wait_until(all_parked(other, 40))
    gone = workers_of(other)
    assert other.close(20) == 0
    wait_until(lambda: all_gone(gone))
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["distinct_ids"] == 40)
    assert set(sink.ids().values()) == {1}
    wait_until(lambda: idle.stats().delivered > 0 and idle.stats().frames_in_use == 0)
    stats = idle.stats()
    assert (stats.parked, stats.pending) == (0, 0)
    assert stats.accepted == stats.delivered


def test_batches_parked_by_a_live_client_are_sent_by_that_client(
    outage: Callable[..., Client], sink: SinkProcess, spool: Path
) -> None:
    one = outage()
    emit(one, 0, 40)
    assert one.flush(20) == 0
    other = outage()
    emit(other, 40, 20)
    assert other.flush(20) == 0
    sink.clear_faults()
    wait_until(lambda: (one.stats().delivered, other.stats().delivered) == (40, 20))
    assert sink.ids() == dict.fromkeys(range(60), 1)


def test_emit_does_not_block_when_an_outage_would_fill_the_buffer(
    outage: Callable[..., Client], sink: SinkProcess
) -> None:
    """The events fill four buffers, and each batch would be retried for hours."""
    client = outage(flush_num_retries=1000, flush_backoff_ratio=60.0, block_timeout=10.0)
    emit(client, 0, 4_000)
    # A batch that is being parked at this moment may count as pending.
    wait_until(lambda: client.stats().parked >= 3_000)
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["distinct_ids"] >= 3_000)
    assert client.flush(20) == 0
    wait_until(lambda: client.stats().delivered == 4_000)
    assert sink.ids() == dict.fromkeys(range(4_000), 1)


def test_what_would_wait_for_minutes_is_sent_when_an_outage_is_over_although_no_event_comes(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults(DOWN)
    settings = {**QUICK, "flush_num_retries": 1000, "flush_backoff_ratio": 60.0}
    one_by_one = {"flush_actions_batch_size": 1, "flush_max_batch_size": 1}
    with Client(config(**{**settings, **one_by_one})) as client:
        emit(client, 0, 5)
        wait_until(lambda: client.stats().circuit == "open" and not client.stats().in_flight)
        sink.clear_faults()
        wait_until(lambda: client.stats().delivered == 5, 10.0)
        assert client.health().is_ok
    assert sink.ids() == dict.fromkeys(range(5), 1)


def test_new_events_are_delivered_beside_parked_batches(
    outage: Callable[..., Client], sink: SinkProcess
) -> None:
    client = outage()
    emit(client, 0, 5_000)
    assert client.flush(20) == 0
    sink.set_faults({"kind": "latency", "seconds": 0.01})
    emit(client, 5_000, 1_000)
    assert client.flush(20) == 0, "flush does not wait for parked batches"
    wait_until(lambda: client.stats().delivered == 6_000)
    assert sink.ids() == dict.fromkeys(range(6_000), 1)


def emit_large(client: Client, count: int) -> None:
    """Emit events of 100 kB, each in a separate batch."""
    for number in range(count):
        client.emit_action("tick", "ann", metadata={"_id": number, "text": "x" * 100_000})
        assert client.flush(20) == 0


LARGE = {
    "flush_actions_batch_size": 1,
    "max_request_bytes": 128 * 1024,
    "flush_num_processes": 1,
    "flush_num_retries": 0,
    "spool_max_bytes": 1 << 20,
}


def test_the_oldest_parked_batches_fail_and_are_reported_when_the_spool_is_full(
    outage: Callable[..., Client], sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Failure] = []
    client = outage(**LARGE, on_failure=failures.append)
    emit_large(client, 20)
    wait_until(lambda: client.stats().failed >= 9)
    sink.clear_faults()
    wait_until(lambda: client.stats().delivered + client.stats().failed == 20)
    failed = client.stats().failed
    assert client.close(20) == 0
    failed_ids = {failure.records[0]["metadata"]["_id"] for failure in failures}
    assert {failure.reason for failure in failures} == {"spool full"}
    assert len(failures) == failed == len(failed_ids)
    assert set(sink.ids()) == set(range(20)) - failed_ids
    assert max(failed_ids) < max(sink.ids()), "the oldest batches failed"
    assert "not delivered: spool full" in caplog.text


def test_new_batches_fail_when_the_spool_is_full_with_refuse_new(
    outage: Callable[..., Client], sink: SinkProcess
) -> None:
    failures: list[Failure] = []
    client = outage(**LARGE, on_failure=failures.append, spool_overflow="refuse_new")
    emit_large(client, 20)
    sink.clear_faults()
    wait_until(lambda: client.stats().delivered + client.stats().failed == 20)
    assert client.stats().failed >= 9
    assert client.close(20) == 0
    failed_ids = {failure.records[0]["metadata"]["_id"] for failure in failures}
    assert {failure.reason for failure in failures} == {"spool full"}
    assert set(sink.ids()) == set(range(20)) - failed_ids
    assert max(failed_ids) > max(sink.ids()), "the newest batches failed"


@pytest.mark.parametrize("name", ["parked.db", "parked.db-wal"])
def test_a_damaged_parking_lot_is_set_aside_and_logged_and_delivery_continues(
    outage: Callable[..., Client],
    sink: SinkProcess,
    spool: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    spool.mkdir(0o700)
    (spool / name).write_bytes(b"not a database" * 1000)
    client = outage()
    emit(client, 0, 100)
    assert client.flush(30) == 0
    sink.clear_faults()
    wait_until(lambda: client.stats().delivered == 100)
    assert sink.ids() == dict.fromkeys(range(100), 1)
    if name == "parked.db":
        assert (spool / "parked.db.corrupt").exists()
        assert "it is kept as parked.db.corrupt" in caplog.text


FULL_DISK = (
    SCRIPT
    + """
import resource

client = Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_buffer_size=50,
    max_request_bytes=8192, flush_backoff_ratio=0.05, flush_num_retries=1, flush_num_processes=2,
    overflow="drop"))
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), limit[1]))  # workers inherit it
client.identify("ann")
while len(workers_of(client)) < 2:
    time.sleep(0.01)
accepted, taken_at = 1, time.monotonic()
while time.monotonic() - taken_at < 1:  # the disk is full, and then the buffer, and it stays so
    if client.emit_action("t", "ann", metadata={"_id": accepted}):
        accepted, taken_at = accepted + 1, time.monotonic()
    time.sleep(0.0003)
print(accepted, *workers_of(client), flush=True)
while client.stats().delivered < accepted:
    time.sleep(0.05)
print(client.stats())
"""
)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of another process")
def test_batches_stay_in_memory_while_a_full_disk_keeps_them_from_being_parked(
    sink: SinkProcess, spool: Path, tmp_path: Path
) -> None:
    sink.set_faults(DOWN)
    script = tmp_path / "app.py"
    script.write_text(FULL_DISK)
    with (
        subprocess.Popen(
            [sys.executable, str(script), sink.url, str(spool), "600000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        contextlib.ExitStack() as stack,
    ):
        assert process.stdout is not None
        stack.callback(process.kill)
        accepted, *workers = map(int, process.stdout.readline().split())
        sink.clear_faults()
        sink.wait_for(lambda stats: stats["distinct_ids"] > 100)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        for worker in workers:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, unlimited)
        sink.wait_for(lambda stats: stats["distinct_ids"] == accepted - 1)
        output, log = process.communicate(timeout=30)
    assert f"= delivered {accepted} + dropped (buffer full)" in output
    assert "spool: parked batches cannot be written" in log


NO_OUTAGE = """
import sys
from dataart_mp import Client, ClientConfig

with Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2])) as client:
    client.emit_action("t", "ann")
print({"sqlite3", "hashlib", "ssl"} & sys.modules.keys())
"""


def test_an_application_loads_neither_sqlite_nor_openssl_before_it_needs_them(
    sink: SinkProcess, spool: Path
) -> None:
    command = [sys.executable, "-c", NO_OUTAGE, sink.url, str(spool)]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"set()\n"


DYING = (
    SCRIPT
    + """
from dataart_mp import BufferFullError

client = Client(ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], flush_buffer_size=50,
    max_request_bytes=8192, flush_backoff_ratio=0.02, flush_num_retries=1))
number = int(sys.argv[3])
while True:
    try:
        client.emit_action("t", "ann", metadata={"_id": number})
    except BufferFullError:  # workers are killed faster than they can start
        continue
    number += 1
    print(number, *workers_of(client), flush=True)
    time.sleep(0.0005)
"""
)


@pytest.mark.soak  # the default run has the chaos test instead
def test_no_event_is_lost_when_processes_are_killed_while_batches_are_parked(
    config: Configure, sink: SinkProcess, spool: Path, tmp_path: Path
) -> None:
    """Three workers per second are killed, and sometimes the application with all workers."""
    script = tmp_path / "app.py"
    script.write_text(DYING)
    dice = random.Random(7)
    accepted: set[int] = set()
    for life in range(5):
        sink.set_faults(DOWN)
        first = life * 1_000_000
        with subprocess.Popen(
            [sys.executable, str(script), sink.url, str(spool), str(first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            workers: list[str] = []
            next_kill, recovers_at = time.monotonic() + 0.5, time.monotonic() + 1.2
            end = time.monotonic() + 2.5
            while time.monotonic() < end:
                number, *workers = process.stdout.readline().split()
                accepted.add(int(number) - 1)
                if workers and time.monotonic() > next_kill:
                    next_kill += dice.uniform(0.2, 0.5)
                    kill(int(dice.choice(workers)))
                if time.monotonic() > recovers_at:
                    recovers_at += 60
                    sink.clear_faults()
            process.kill()
            for worker in workers:
                kill(int(worker))
            accepted.update(int(line.split()[0]) - 1 for line in process.stdout if "\n" in line)
    sink.clear_faults()
    with Client(config(spool_dir=spool, **QUICK)) as successor:
        sink.wait_for(lambda stats: stats["distinct_ids"] >= len(accepted))
        wait_until(lambda: not list(spool.glob("*.arena")) or successor.stats().balanced)
    assert accepted <= set(sink.ids())
    assert sink.stats()["unexplained_duplicates"] == 0


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_an_hour_of_outage_at_a_thousand_events_a_second_loses_no_event_and_uses_no_more_memory(
    outage: Callable[..., Client], sink: SinkProcess
) -> None:
    """Emits 3.6 million events as fast as possible, and measures memory meanwhile."""
    count = 3_600_000
    client = outage(
        flush_buffer_size=1000,
        max_request_bytes=128 * 1024,
        flush_actions_batch_size=500,
        spool_max_bytes=4 << 30,
        flush_interval=0.5,
    )
    sizes: list[int] = []
    for first in range(0, count, count // 20):
        emit(client, first, count // 20)
        sizes.append(resident(os.getpid()) + sum(map(resident, workers_of(client))))
    assert client.flush(60) == 0
    assert client.stats().accepted == count
    # Pages of frames are allocated on first use; after that memory must not grow.
    assert max(sizes[10:]) < max(sizes[:10]) * 1.2, sizes
    sink.clear_faults()
    wait_until(lambda: client.stats().delivered == count, 600)
    stats = sink.stats()
    assert (stats["distinct_ids"], stats["actions"]) == (count, count)
    print(f"peak of all processes {max(sizes) >> 20} MiB, {resource.getpagesize()} a page")


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes, including shared memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()
