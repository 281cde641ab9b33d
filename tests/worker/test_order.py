"""What a worker has done is stored in an order in which no death and no rival can harm a record."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from dataart_mp.errors import ClosedError
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.arena import SENDING
from dataart_mp.spool.database import ParkingError
from dataart_mp.spool.dead_letters import Cause
from dataart_mp.transport.response import Response
from dataart_mp.worker.failures import Failures
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.worker import Worker
from tests.queue.interleavings import Observer, in_another_process, with_a_rival_at_every_step
from tests.queue.steps import intercept
from tests.queue.tools import NOW, audit, claim_all, put_eight, queue_of, record
from tests.spool.tools import LARGE, ParkingWorker, balanced_counts
from tests.worker.workbench import Workbench

if TYPE_CHECKING:
    from dataart_mp.transport.sender import Sender

GOOD, BAD, DOWN = 200, 422, 503


class Platform:
    """Stands in for a sender: responds with given statuses, and looks at the frame meanwhile."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = iter(statuses)
        self.look: Callable[[], object] = lambda: None

    def post(self, path: str, body: bytes, key: str) -> Response:
        self.look()
        return Response(next(self._statuses))


@pytest.fixture
def made() -> Iterator[list[Workbench]]:
    benches: list[Workbench] = []
    yield benches
    for each in benches:
        each.close()


def bench(made: list[Workbench], platform: Platform, **options: Any) -> Workbench:
    made.append(Workbench(cast("Sender", platform), **options))
    return made[-1]


class Letters:
    """Looks at the frame when dead letters are kept."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look

    def keep(self, name: str, records: bytes, cause: Cause) -> int:
        self._look()
        return 0


# Before a request


def test_a_batch_is_recorded_before_its_request_is_sent(made: list[Workbench]) -> None:
    """If this process dies during the request, the same batch is sent again with the same key."""
    platform = Platform(400, GOOD, GOOD)  # so that the frame is sent in two halves
    work = bench(made, platform)
    seen: list[tuple[int, int, int]] = []

    def look() -> None:
        account = work.queue.arena.account(0)
        assert work.queue.arena.state(0) == SENDING
        assert account.since > 0
        seen.append((account.through, account.batch_end, account.sent))

    platform.look = look
    work.put("a", "b")
    half = work.queue.arena.account(0).length // 2
    assert work.ship() is None
    assert seen == [(0, 2 * half, 1), (0, half, 1), (half, 2 * half, 1)]
    assert work.settled().delivered == 2


def test_a_new_batch_begins_without_the_attempts_of_the_one_before() -> None:
    with queue_of(records=2) as queue:
        queue.producer.append(record(0))
        queue.producer.append(record(1))
        (frame,) = claim_all(queue)
        half = frame.length // 2
        frame.aim(half, NOW)
        frame.mark_sent()
        frame.account.attempts = 7
        frame.advance(half)

        def look() -> None:
            if frame.is_in_progress:
                assert (frame.attempts, frame.since) == (0, NOW + 1)
                assert not frame.is_sent_again

        intercept(queue, Observer(look))
        frame.account = queue.arena.account(0)  # a view that is intercepted
        frame.aim(2 * half, NOW + 1)
        assert (frame.attempts, frame.since) == (0, NOW + 1)
        frame.advance(2 * half)
        queue.worker.settle(frame)


def test_a_batch_in_progress_keeps_its_attempts_when_it_is_sent_again(
    made: list[Workbench],
) -> None:
    work = bench(made, Platform(DOWN, DOWN, GOOD))
    work.put("a")
    work.ship_late()
    since = work.queue.arena.account(0).since
    work.wake()
    work.ship_late()
    assert work.queue.arena.account(0).attempts == 2
    assert work.queue.arena.account(0).since == since
    work.wake()
    assert work.ship() is None
    stats = work.settled()
    assert (stats.requests, stats.retries) == (3, 2)


# After a response


def test_rejected_records_are_kept_before_they_are_counted(made: list[Workbench]) -> None:
    work = bench(made, Platform(BAD))
    seen: list[tuple[int, int]] = []

    def look() -> None:
        progress = work.queue.arena.account(0).progress
        seen.append((progress.through, progress.rejected))

    work.shipper._failures = Failures(Letters(look), work.reporter)
    work.put("a")
    assert work.ship() is None
    assert seen == [(0, 0)]
    assert work.settled().rejected == 1


def test_abandoned_records_are_kept_before_they_are_counted(made: list[Workbench]) -> None:
    work = bench(made, Platform(DOWN), retries=0)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        progress = work.queue.arena.account(0).progress
        seen.append((progress.through, progress.failed))

    work.shipper._failures = Failures(Letters(look), work.reporter)
    work.put("a")
    assert work.ship() is None
    assert seen == [(0, 0)]
    assert work.settled().failed == 1


def test_what_is_delivered_is_recorded_before_the_next_request(made: list[Workbench]) -> None:
    platform = Platform(400, GOOD, BAD)
    work = bench(made, platform)
    seen: list[tuple[int, int]] = []
    platform.look = lambda: seen.append(
        (work.queue.arena.account(0).through, work.queue.stats().pending)
    )
    work.put("a", "b")
    half = work.queue.arena.account(0).length // 2
    assert work.ship() is None
    assert seen == [(0, 2), (0, 2), (half, 2)]
    stats = work.settled()
    assert (stats.delivered, stats.rejected) == (1, 1)


def test_everything_is_recorded_before_a_frame_is_settled(
    made: list[Workbench], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = bench(made, Platform(400, GOOD, BAD))
    settle = work.queue.worker.settle
    seen: list[tuple[int, int]] = []

    def look(frame: Any) -> None:
        progress = frame.account.progress
        seen.append((progress.through - frame.length, progress.rejected))
        settle(frame)

    monkeypatch.setattr(work.queue.worker, "settle", look)
    work.put("a", "b")
    assert work.ship() is None
    assert seen == [(0, 1)]


# Parking


def test_a_frame_says_that_it_may_be_parked_before_it_is(
    made: list[Workbench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = bench(made, Platform(DOWN), retries=0, spool=_spool(tmp_path), frames=2)
    parker = work.parking
    assert isinstance(parker, Parker)
    lot, seen = parker._lot, []
    park = lot.park

    def look(*arguments: Any, **options: Any) -> Any:
        seen.append((work.queue.arena.account(0).parking, work.queue.arena.state(0)))
        done = park(*arguments, **options)
        seen.append((work.queue.arena.account(0).parking, work.queue.arena.state(0)))
        return done

    monkeypatch.setattr(lot, "park", look)
    work.queue.arena.path = tmp_path / "spool" / f"{work.queue.arena.id}.arena"
    work.queue.arena.path.touch()
    work.put("a")
    assert work.ship() is None
    assert seen == [(1, SENDING), (1, SENDING)], "it is settled after it was parked"
    assert work.settled().parked == 1


def test_a_delivered_batch_is_removed_from_the_parking_lot_before_its_frame_is_settled(
    made: list[Workbench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = bench(made, Platform(DOWN, GOOD), retries=0, spool=_spool(tmp_path), frames=4)
    work.queue.arena.path = tmp_path / "spool" / f"{work.queue.arena.id}.arena"
    work.queue.arena.path.touch()
    work.put("a")
    assert work.ship() is None
    assert work.parking.load(lambda is_identity: True)
    parker = work.parking
    assert isinstance(parker, Parker)
    states: list[int] = []
    remove = parker._lot.remove

    def look(*arguments: Any) -> None:
        states.append(work.queue.arena.state(0))
        remove(*arguments)

    monkeypatch.setattr(parker._lot, "remove", look)
    assert work.ship() is None
    assert states == [SENDING]
    assert work.parked() == []
    assert work.settled().delivered == 1


def test_a_frame_that_was_not_parked_may_be_joined_and_sent_again(
    made: list[Workbench], tmp_path: Path
) -> None:
    """A worker died before the batch was in the parking lot."""
    work = bench(made, Platform(GOOD), spool=_spool(tmp_path), frames=4)
    work.put("a")
    frame = work.claim()
    frame.mark_parking(True)
    assert work.parking.prepare(frame) is None
    assert not frame.may_be_parked
    assert work.shipper.ship(frame) is None
    assert work.settled().delivered == 1


@pytest.mark.parametrize("may_be_done", [False, True])
def test_a_frame_says_that_it_may_be_parked_as_long_as_nobody_knows(
    made: list[Workbench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_be_done: bool
) -> None:
    """If the commit failed, the batch may be in the parking lot all the same."""
    work = bench(made, Platform(DOWN), retries=0, spool=_spool(tmp_path), frames=4)
    work.queue.arena.path = tmp_path / "spool" / f"{work.queue.arena.id}.arena"
    work.queue.arena.path.touch()
    parker = work.parking
    assert isinstance(parker, Parker)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise ParkingError("the disk is full", may_be_done=may_be_done)

    monkeypatch.setattr(parker._lot, "park", fail)
    work.put("a")
    work.ship_late()
    assert bool(work.queue.arena.account(0).parking) == may_be_done
    assert work.queue.stats().pending == 1


def _spool(folder: Path) -> Path:
    spool = folder / "spool"
    spool.mkdir()
    return spool


# The end of the last worker


def last_worker(queue: RecordQueue) -> Worker:
    """Return a worker whose last producer is gone; only its check of the end is called."""
    nothing: Any = None
    worker = Worker(queue, -1, nothing, nothing, nothing, nothing, nothing, nothing)
    worker._is_orphaned = True
    return worker


def test_no_record_is_put_into_an_arena_whose_last_worker_has_ended() -> None:
    """Whichever of the two acts between two steps of the other sees what it has done."""
    ended: list[bool] = []
    refused: list[bool] = []

    def end(queue: RecordQueue) -> None:
        ended.append(last_worker(queue)._is_finished())

    def append(queue: RecordQueue) -> None:
        with suppress(ClosedError):
            queue.producer.append(record(0))
            refused.append(False)
            return
        refused.append(True)

    outcomes = set()
    for work, rival in ((append, end), (end, append)):
        for queue, _ in with_a_rival_at_every_step(work, rival, frames=2):
            if ended == [True]:
                assert queue.arena.all_free(), "nobody would send it"
            assert audit(queue) == ([] if refused == [True] else [0])
            outcomes.add((ended[0], refused[0]))
            ended.clear()
            refused.clear()
    assert outcomes == {(True, True), (False, False)}


def test_no_batch_is_loaded_into_an_arena_whose_last_worker_has_ended(tmp_path: Path) -> None:
    ended: list[bool] = []
    workers: list[ParkingWorker] = []

    def park(queue: RecordQueue) -> None:
        spool = tmp_path / queue.arena.id
        spool.mkdir()
        queue.arena.path = spool / f"{queue.arena.id}.arena"
        queue.arena.path.touch()
        queue.producer.append(record(0))
        workers[:] = [ParkingWorker(queue, spool, LARGE)]
        workers[0].park_all()

    def load(queue: RecordQueue) -> None:
        workers[0].load()

    def end(queue: RecordQueue) -> None:
        ended.append(last_worker(queue)._is_finished())

    outcomes = set()
    for work, rival in ((load, end), (end, load)):
        for queue, _ in with_a_rival_at_every_step(work, rival, park, frames=3):
            loaded = not queue.arena.all_free()
            assert not (ended == [True] and loaded), "nobody would send it"
            assert sum(balanced_counts(queue.stats())[2:]) == 1
            outcomes.add((ended[0], loaded))
            ended.clear()
            workers[0].close()
    assert outcomes == {(True, False), (False, True)}


@pytest.mark.parametrize("closing", [False, True])
def test_only_a_closing_worker_whose_arena_is_empty_ends(closing: bool) -> None:
    with queue_of(frames=2) as queue:
        worker = last_worker(queue)
        worker._is_orphaned = closing
        assert worker._is_finished() == closing
    with queue_of(frames=8, records=2) as queue:
        in_another_process(put_eight)(queue)
        worker = last_worker(queue)
        assert not worker._is_finished()
        assert not queue.arena.closed, "a producer may still come back"
        assert sorted(audit(queue)) == [*range(8)]


# What wakes the others


class _Shipper:
    """Stands in for a shipper, with what it returns."""

    def __init__(self, delay: float | None, *, all_circuits_closed: bool) -> None:
        self._delay = delay
        self.all_circuits_closed = all_circuits_closed
        self.is_healthy = True

    def ship(self, frame: Frame) -> float | None:
        return self._delay


class _Parking:
    """Stands in for a parking, and counts how often something is loaded."""

    loads = 0

    def load(self, is_healthy: object) -> bool:
        self.loads += 1
        return True


def worker_of(queue: RecordQueue, shipper: _Shipper, parking: _Parking) -> Worker:
    nothing: Any = None
    return Worker(
        queue, -1, cast("Any", shipper), nothing, nothing, nothing, nothing, cast("Any", parking)
    )


@pytest.mark.parametrize(
    ("delay", "closed", "orphaned", "wakes"),
    [
        (None, True, False, False),
        (5.0, True, False, True),
        (0.0, True, False, True),
        (None, False, False, True),
        (None, True, True, True),
    ],
    ids=["nothing to do", "a frame waits", "it waits no time", "an outage", "the end"],
)
def test_a_sender_wakes_the_main_thread_if_it_may_have_to_act(
    delay: float | None, closed: bool, orphaned: bool, wakes: bool
) -> None:
    with queue_of() as queue:
        worker = worker_of(queue, _Shipper(delay, all_circuits_closed=closed), _Parking())
        worker._is_orphaned = orphaned
        queue.producer.append(record(0))
        (frame,) = claim_all(queue)
        worker._ship(frame)
        assert worker._wakeup.has_notifications() == wakes
        worker._wakeup.drain()
        worker._ship(None)
        assert not worker._wakeup.has_notifications(), "another worker has sent it"


def test_a_worker_that_is_about_to_end_loads_nothing() -> None:
    with queue_of() as queue:
        parking = _Parking()
        worker = worker_of(queue, _Shipper(None, all_circuits_closed=True), parking)
        assert worker._load()
        assert parking.loads == 1
        worker._is_orphaned = True
        assert not worker._load()
        worker._is_orphaned = False
        queue.arena.close_permanently()
        assert not worker._load()
        assert parking.loads == 1


def test_a_loaded_batch_is_announced(made: list[Workbench], tmp_path: Path) -> None:
    work = bench(made, Platform(DOWN, GOOD), retries=0, spool=_spool(tmp_path), frames=4)
    work.queue.arena.path = tmp_path / "spool" / f"{work.queue.arena.id}.arena"
    work.queue.arena.path.touch()
    work.put("a")
    assert work.ship() is None
    work.queue.work.drain()
    assert work.parking.load(lambda is_identity: True)
    frame = work.queue.worker.fetch()
    assert frame is not None
    assert work.shipper.ship(frame) is None
    assert work.settled().delivered == 1


def test_the_first_request_of_a_frame_that_shared_a_failed_probe_is_not_a_retry(
    made: list[Workbench],
) -> None:
    work = bench(made, Platform(GOOD))
    work.put("a")
    frame = work.claim()
    frame.aim(frame.length, NOW)
    frame.account.attempts = 1
    assert work.shipper.ship(frame) is None
    stats = work.settled()
    assert (stats.requests, stats.retries) == (1, 0)
