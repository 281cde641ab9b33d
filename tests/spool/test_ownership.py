"""A parked batch has one owner; another client may take it only when that owner has ended."""

import os

import pytest

from dataart_mp.queue.arena import FILLING, FREE, JOINED, READY, SENDING, SETTLED, WAITING
from dataart_mp.queue.owner import Owner
from dataart_mp.spool import arena_file
from dataart_mp.spool.ownership import Ownership
from dataart_mp.spool.parked_batch import MAX_REST_SECONDS
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.parking import NotParked
from tests.queue.tools import claim_all, in_a_child, put_seven, queue_of, record
from tests.spool.tools import ONE_BATCH, WIDE, MakeWorker, balanced_counts


def test_only_one_of_two_processes_takes_a_batch(make_worker: MakeWorker) -> None:
    with queue_of(frames=64, records=1) as queue:
        worker = make_worker(queue)
        for number in range(32):
            queue.producer.append(record(number))
        worker.park_all()
        (first, second) = (
            worker.parking_lot.waiting(1 << 62, Ownership(queue.arena), is_identity=False)
            for _ in range(2)
        )
        for each, other in zip(first, second, strict=True):
            assert each == other
            assert worker.parker._take(each)
            assert not worker.parker._take(other)
        assert worker.deliver_all() == [*range(32)]
        assert balanced_counts(queue.stats()) == (32, 32, 0, 0)


def test_a_client_takes_over_batches_of_dead_clients_and_counts_them_as_accepted(
    make_worker: MakeWorker,
) -> None:
    with queue_of(frames=8, records=3) as dead, queue_of(frames=8, records=3) as living:
        put_seven(dead)
        dead_worker = make_worker(dead)
        dead_worker.park_all()
        worker = make_worker(living, dead_worker.spool)
        worker.load()
        assert balanced_counts(living.stats()) == (0, 0, 0, 0), "the other client is still alive"
        arena_file.remove(dead.arena)
        worker.load()
        assert balanced_counts(living.stats()) == (0, 0, 0, 0), "the file holds them"
        assert not living.arena.all_free()
        worker.park_all()
        assert balanced_counts(living.stats()) == (7, 0, 7, 0)
        assert worker.deliver_all() == [*range(7)]
        assert balanced_counts(living.stats()) == (7, 7, 0, 0)


def test_what_a_client_could_not_send_does_not_rest_for_another_one(
    make_worker: MakeWorker,
) -> None:
    """The platform may have worked again since, and the other client does not know."""
    with queue_of(frames=8, records=3) as dead, queue_of(frames=8, records=3) as living:
        put_seven(dead)
        dead_worker = make_worker(dead)
        dead_worker.parker = Parker(
            dead, dead_worker.parking_lot, dead_worker.reporter, MAX_REST_SECONDS
        )
        for _ in range(2):
            dead_worker.park_all()
            dead_worker.load()
        assert dead.arena.all_free(), "they rest"
        arena_file.remove(dead.arena)
        worker = make_worker(living, dead_worker.spool)
        worker.load()
        assert sorted(worker.deliver()) == [*range(7)]


def test_a_client_that_evicts_batches_of_dead_clients_counts_them_as_accepted_and_failed(
    make_worker: MakeWorker,
) -> None:
    shape = {"capacity": 2 * WIDE, "records": 2}
    with queue_of(**shape) as dead, queue_of(**shape) as living:
        for queue in (dead, living):
            for number in range(2):
                queue.producer.append(record(number, WIDE))
        dead_worker = make_worker(dead)
        dead_worker.park_all()
        arena_file.remove(dead.arena)
        worker = make_worker(living, dead_worker.spool, ONE_BATCH)
        worker.park_all()
        assert balanced_counts(living.stats()) == (4, 0, 2, 0)
        assert living.stats().failed == 2


def test_batches_of_a_client_that_has_just_started_are_left_to_it(
    make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with queue_of() as new, queue_of() as old:
        new_worker = make_worker(new)
        new.producer.append_alone(record(0))
        arena_file.remove(new.arena)
        new_worker.parking_lot.probe()  # creates the file

        def other_arenas(ownership: Ownership) -> list[str]:
            assert new.arena.path is not None
            if not new.arena.path.exists():
                new.arena.path.touch()
                new_worker.park_all()
            return []  # as before the new client started

        monkeypatch.setattr(Ownership, "other_arenas", other_arenas)
        make_worker(old, new_worker.spool).load()
        assert balanced_counts(new.stats()) == (1, 0, 1, 0)
        assert balanced_counts(old.stats()) == (0, 0, 0, 0)


def test_batches_that_a_forked_child_parked_are_delivered_by_its_parent(
    make_worker: MakeWorker,
) -> None:
    with queue_of(frames=8, records=3) as queue:
        put_seven(queue)
        assert in_a_child(lambda: make_worker(queue).park_all()) == os.EX_OK
        assert balanced_counts(queue.stats()) == (7, 0, 7, 0)
        assert make_worker(queue).deliver_all() == [*range(7)]


def test_a_batch_that_a_frame_has_taken_is_not_evicted(make_worker: MakeWorker) -> None:
    """Its frame is about to send it; and it would be counted as failed and as delivered."""
    with queue_of(frames=8, capacity=6 * WIDE, records=2) as queue:
        worker = make_worker(queue, max_bytes=ONE_BATCH)
        queue.producer.append(record(0, WIDE))
        queue.producer.append(record(1, WIDE))
        worker.park_all()
        worker.load()
        (taken,) = claim_all(queue)
        queue.producer.append(record(2, WIDE))
        queue.producer.append(record(3, WIDE))
        (other,) = claim_all(queue)
        assert isinstance(worker.park(other), NotParked), "there is no room"
        assert [batch.id for batch in worker.parking_lot.batches()] == [taken.taken]
        queue.worker.hand_back(other)
        queue.worker.hand_back(taken)
        assert worker.deliver_all() == [0, 1, 2, 3]
        assert balanced_counts(queue.stats()) == (4, 4, 0, 0)


@pytest.mark.parametrize(
    ("state", "may_take"),
    [
        (FREE, True),
        (FILLING, False),
        (READY, False),
        (SENDING, False),
        (WAITING, False),
        (SETTLED, True),
        (JOINED, False),
    ],
)
def test_a_batch_belongs_to_a_frame_until_the_frame_is_settled_or_filled_again(
    make_worker: MakeWorker, state: int, may_take: bool
) -> None:
    with queue_of() as queue:
        make_worker(queue)
        arena = queue.arena
        arena.account(1).generation = 5
        arena.set_state(1, state)
        ownership = Ownership(arena)
        assert ownership.may_take(Owner(arena.id, 1, 5)) == may_take
        assert ownership.may_take(Owner(arena.id, 1, 4)), "an earlier filling"
        arena.set_state(1, FREE)
