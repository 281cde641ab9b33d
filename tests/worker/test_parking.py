"""Without a spool, null objects stand in for the parker and the dead letters."""

from datetime import UTC, datetime

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.spool.dead_letters import Cause
from dataart_mp.worker.failures import NoLetters
from dataart_mp.worker.parking import NoParking, NotParked
from tests.worker.workbench import MakeWorkbench, accounts


def test_without_a_spool_nothing_is_parked(workbench: MakeWorkbench) -> None:
    work = workbench()
    parking = NoParking(work.queue)
    work.put("tick")
    frame = work.claim()
    assert not parking.is_urgent
    assert not parking.load(lambda is_identity: True)
    parking.prepare(frame)
    assert parking.park(frame, [], "for the test") == NotParked()
    assert work.queue.stats().pending == 1
    work.queue.worker.hand_back(frame)
    assert work.ship() is None


def test_without_a_spool_a_frame_is_settled_in_the_queue(workbench: MakeWorkbench) -> None:
    work = workbench()
    parking = NoParking(work.queue)
    work.put("tick")
    frame = work.claim()
    frame.advance(frame.length)
    parking.settle(frame)
    assert accounts(work.settled()) == (1, 1, 0, 0)


def test_without_a_spool_a_frame_is_sent_with_the_key_of_its_filling(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench()
    work.put("tick")
    frame = work.claim()
    key = NoParking(work.queue).key(frame)
    assert key == frame.key
    assert work.shipper.ship(frame) is None
    assert [request["idempotency_key"] for request in platform.requests()] == [key]


def test_without_a_spool_no_dead_letter_is_kept_or_removed() -> None:
    cause = Cause(
        time=datetime.now(UTC),
        reason="rejected",
        status=400,
        answer="",
        attempts=1,
        kind="action",
    )
    assert NoLetters().keep("key-1", b'{"key":"tick"}\n', cause) == 0
