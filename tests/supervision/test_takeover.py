"""The takeover looks for parked batches only if there may be new ones."""

import itertools
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


def test_the_database_is_opened_once_and_again_when_something_has_changed(
    tmp_path: Path, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []
    ask = Spool.is_anything_parked

    def counted(itself: Spool, ownership: Ownership) -> bool:
        answers.append(ask(itself, ownership))
        return answers[-1]

    monkeypatch.setattr(Spool, "is_anything_parked", counted)
    ownership = Ownership(arena)
    takeover = Takeover(Spool(tmp_path), ClientConfig("key"), -1)
    moments = itertools.count(1000.0, 10.0)

    def asked() -> list[bool]:
        answers.clear()
        for _ in range(4):
            takeover.is_anything_parked(ownership, next(moments))
        return [*answers]

    assert asked() == [False]
    other, lot = tmp_path / "other.arena", ParkingLot(tmp_path, 1 << 30)
    other.touch()
    contents = [BatchContent("key", is_identity=False, records=b"{}\n")]
    lot.park(contents, Owner("other", 0, 1), ownership, since=1, not_before=0)
    lot.close()
    assert asked() == [False], "the other client is alive"
    other.unlink()
    assert asked() == [True]
    assert asked() == []
