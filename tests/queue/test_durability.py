"""With durability, what was appended is on the disk in time, and a worker hears of it later."""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator

import pytest

from dataart_mp.queue import RecordQueue, checksum
from dataart_mp.queue.account import ACTIONS, IDENTITY
from dataart_mp.queue.arena import FILLING, READY
from dataart_mp.queue.durability import BATCH, INTERVAL, NONE
from dataart_mp.queue.sync_rounds import SyncRounds
from tests.queue.interleavings import with_a_rival_at_every_step
from tests.queue.internals import SENDING, Descriptor, janitor
from tests.queue.tools import audit, claim, die, fork, in_a_child, queue_of, reap, record


class Disk:
    """Stands in for a syncer: counts the syncs, and calls `during` in each."""

    def __init__(self, queue: RecordQueue, during: Callable[[], object] = int) -> None:
        self.syncs = 0
        self.works = True
        self._during = during
        queue.arena.syncer = self  # type: ignore[assignment]

    def sync(self) -> bool:
        self.syncs += 1
        self._during()
        return self.works


@pytest.fixture
def interval() -> Iterator[RecordQueue]:
    with queue_of(records=2, durability=INTERVAL) as queue:
        yield queue


@pytest.fixture
def batch() -> Iterator[RecordQueue]:
    with queue_of(records=2, durability=BATCH) as queue:
        yield queue


def test_with_batch_a_frame_is_on_the_disk_before_a_worker_hears_of_it(batch: RecordQueue) -> None:
    seen: list[tuple[int, bool, int]] = []

    def look() -> None:
        proven = checksum.proven(batch.arena, 0)
        seen.append((batch.arena.state(0), batch.work.has_notifications(), proven))

    Disk(batch, look)
    batch.producer.append(record(0))
    assert seen == []
    batch.producer.append(record(1))
    assert seen == [(FILLING, False, 2 * len(record(0)))]
    assert batch.arena.state(0) == READY
    assert batch.work.has_notifications()


def test_with_batch_an_identity_and_a_due_frame_are_synced_too(batch: RecordQueue) -> None:
    disk = Disk(batch)
    batch.producer.append_alone(record(0))
    assert disk.syncs == 1
    batch.producer.append(record(1))
    batch.producer.seal()
    assert disk.syncs == 2
    assert sorted(audit(batch)) == [0, 1]


def test_with_batch_the_frame_of_a_dead_producer_is_synced_before_it_is_ready(
    batch: RecordQueue,
) -> None:

    def append_and_die() -> None:
        batch.producer.append(record(0))
        account = batch.arena.account(0)
        account.appended = account.appended_again = 0  # it died before it stored the checksum
        die()

    in_a_child(append_and_die)
    seen: list[tuple[int, int]] = []
    Disk(batch, lambda: seen.append((batch.arena.state(0), checksum.proven(batch.arena, 0))))
    janitor.sweep(batch.arena)
    assert seen == [(FILLING, len(record(0)))]
    assert audit(batch) == [0]


@pytest.mark.parametrize("level", [NONE, INTERVAL])
def test_without_batch_no_call_waits_for_the_disk(level: int) -> None:
    with queue_of(records=2, durability=level) as queue:
        disk = Disk(queue)
        for number in range(4):
            queue.producer.append(record(number))
        queue.producer.append_alone(record(4))
        assert disk.syncs == 0
        assert (checksum.proof(queue.arena, 0) is not None) == (level == INTERVAL)


def test_a_child_that_is_forked_during_a_sync_leaves_the_frame_to_its_parent(
    batch: RecordQueue,
) -> None:
    parent = os.getpid()
    children: list[int] = []

    def fork_once() -> None:
        if os.getpid() == parent and not children:
            children.append(os.fork())

    Disk(batch, fork_once)
    batch.producer.append(record(0))
    batch.producer.append(record(1))
    if os.getpid() != parent:
        os._exit(batch.arena.locks.holds(0))
    frame = claim(batch, 0)
    assert reap(children[0]) == 0
    assert batch.arena.state(0) == SENDING, "the child did not hand it over once more"
    batch.worker.settle(frame)


def test_a_failing_disk_is_reported_once_and_the_frame_is_sent(
    batch: RecordQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="dataart_mp")

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("dataart_mp.queue.disk.sync_content", fail)
        for number in range(4):
            batch.producer.append(record(number))
        assert caplog.messages == [
            "spool_sync: events cannot be written to the disk: Input/output error"
        ]
    batch.producer.append_alone(record(4))
    assert caplog.messages[1:] == ["spool_sync: events are written to the disk again"]
    assert sorted(audit(batch)) == [*range(5)]


def test_the_mapping_is_synced_when_the_application_has_closed_its_descriptor(
    interval: RecordQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("dataart_mp.queue.disk.sync_content", synced.append)
    assert interval.arena.syncer.sync()
    assert synced == [interval.arena.fd]
    monkeypatch.setattr(Descriptor, "is_intact", lambda descriptor: False)
    assert interval.arena.syncer.sync()
    assert synced == [interval.arena.fd], "the number may lead to another file"


# Sync rounds


def test_a_round_syncs_what_was_appended_and_says_so_afterwards(interval: RecordQueue) -> None:
    account = interval.arena.account(0)
    seen: list[bool] = []
    disk = Disk(interval, lambda: seen.append(account.synced == account.appended))
    interval.producer.append(record(0))
    rounds = SyncRounds(interval.arena)
    rounds.run()
    assert seen == [False]
    assert account.synced == account.appended != 0
    rounds.run()
    assert disk.syncs == 2, "one more, for what became of the records"
    rounds.run()
    assert disk.syncs == 2, "nothing has changed"


def test_nothing_counts_as_synced_when_the_disk_fails(interval: RecordQueue) -> None:
    disk = Disk(interval)
    disk.works = False
    interval.producer.append(record(0))
    rounds = SyncRounds(interval.arena)
    rounds.run()
    assert interval.arena.account(0).synced == 0
    disk.works = True
    rounds.run()
    assert interval.arena.account(0).synced == interval.arena.account(0).appended


def test_a_record_that_is_appended_during_a_round_belongs_to_the_next_one(
    interval: RecordQueue,
) -> None:
    interval.producer.append(record(0))
    before = interval.arena.account(0).appended
    Disk(interval, lambda: interval.producer.append(record(1)))
    SyncRounds(interval.arena).run()
    assert interval.arena.account(0).synced == before != interval.arena.account(0).appended


def test_a_frame_that_is_filled_again_during_a_round_is_not_marked_as_synced(
    interval: RecordQueue,
) -> None:

    def settle_and_fill_again() -> None:
        interval.producer.seal()
        interval.worker.settle(claim(interval, 0))
        interval.producer.append(record(0))

    interval.producer.append(record(0))
    Disk(interval, settle_and_fill_again)
    SyncRounds(interval.arena).run()
    assert interval.arena.account(0).synced == 0


def append(queue: RecordQueue) -> None:
    queue.producer.append(record(0))


def seal_and_append(queue: RecordQueue) -> None:
    queue.producer.seal()
    append(queue)


def settle(queue: RecordQueue) -> None:
    queue.producer.seal()
    queue.worker.settle(claim(queue, 0))


def settle_and_fill_again(queue: RecordQueue) -> None:
    settle(queue)
    append(queue)


@pytest.mark.parametrize("rival", [append, seal_and_append, settle, settle_and_fill_again])
def test_whatever_happens_during_a_round_only_what_is_on_the_disk_counts_as_synced(
    rival: Callable[[RecordQueue], None],
) -> None:
    on_disk: dict[tuple[int, int], bytes] = {}

    def run(queue: RecordQueue) -> None:
        def copy() -> None:
            for frame in range(2):
                content = queue.arena.content(frame, 0, 64)
                on_disk[frame, queue.arena.generation(frame)] = content

        on_disk.clear()
        Disk(queue, copy)
        SyncRounds(queue.arena).run()

    for queue, _ in with_a_rival_at_every_step(
        run, rival, append, frames=2, records=3, durability=INTERVAL
    ):
        for frame in range(2):
            account = queue.arena.account(frame)
            account.appended = account.appended_again = 0  # so that only `synced` proves anything
            proof = checksum.proof(queue.arena, frame)
            if proof:
                content = queue.arena.content(frame, 0, proof.length)
                assert on_disk[frame, proof.generation].startswith(content)


def test_of_all_processes_one_runs_the_round_that_is_due(interval: RecordQueue) -> None:
    disk = Disk(interval)
    interval.producer.append(record(0))
    first, second = SyncRounds(interval.arena), SyncRounds(interval.arena)
    assert 0 < first.run_if_due() <= 0.5
    interval.producer.append(record(1))
    assert 0 < second.run_if_due() <= 0.5
    assert disk.syncs == 1
    interval.arena.synced_at = time.monotonic_ns() - 600_000_000
    second.run_if_due()
    assert disk.syncs == 2
    interval.arena.synced_at = time.monotonic_ns() + 10**15  # of another boot
    first.run_if_due()
    assert disk.syncs == 3


def test_a_process_that_is_killed_during_a_round_holds_up_no_other(interval: RecordQueue) -> None:
    interval.producer.append(record(0))

    def run_and_die() -> None:
        Disk(interval, die)
        SyncRounds(interval.arena).run_if_due()

    reap(fork(run_and_die))
    time.sleep(0.51)
    SyncRounds(interval.arena).run_if_due()
    assert interval.arena.account(0).synced == interval.arena.account(0).appended


def test_the_same_content_has_another_checksum_in_another_filling() -> None:
    words = {
        checksum.start(generation, kind) for generation in (1, 2) for kind in (ACTIONS, IDENTITY)
    }
    assert len(words) == 4


def test_an_append_in_pieces_has_the_checksum_of_the_whole(interval: RecordQueue) -> None:
    interval.producer.append(record(0))
    lines = record(1) + record(2)
    interval.producer.append_lines(memoryview(lines), 2)
    assert checksum.proven(interval.arena, 0) == 2 * len(record(0))
    interval.producer.append_lines(memoryview(lines)[len(record(1)) :], 1)
    assert checksum.proven(interval.arena, 1) == len(record(2))
