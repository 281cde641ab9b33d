"""The takeover looks for parked batches that belong to no client, and opens no database."""

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataart_mp import ClientConfig
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.owner import Owner
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import BatchContent
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.supervision.takeover import Takeover


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    made = Spool(tmp_path).create(2, 64)
    yield made
    made.close()


def test_parked_batches_of_clients_that_have_ended_need_workers(
    tmp_path: Path, arena: Arena
) -> None:
    ownership = Ownership(arena)
    takeover = Takeover(Spool(tmp_path), ClientConfig("key"), -1)
    moments = itertools.count(1000.0, 10.0)

    def is_anything_parked() -> bool:
        return takeover.is_anything_parked(ownership, next(moments))

    assert not is_anything_parked()
    other, lot = tmp_path / "other.arena", ParkingLot(tmp_path, 1 << 30)
    other.touch()
    contents = [BatchContent("key", is_identity=False, records=b"{}\n")]
    lot.park(contents, Owner("other", 0, 1), ownership, since=1, not_before=0)
    lot.park(contents, Owner(arena.id, 0, 1), ownership, since=1, not_before=0)
    lot.close()
    assert not is_anything_parked(), "the other client is alive"
    other.unlink()
    assert is_anything_parked()
    lot.remove(1, Owner("other", 0, 1))
    lot.unmark("other")
    lot.close()
    assert not is_anything_parked()


def test_parked_batches_are_looked_for_every_few_seconds(tmp_path: Path, arena: Arena) -> None:
    takeover = Takeover(Spool(tmp_path), ClientConfig("key"), -1)
    (tmp_path / "parked.db").touch()
    (tmp_path / "other.parked").touch()
    answers = [takeover.is_anything_parked(Ownership(arena), 1000.0 + step) for step in range(6)]
    assert answers == [True, False, False, False, False, True]


def test_a_database_that_is_locked_does_not_hold_up_the_application(
    tmp_path: Path, arena: Arena
) -> None:
    lot = ParkingLot(tmp_path, 1 << 30)
    contents = [BatchContent("key", is_identity=False, records=b"{}\n")]
    lot.park(contents, Owner("other", 0, 1), Ownership(arena), since=1, not_before=0)
    takeover = Takeover(Spool(tmp_path), ClientConfig("key"), -1)
    with lot._database.transaction():
        start = time.monotonic()
        assert takeover.is_anything_parked(Ownership(arena), 1000.0)
        assert time.monotonic() - start < 1
    lot.close()


def test_an_application_does_not_load_sqlite(tmp_path: Path, arena: Arena) -> None:
    """It could not read a file of the database without dropping SQLite's locks on it."""
    lot = ParkingLot(tmp_path, 1 << 30)
    contents = [BatchContent("key", is_identity=False, records=b"{}\n")]
    lot.park(contents, Owner("other", 0, 1), Ownership(arena), since=1, not_before=0)
    lot.close()
    script = """
import sys, time
from dataart_mp import Client, ClientConfig
client = Client(ClientConfig("key", base_url="http://127.0.0.1:9", spool_dir=sys.argv[1],
                             flush_buffer_size=4))
while not client._engine.workers():  # they look for what is parked
    time.sleep(0.01)
client.close(0)
assert "sqlite3" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
