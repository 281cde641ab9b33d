"""A process may die at any step of parking and taking back: each record is there once."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.arena import WAITING
from dataart_mp.queue.frame import wake
from dataart_mp.queue.owner import Owner
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import LONGEST_REST, Parcel
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.stats import Stats
from dataart_mp.worker.batch import unsent
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.parking import NotParked
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.retry_outcome import Parked, Postponed
from tests.queue.deaths import TEARS, Tear, at_every_step, nothing
from tests.queue.tools import (
    NOW,
    assert_clean,
    claim_all,
    in_a_child,
    lines_of,
    number_of,
    queue_of,
    record,
    stats_while,
)

LARGE = 1 << 30
WIDE = 4000
ONE_BATCH = (
    38_000  # the empty file takes 24 KiB: there is room for one of two wide records, not two
)


class Attendant:
    """Parks, takes back and delivers, as a worker does, one step after the other."""

    def __init__(self, queue: RecordQueue, spool: Path, max_bytes: int = LARGE) -> None:
        self.queue = queue
        self.folder = spool
        self._nowhere = os.open(os.devnull, os.O_WRONLY)
        self.reporter = Reporter(queue.arena, self._nowhere, with_records=False)
        self.lot = ParkingLot(spool, max_bytes)
        self.parker = Parker(queue, self.lot, self.reporter, ratio=0.0)

    def park(self, frame: Frame) -> object:
        batches = unsent(frame, self.parker.key(frame))
        return self.parker.park(frame, batches, "for the test")

    def park_all(self) -> None:
        for frame in claim_all(self.queue):
            assert self.park(frame) == Parked()

    def load(self) -> None:
        self.parker.load(lambda is_identity: True)

    def deliver(self) -> list[int]:
        """Complete what others have begun, and deliver all that is there; the records' numbers."""
        numbers: list[int] = []
        janitor.sweep(self.queue.arena)
        for waiting in self.queue.arena.all_in(WAITING):
            wake(self.queue.arena, waiting, 1 << 62)
        for frame in claim_all(self.queue):
            if self.parker.complete(frame) is None:
                numbers += [number_of(line) for line in lines_of(frame)]
                frame.advance(frame.length)
                assert self.parker.settle(frame) is None
        return numbers

    def deliver_all(self) -> list[int]:
        numbers: list[int] = []
        while True:
            more = self.deliver()
            self.load()
            more += self.deliver()
            if not more and not self.lot.batches():
                return sorted(numbers)
            numbers += more

    def close(self) -> None:
        self.lot.close()
        if self._nowhere >= 0:
            os.close(self._nowhere)
            self._nowhere = -1


@pytest.fixture
def spools() -> Iterator[Path]:
    """In memory where that can be had: these tests begin hundreds of spools."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def attendant(spools: Path) -> Iterator[Callable[..., Attendant]]:
    made: list[Attendant] = []

    def ensure_started(queue: RecordQueue, max_bytes: int = LARGE) -> Attendant:
        folder = spools / queue.arena.id
        folder.mkdir(exist_ok=True)
        queue.arena.path = folder / f"{queue.arena.id}.arena"
        queue.arena.path.touch()
        made.append(Attendant(queue, folder, max_bytes))
        return made[-1]

    yield ensure_started
    for each in made:
        each.close()


def put_seven(queue: RecordQueue) -> None:
    for number in range(6):
        queue.append(record(number))
    queue.append_alone(record(6))


def put_three(queue: RecordQueue) -> None:
    for number in range(3):
        queue.append(record(number))
    queue.seal()


def books(stats: Stats) -> tuple[int, int, int, int]:
    assert stats.balanced
    return stats.accepted, stats.delivered, stats.parked, stats.pending


def test_what_is_parked_is_taken_back_the_oldest_first_and_delivered_under_its_key(
    attendant: Callable[..., Attendant],
) -> None:
    with queue_of(frames=8, records=3) as queue:
        work = attendant(queue)
        put_seven(queue)
        frames = claim_all(queue)
        keys = [(frame.key, lines_of(frame)) for frame in frames]
        for frame in frames:
            assert work.park(frame) == Parked()
        assert books(queue.stats()) == (7, 0, 7, 0)
        assert_clean(queue)
        work.load()
        assert books(queue.stats()) == (7, 0, 0, 7)
        assert sorted((work.parker.key(f), lines_of(f)) for f in claim_all(queue)) == sorted(keys)
        janitor.recover(queue.arena)
        assert work.deliver_all() == [*range(7)]
        assert books(queue.stats()) == (7, 7, 0, 0)


def test_what_moves_from_frame_to_frame_while_they_are_read_is_pending_once(
    attendant: Callable[..., Attendant],
) -> None:
    with queue_of(frames=4, records=1) as queue:
        work = attendant(queue)
        queue.append(record(0))

        def move() -> None:
            work.park_all()
            queue.append(record(1))  # takes the first frame, so that the second is loaded
            work.load()

        assert books(stats_while(queue, 1, move)) == (1, 0, 0, 1)
        assert books(queue.stats()) == (2, 0, 0, 2)
        assert work.deliver_all() == [0, 1]


def test_only_what_is_not_through_is_parked(attendant: Callable[..., Attendant]) -> None:
    with queue_of(records=3) as queue:
        work = attendant(queue)
        for number in range(3):
            queue.append(record(number))
        (frame,) = claim_all(queue)
        end = len(record(0))
        frame.aim(end, NOW)
        frame.advance(end, rejected=1)
        frame.aim(2 * end, NOW)
        assert work.park(frame) == Parked()
        assert queue.stats().rejected == 1
        assert books(queue.stats()) == (3, 0, 2, 0)
        keys = [batch.key for batch in work.lot.batches()]
        assert keys == [f"{queue.arena.id}-0-1+8-16", f"{queue.arena.id}-0-1+16-24"], "in its cut"
        assert work.deliver_all() == [1, 2]
        assert books(queue.stats()) == (3, 2, 0, 0)


def go_round(work: Attendant) -> None:
    """Park two frames, take them back, deliver one, park what is left of the other, take that."""
    work.park_all()
    work.load()
    first, second = claim_all(work.queue)
    end = first.spans()[0][1]
    first.aim(end // 2, NOW)
    first.advance(end // 2, failed=1)
    work.park(first)
    second.advance(second.length)
    work.parker.settle(second)
    work.load()


@pytest.mark.parametrize("tear", [nothing, *TEARS[1:4]], ids=lambda tear: tear.__name__)
def test_a_worker_may_die_at_any_step_of_parking_and_taking_back(
    attendant: Callable[..., Attendant], tear: Tear
) -> None:
    def child(queue: RecordQueue) -> None:
        go_round(attendant(queue))

    for queue in at_every_step(child, put_three, tear=tear, frames=3, records=2):
        accepted, _, _, _ = books(queue.stats())
        assert accepted == 3, "at every moment"
        work = attendant(queue)
        work.deliver_all()
        end = queue.stats()
        assert end.failed <= 1
        assert books(end) == (3, 3 - end.failed, 0, 0), "each in one column"
        assert_clean(queue)
        work.close()


def join_and_park(work: Attendant) -> None:
    """Two frames are joined to the first; one record is rejected, the rest parked and taken."""
    leader = Frame.claim(work.queue.arena, 0)
    assert leader is not None
    work.queue.join_ready(leader, records=6, size=64)
    leader.aim(leader.length, NOW)
    leader.advance(len(record(0)), rejected=1)
    work.park(leader)
    work.load()


def put_six(queue: RecordQueue) -> None:
    for number in range(6):
        queue.append(record(number))


def test_a_worker_may_die_at_any_step_of_parking_what_was_joined(
    attendant: Callable[..., Attendant],
) -> None:
    for queue in at_every_step(
        lambda queue: join_and_park(attendant(queue)), put_six, frames=4, records=2
    ):
        accepted, _, _, _ = books(queue.stats())
        assert accepted == 6, "at every moment"
        work = attendant(queue)
        numbers = work.deliver_all()
        end = queue.stats()
        assert numbers == [*range(end.rejected, 6)]
        assert books(end) == (6, 6 - end.rejected, 0, 0)
        assert_clean(queue)
        work.close()


def park_wide(work: Attendant) -> None:
    for number in range(6):
        work.queue.append(record(number, WIDE))
    work.queue.seal()
    work.park_all()


def test_a_worker_may_die_at_any_step_of_letting_the_oldest_go(
    attendant: Callable[..., Attendant],
) -> None:
    gone = set()
    for queue in at_every_step(
        lambda queue: park_wide(attendant(queue, ONE_BATCH)), frames=6, capacity=WIDE * 6, records=2
    ):
        books(queue.stats())
        work = attendant(queue)
        numbers = work.deliver_all()
        end = queue.stats()
        assert len(numbers) == len(set(numbers)) == end.delivered
        assert books(end) == (end.delivered + end.failed, end.delivered, 0, 0)
        gone.add(end.failed)
        assert_clean(queue)
        work.close()
    assert len(gone) > 1, "some were let go in some of the lives"


def test_a_client_takes_over_what_the_dead_have_parked_and_counts_it_as_accepted(
    attendant: Callable[..., Attendant],
) -> None:
    with queue_of(frames=8, records=3) as dead, queue_of(frames=8, records=3) as heir:
        put_seven(dead)
        left = attendant(dead)
        left.park_all()
        assert dead.arena.path is not None
        heir.arena.path = dead.arena.path.with_name(f"{heir.arena.id}.arena")
        work = Attendant(heir, dead.arena.path.parent)
        work.load()
        assert books(heir.stats()) == (0, 0, 0, 0), "it is the other's as long as that one lives"
        dead.arena.path.unlink()
        work.load()
        assert books(heir.stats()) == (7, 0, 0, 7)
        work.park_all()
        assert books(heir.stats()) == (7, 0, 7, 0)
        assert work.deliver_all() == [*range(7)]
        assert books(heir.stats()) == (7, 7, 0, 0)
        work.close()


def test_an_heir_may_die_at_any_step_and_counts_nothing_twice(
    attendant: Callable[..., Attendant],
) -> None:
    def prepare(heir: RecordQueue) -> None:
        with queue_of(frames=3, records=2) as dead:
            put_three(dead)
            left = Attendant(dead, attendant(heir).folder)
            left.park_all()
            left.close()

    def child(heir: RecordQueue) -> None:
        work = attendant(heir)
        work.load()
        work.park_all()
        work.load()

    for heir in at_every_step(child, prepare, frames=3, records=2):
        books(heir.stats())
        work = attendant(heir)
        work.deliver_all()
        assert books(heir.stats()) == (3, 3, 0, 0)
        assert_clean(heir)
        work.close()


def remove_files(work: Attendant) -> None:
    for file in work.folder.glob("parked.db*"):
        file.unlink()


def test_when_the_file_was_made_anew_a_frame_does_not_remove_what_has_its_batchs_number_now(
    attendant: Callable[..., Attendant],
) -> None:
    with queue_of(frames=8, records=1) as queue:
        work = attendant(queue)
        for number in range(3):
            queue.append(record(number))
        work.park_all()
        work.load()
        through, parked, tried = claim_all(queue)
        remove_files(work)
        for number in range(3, 6):
            queue.append(record(number))
        work.park_all()
        assert {through.taken, parked.taken, tried.taken} <= {b.id for b in work.lot.batches()}
        assert work.parker.key(tried) == tried.key, "and not another one's"
        through.advance(through.length)
        assert work.parker.settle(through) is None
        assert work.park(parked) == Parked()
        tried.hand_back()
        assert work.deliver_all() == [1, 2, 3, 4, 5]
        assert books(queue.stats()) == (6, 6, 0, 0)


def test_what_cannot_be_parked_can_be_sent_meanwhile(attendant: Callable[..., Attendant]) -> None:
    """As long as the disk is full, the platform may answer again."""
    with queue_of(frames=4, records=1) as queue:
        work = attendant(queue)
        (work.folder / "parked.db").mkdir()
        queue.append(record(0))
        (frame,) = claim_all(queue)
        assert isinstance(work.park(frame), Postponed)
        assert work.deliver() == [0]
        assert books(queue.stats()) == (1, 1, 0, 0)


def test_to_look_for_identities_costs_the_same_however_many_actions_are_parked(
    attendant: Callable[..., Attendant],
) -> None:
    """A worker does it fifty times a second, while a platform that was down is caught up with."""
    with queue_of() as queue:
        lot, ownership = attendant(queue).lot, Ownership(queue.arena)
        steps: list[int] = []
        for _ in range(2):
            parcels = [Parcel("key", is_identity=False, records=record(0))] * 1000
            lot.park(parcels, Owner(queue.arena.id, 0, 0), ownership, since=NOW, not_before=0)
            steps.append(0)

            def step() -> None:
                steps[-1] += 1

            lot._database._open().set_progress_handler(step, 1)
            assert list(lot.waiting(NOW, ownership, is_identity=True)) == []
            lot._database._open().set_progress_handler(None, 0)
        assert steps[0] == steps[1] > 0


def test_two_who_take_at_once_do_not_take_the_same(attendant: Callable[..., Attendant]) -> None:
    with queue_of(frames=64, records=1) as queue:
        work = attendant(queue)
        for number in range(32):
            queue.append(record(number))
        work.park_all()
        (first, second) = (
            work.lot.waiting(1 << 62, Ownership(queue.arena), is_identity=False) for _ in range(2)
        )
        for each, other in zip(first, second, strict=True):
            assert each == other
            assert work.parker._take(each)
            assert not work.parker._take(other)
        assert work.deliver_all() == [*range(32)]
        assert books(queue.stats()) == (32, 32, 0, 0)


def test_nothing_is_taken_into_an_arena_that_is_about_to_go(
    attendant: Callable[..., Attendant],
) -> None:
    with queue_of(frames=8, records=3) as queue:
        put_seven(queue)
        work = attendant(queue)
        work.park_all()
        queue.arena.close_for_good()
        work.load()
        assert books(queue.stats()) == (7, 0, 7, 0)
        assert_clean(queue)


def test_a_batch_larger_than_a_frame_is_cut(attendant: Callable[..., Attendant]) -> None:
    with queue_of(frames=2, capacity=640, records=64) as dead, queue_of(frames=40) as heir:
        for number in range(64):
            dead.append(record(number, 10))
        left = attendant(dead)
        left.park_all()
        assert dead.arena.path is not None
        heir.arena.path = dead.arena.path.with_name(f"{heir.arena.id}.arena")
        dead.arena.path.unlink()
        work = Attendant(heir, dead.arena.path.parent)
        assert work.deliver_all() == [*range(64)]
        assert books(heir.stats()) == (64, 64, 0, 0)
        work.close()


def test_what_was_parked_or_may_be_is_joined_to_nothing(
    attendant: Callable[..., Attendant],
) -> None:
    """Its frame is not all that counts it, so that it cannot be settled with another one."""
    with queue_of(frames=8, records=1) as queue:
        work = attendant(queue)
        for number in range(3):
            queue.append(record(number))
        first, second, third = claim_all(queue)
        assert work.park(first) == Parked()
        second.mark_parking(True)
        second.hand_back()
        third.hand_back()
        work.load()
        leader = Frame.claim(queue.arena, third.number)
        assert leader is not None
        queue.join_ready(leader, records=8, size=64)
        assert leader.length == len(record(2))
        leader.hand_back()
        assert work.deliver_all() == [0, 1, 2]
        assert books(queue.stats()) == (3, 3, 0, 0)
        assert_clean(queue)


def test_what_the_dead_have_parked_and_had_to_go_is_accepted_by_who_let_it_go(
    attendant: Callable[..., Attendant],
) -> None:
    shape = {"capacity": 2 * WIDE, "records": 2}
    with queue_of(**shape) as dead, queue_of(**shape) as heir:
        for queue in (dead, heir):
            for number in range(2):
                queue.append(record(number, WIDE))
        left = attendant(dead)
        left.park_all()
        assert dead.arena.path is not None
        heir.arena.path = dead.arena.path.with_name(f"{heir.arena.id}.arena")
        dead.arena.path.unlink()
        work = Attendant(heir, dead.arena.path.parent, ONE_BATCH)
        work.park_all()
        assert books(heir.stats()) == (4, 0, 2, 0)
        assert heir.stats().failed == 2
        work.close()


@pytest.mark.parametrize(("answers", "taken"), [(True, 4), (False, 1)])
def test_half_of_the_frames_are_left_to_live_traffic_and_one_finds_out_whether_there_is_an_answer(
    attendant: Callable[..., Attendant], answers: bool, taken: int
) -> None:
    with queue_of(frames=8) as queue:
        work = attendant(queue)
        for number in range(8):
            queue.append(record(number))
        work.park_all()
        assert work.parker.load(lambda is_identity: answers) is answers, "whether there is more"
        assert queue.arena.free() == 8 - taken
        if answers:
            assert not work.parker.load(lambda is_identity: True)
            assert queue.arena.free() == 4


def test_what_is_parked_again_keeps_its_age(attendant: Callable[..., Attendant]) -> None:
    with queue_of(frames=8) as queue:
        work = attendant(queue)
        for number in range(2):
            queue.append(record(number))
            work.park_all()
        before = [batch.since for batch in work.lot.batches()]
        work.parker.load(lambda is_identity: False)
        work.park_all()
        assert [batch.since for batch in work.lot.batches()] == before


def test_what_has_no_room_can_be_sent(attendant: Callable[..., Attendant]) -> None:
    with queue_of(capacity=WIDE) as queue:
        work = attendant(queue, max_bytes=WIDE)
        queue.append(record(0, WIDE))
        (frame,) = claim_all(queue)
        assert work.park(frame) == NotParked("spool full")
        assert not frame.may_be_parked
        frame.hand_back()
        assert work.deliver() == [0]


def test_an_event_that_fits_in_no_frame_holds_up_nobody(
    attendant: Callable[..., Attendant],
) -> None:
    """Nor does it while nothing answers, when only one batch is sent, to find out."""
    with queue_of(capacity=60) as dead, queue_of(capacity=32) as heir:
        for number, width in enumerate([60, 0, 60, 0]):
            dead.append(record(number, width))
        left = attendant(dead)
        left.park_all()
        assert dead.arena.path is not None
        heir.arena.path = dead.arena.path.with_name(f"{heir.arena.id}.arena")
        dead.arena.path.unlink()
        work = Attendant(heir, dead.arena.path.parent)
        for _ in range(4):
            work.parker.load(lambda is_identity: False)
        assert sorted(number_of(line) for f in claim_all(heir) for line in lines_of(f)) == [1, 3]
        work.close()


def test_what_a_client_parks_that_has_just_come_is_left_to_it(
    attendant: Callable[..., Attendant], monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue_of() as new, queue_of() as old:
        other = attendant(new)
        new.append_alone(record(0))
        assert new.arena.path is not None
        old.arena.path = new.arena.path.with_name(f"{old.arena.id}.arena")
        new.arena.path.unlink()
        other.lot.remove(0, Owner("", 0, 0))  # the file is there

        def others(ownership: Ownership) -> list[str]:
            assert new.arena.path is not None
            if not new.arena.path.exists():
                new.arena.path.touch()
                other.park_all()
            return []  # it was not there a moment ago

        monkeypatch.setattr(Ownership, "others", others)
        work = Attendant(old, new.arena.path.parent)
        work.load()
        assert books(new.stats()) == (1, 0, 1, 0)
        assert books(old.stats()) == (0, 0, 0, 0)
        work.close()


@pytest.mark.parametrize("again", [False, True])
def test_a_clock_that_was_set_back_keeps_nothing_parked_until_it_is_late_again(
    attendant: Callable[..., Attendant], monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    with queue_of(records=3) as queue:
        work = attendant(queue)
        work.parker = Parker(queue, work.lot, work.reporter, LONGEST_REST)
        queue.append(record(0))
        queue.seal()
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
        work.park_all()
        if again:
            work.load()
            work.park_all()
            work.load()
            assert books(queue.stats()) == (1, 0, 1, 0), "it rests"
        monkeypatch.setattr(time, "time_ns", lambda: now)
        work.load()
        assert books(queue.stats()) == (1, 0, 0, 1)


def test_a_forked_process_leaves_what_another_one_parks_alone(
    attendant: Callable[..., Attendant],
) -> None:
    with queue_of(frames=8, records=3) as queue:
        put_seven(queue)
        assert in_a_child(lambda: attendant(queue).park_all()) == os.EX_OK
        assert books(queue.stats()) == (7, 0, 7, 0)
        assert attendant(queue).deliver_all() == [*range(7)]
