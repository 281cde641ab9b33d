"""With `spool_sync`, events are on the disk in time, and survive a restart of the machine."""

from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.checksum import proven
from dataart_mp.queue.durability import BATCH, INTERVAL
from dataart_mp.queue.sync_rounds import SyncRounds
from dataart_mp.spool import arena_file
from dataart_mp.worker import main
from dataart_mp.worker.reporter import Reporter
from tests.queue.tools import queue_of
from tests.support import SCRIPT, App, Configure, wait_until, workers_of

SMALL = {"flush_buffer_size": 200, "max_request_bytes": 8192}
_BOOT = 64

EMIT_AND_DIE = (
    SCRIPT
    + """
client = Client(
    ClientConfig("k", base_url=sys.argv[1], spool_dir=sys.argv[2], spool_sync=sys.argv[3],
                 flush_buffer_size=200, max_request_bytes=8192, flush_backoff_ratio=0.05,
                 flush_num_retries=1000, flush_num_processes=1)
)
for number in range(95):
    client.emit_action("tick", "ann", metadata={"_id": number})
while not workers_of(client):
    time.sleep(0.01)
os.system(f"kill -9 {os.getpid()} {workers_of(client)[0]}")
"""
)


@pytest.mark.parametrize("boot", ["the same boot", "another boot"])
@pytest.mark.parametrize("spool_sync", ["interval", "batch"])
def test_a_synced_spool_is_delivered_by_the_next_client(
    app: App, config: Configure, sink: SinkProcess, spool: Path, spool_sync: str, boot: str
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    app(EMIT_AND_DIE, sink.url, spool, spool_sync)
    (arena,) = spool.glob("*.arena")
    with arena.open("r+b") as file:
        wait_until(lambda: arena_file.lock(file.fileno()))  # the processes take a moment to end
        if boot == "another boot":
            file.seek(_BOOT)
            file.write(b"another boot")
    sink.clear_faults()
    with Client(config(spool_dir=spool, spool_sync=spool_sync, **SMALL)):
        sink.wait_for(lambda stats: stats["actions"] >= 95)
        wait_until(lambda: not arena.exists())
    assert set(sink.ids()) == set(range(95))
    assert sink.stats()["unexplained_duplicates"] == 0


@pytest.mark.parametrize("level", [INTERVAL, BATCH], ids=["interval", "batch"])
def test_an_event_that_nothing_has_sealed_is_on_the_disk_within_a_second(
    config: Configure, spool: Path, level: int
) -> None:
    spool_sync = {INTERVAL: "interval", BATCH: "batch"}[level]
    with Client(config(spool_dir=spool, spool_sync=spool_sync, flush_interval=60)) as client:
        arena = client._engine.queue.arena
        assert arena.durability == level
        client.emit_action("tick", "ann")
        account = arena.account(0)
        wait_until(lambda: account.synced == account.appended != 0)
        assert proven(arena, 0)


def test_a_process_syncs_by_itself_only_while_no_worker_lives(
    config: Configure, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[SyncRounds] = []

    def run_if_due(each: SyncRounds) -> float:
        rounds.append(each)
        return 0.01

    monkeypatch.setattr(SyncRounds, "run_if_due", run_if_due)
    with Client(config(spool_dir=spool, spool_sync="interval", **SMALL)) as client:
        client.emit_action("tick", "ann")
        wait_until(lambda: workers_of(client))
        rounds.clear()
        assert client.flush(20) == 0
        assert rounds == []
        monkeypatch.setattr(client._engine._supervisor, "workers", list)
        wait_until(lambda: rounds)


@pytest.mark.parametrize(("spool_sync", "sync"), [("none", 0), ("interval", 1), ("batch", 1)])
def test_a_worker_brings_parked_batches_and_dead_letters_to_the_disk(
    config: Configure, spool: Path, monkeypatch: pytest.MonkeyPatch, spool_sync: str, sync: bool
) -> None:
    made: list[object] = []

    def store(*arguments: object, sync: bool, **options: object) -> None:
        made.append(sync)

    monkeypatch.setattr("dataart_mp.spool.parking_lot.ParkingLot", store)
    monkeypatch.setattr(main, "DeadLetters", store)
    configured = config(spool_dir=spool, spool_sync=spool_sync)
    with queue_of() as queue:
        main._letters(configured)
        main._parking(configured, queue, Reporter(queue.arena, -1, with_records=False), -1)
    assert made == [sync, sync]
