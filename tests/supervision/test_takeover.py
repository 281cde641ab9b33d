"""The heritage: what the dead have parked is asked for when there may be something."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataart_mp import ClientConfig
from dataart_mp.parking.lot import ParkingLot
from dataart_mp.parking.parcel import Hands, Parcel
from dataart_mp.queue.arena import Arena
from dataart_mp.queue.custody import Custody
from dataart_mp.queue.spool import Spool
from dataart_mp.supervision.heritage import Heritage


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    made = Spool(tmp_path).create(2, 64)
    yield made
    made.close()


def test_what_is_parked_is_asked_for_once_and_again_when_something_has_changed(
    tmp_path: Path, arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []
    ask = Spool.is_anything_parked

    def counted(itself: Spool, custody: Custody) -> bool:
        answers.append(ask(itself, custody))
        return answers[-1]

    monkeypatch.setattr(Spool, "is_anything_parked", counted)
    custody = Custody(arena)
    heritage = Heritage(Spool(tmp_path), ClientConfig("key"), -1)
    moments = itertools.count(1000.0, 10.0)

    def asked() -> list[bool]:
        answers.clear()
        for _ in range(4):
            heritage.is_anything_parked(custody, next(moments))
        return [*answers]

    assert asked() == [False]
    other, lot = tmp_path / "other.arena", ParkingLot(tmp_path, 1 << 30)
    other.touch()
    parcels = [Parcel("key", is_identity=False, records=b"{}\n")]
    lot.park(parcels, Hands("other", 0, 1), custody, since=1, not_before=0)
    lot.close()
    assert asked() == [False], "the other one lives"
    other.unlink()
    assert asked() == [True]
    assert asked() == []
