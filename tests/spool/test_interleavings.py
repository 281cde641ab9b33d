"""Another process acts between any two steps of this one, and every batch has one owner."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import dataart_mp.spool
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.queue.arena import READY, Arena
from dataart_mp.spool import arena_file
from dataart_mp.spool.arenas import Spool
from dataart_mp.spool.database import Database
from tests.queue.interleavings import RivalAtStep, in_another_process, with_a_rival_at_every_step
from tests.queue.steps import intercept
from tests.queue.tools import (
    SharedCounts,
    assert_clean,
    claim_all,
    in_a_child,
    numbers_of,
    queue_of,
    record,
)
from tests.spool.lines import with_a_rival_at_every_line
from tests.spool.tools import MakeWorker, ParkingWorker, balanced_counts

CODE = Path(dataart_mp.spool.__file__).parent


def put_three(queue: RecordQueue) -> None:
    for number in range(3):
        queue.producer.append(record(number))


def load_and_deliver(worker: ParkingWorker, sent: SharedCounts) -> None:
    """Load what may be loaded and deliver it, as another worker does."""
    worker.load()
    for frame in claim_all(worker.queue):
        if worker.parker.prepare(frame) is None:
            for number in numbers_of(frame):
                sent.add(number)
            frame.advance(frame.length)
            assert worker.parker.settle(frame) is None


# Two workers of one client


def steps_of_transactions(monkeypatch: pytest.MonkeyPatch, rival: RivalAtStep) -> None:
    """Make the moments before and after each transaction of this process steps, too."""
    database: Any = Database
    transaction = Database.transaction

    @contextlib.contextmanager
    def step_by_step(itself: Database, **options: float) -> Iterator[Any]:
        rival.step()
        with transaction(itself, **options) as connection:
            yield connection
        rival.step()

    monkeypatch.setattr(database, "transaction", step_by_step)


def at_every_step(
    prepare: Callable[[RecordQueue], tuple[ParkingWorker, Callable[[], object]]],
    rival: Callable[[RecordQueue, Path], object],
    **shape: Any,
) -> Iterator[tuple[RecordQueue, ParkingWorker]]:
    """Yield a queue for each step of the work before which a rival acted in another process."""
    at = 0
    while True:
        with queue_of(**shape) as queue, pytest.MonkeyPatch.context() as monkeypatch:
            worker, work = prepare(queue)
            other = partial(in_another_process(partial(_act, rival, worker.spool)), queue)
            steps = RivalAtStep(at, other)
            steps_of_transactions(monkeypatch, steps)
            intercept(queue, steps)
            work()
            happened, steps.happened = steps.happened, True
            monkeypatch.undo()
            if not happened:
                other()
            yield queue, worker
            worker.close()
        if not happened:
            assert at, "the work has no steps"
            return
        at += 1


def _act(rival: Callable[[RecordQueue, Path], object], spool: Path, queue: RecordQueue) -> None:
    rival(queue, spool)


def test_a_batch_is_taken_back_by_nobody_until_its_frame_is_settled(
    make_worker: MakeWorker,
) -> None:
    sent = SharedCounts()

    def prepare(queue: RecordQueue) -> tuple[ParkingWorker, Callable[[], object]]:
        put_three(queue)
        worker = make_worker(queue)
        return worker, worker.park_all

    def rival(queue: RecordQueue, spool: Path) -> None:
        worker = make_worker(queue, spool)
        worker.load()
        load_and_deliver(worker, sent)

    for queue, worker in at_every_step(prepare, rival, frames=6):
        for number in worker.deliver_all():
            sent.add(number)
        assert {number: sent[number] for number in sent.numbers()} == {0: 1, 1: 1, 2: 1}
        assert balanced_counts(queue.stats()) == (3, 3, 0, 0)
        assert_clean(queue)
        sent.clear()


def test_a_delivered_batch_is_never_taken_back_again(make_worker: MakeWorker) -> None:
    """It is removed from the parking lot before its frame is settled."""
    sent = SharedCounts()

    def prepare(queue: RecordQueue) -> tuple[ParkingWorker, Callable[[], object]]:
        put_three(queue)
        worker = make_worker(queue)
        worker.park_all()
        worker.load()
        frames = claim_all(queue)
        assert frames

        def settle() -> None:
            for frame in frames:
                for number in numbers_of(frame):
                    sent.add(number)
                frame.advance(frame.length)
                assert worker.parker.settle(frame) is None

        return worker, settle

    def rival(queue: RecordQueue, spool: Path) -> None:
        load_and_deliver(make_worker(queue, spool), sent)

    for queue, worker in at_every_step(prepare, rival, frames=6):
        for number in worker.deliver_all():
            sent.add(number)
        assert {number: sent[number] for number in sent.numbers()} == {0: 1, 1: 1, 2: 1}
        assert balanced_counts(queue.stats()) == (3, 3, 0, 0)
        sent.clear()


def test_one_worker_of_a_client_loads_at_a_time(make_worker: MakeWorker) -> None:
    """Two at once would fill the half of the frames that is kept free for new events."""
    sent = SharedCounts()

    def prepare(queue: RecordQueue) -> tuple[ParkingWorker, Callable[[], object]]:
        for number in range(8):
            queue.producer.append(record(number))
        worker = make_worker(queue)
        worker.park_all()
        return worker, worker.load

    def rival(queue: RecordQueue, spool: Path) -> None:
        make_worker(queue, spool).load()

    for queue, worker in at_every_step(prepare, rival, frames=8):
        assert queue.arena.free() == 4
        for number in worker.deliver_all():
            sent.add(number)
        assert sent.numbers() == {*range(8)}
        assert max(sent[number] for number in range(8)) == 1
        sent.clear()


def test_another_worker_can_load_when_a_load_has_ended_or_failed(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue_of(frames=8) as queue:
        put_three(queue)
        worker = make_worker(queue)
        worker.park_all()

        def failing(*arguments: Any, **options: Any) -> Any:
            raise MemoryError

        monkeypatch.setattr(worker.parking_lot, "take", failing)
        with pytest.raises(MemoryError):
            worker.load()
        monkeypatch.undo()
        assert all(queue.arena.locks.owner(frame) is None for frame in range(8))
        assert queue.arena.all_free(), "a frame that nothing was taken into is free again"

        def load() -> None:
            other = make_worker(queue, worker.spool)
            other.load()
            assert len(queue.arena.all_in(READY)) == 3

        assert in_a_child(load) == 0
        assert worker.deliver_all() == [0, 1, 2]


# Two clients, and the batches of one that has ended


def test_a_batch_of_an_ended_client_is_taken_by_one_of_two_clients(
    make_worker: MakeWorker,
) -> None:
    sent = SharedCounts()
    with queue_of(frames=6) as other:

        def prepare(queue: RecordQueue) -> None:
            with queue_of(frames=3) as ended:
                put_three(ended)
                last = make_worker(ended, make_worker(queue).spool)
                last.park_all()
                last.close()
                arena_file.remove(ended.arena)
            workers[:] = [make_worker(queue)]
            other.arena.path = workers[0].spool / f"{other.arena.id}.arena"

        def rival(queue: RecordQueue) -> None:
            load_and_deliver(make_worker(other, workers[0].spool), sent)

        workers: list[ParkingWorker] = []
        before = [0]
        for queue, _ in with_a_rival_at_every_step(
            lambda queue: workers[0].load(), in_another_process(rival), prepare, frames=6
        ):
            for number in workers[0].deliver_all():
                sent.add(number)
            assert {number: sent[number] for number in sent.numbers()} == {0: 1, 1: 1, 2: 1}
            assert queue.stats().delivered + other.stats().delivered - before[0] == 3
            before[0] = other.stats().delivered
            workers[0].close()
            sent.clear()


# An orphaned arena, and two new owners


def orphan(folder: Path) -> Path:
    """Make an arena with one record, and let its processes end."""

    def emit() -> None:
        queue = _queue_in(folder)
        queue.producer.append(record(0))
        queue.producer.seal()

    assert in_a_child(emit) == 0
    (path,) = folder.glob(f"*{arena_file.SUFFIX}")
    return path


def _queue_in(folder: Path) -> RecordQueue:
    from dataart_mp.queue.wakeup import WakeupPipe

    arena = Spool(folder).create(2, 64)
    return RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), 1, 60.0)


def deliver(arena: Arena, sent: SharedCounts) -> None:
    """Send what an arena holds, and remove its file."""
    for number in arena.all_in(READY):
        frame = Frame.claim(arena, number)
        assert frame is not None
        sent.add(number)
        arena.set_state(number, 0)
        arena.locks.release(number)
    arena_file.remove(arena)


@pytest.mark.parametrize("ends", [False, True], ids=["keeps it", "delivers and ends"])
def test_an_orphaned_arena_has_exactly_one_new_owner(folder: Path, ends: bool) -> None:
    sent = SharedCounts()
    mine: list[Arena] = []
    rivals: list[Arena] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        for path in folder.iterdir():
            path.unlink()
        orphan(folder)
        sent.clear()

        def take_over() -> None:
            mine.extend(Spool(folder).take_over_orphans())

        def rival() -> None:
            rivals.extend(Spool(folder).take_over_orphans())
            if ends:
                for arena in rivals:
                    deliver(arena, sent)
                    arena.close()

        return take_over, rival

    winners = set()
    for _ in with_a_rival_at_every_line(CODE, prepare):
        if not ends:
            assert len(mine) + len(rivals) == 1, "one of the two has it"
        else:
            for arena in mine:
                deliver(arena, sent)
            assert sent[0] == 1, "it was delivered once"
        winners.add("rival" if rivals else "this")
        for arena in [*mine, *([] if ends else rivals)]:
            arena.close()
        mine.clear()
        rivals.clear()
    assert winners == {"rival", "this"}


def test_the_file_of_a_new_arena_is_locked_when_others_see_it(folder: Path) -> None:
    """Else another client would take it over at once."""
    taken: list[Arena] = []

    def prepare() -> tuple[Callable[[], Arena], Callable[[], object]]:
        for path in folder.iterdir():
            path.unlink()
        return (
            lambda: Spool(folder).create(2, 64),
            lambda: taken.extend(Spool(folder).take_over_orphans()),
        )

    for arena in with_a_rival_at_every_line(CODE, prepare):
        assert taken == []
        assert arena.path is not None
        assert arena.path.exists()
        arena.close()
