"""Memory of frames that nobody fills any more goes back to the system; nothing is lost by it."""

import contextlib
import mmap
import os
import sys
from pathlib import Path

import pytest

from dataart_mp.queue import RecordQueue
from dataart_mp.queue.idle_memory import IdleMemory
from dataart_mp.queue.wakeup import WakeupPipe
from dataart_mp.spool import arena_file
from tests.queue.interleavings import in_another_process, with_a_rival_at_every_step
from tests.queue.internals import FREE
from tests.queue.tools import audit, claim_all, drain, queue_of, record

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can give memory back")

WIDE = 20_000
"""Bytes of a record that fills several pages."""
CAPACITY = 1 << 16


def blocks(queue: RecordQueue) -> int:
    return os.fstat(queue.arena.fd).st_blocks


def fill(queue: RecordQueue, frames: int) -> None:
    for number in range(frames):
        queue.producer.append(record(number, WIDE))


def fill_and_settle(queue: RecordQueue, frames: int) -> None:
    fill(queue, frames)
    for frame in claim_all(queue):
        frame.advance(frame.length)
        queue.worker.settle(frame)


def test_memory_of_a_burst_is_given_back_when_its_frames_were_idle_from_one_call_to_the_next() -> (
    None
):
    with queue_of(30, CAPACITY, records=1) as queue:
        idle = IdleMemory(queue.arena)
        fill_and_settle(queue, 30)
        full = blocks(queue)
        assert idle.give_back() == 0, "they were just in use"
        assert idle.give_back() == 30
        assert blocks(queue) < full - 30 * WIDE / 512 / 2
        assert idle.give_back() == 0, "once is enough"
        assert queue.stats().delivered == 30
        assert all(owner is None for owner in map(queue.arena.locks.owner, range(30)))


def test_only_the_lowest_frames_keep_their_first_page_so_that_few_events_find_it() -> None:
    with queue_of(40, CAPACITY, records=1) as queue:
        idle = IdleMemory(queue.arena)
        empty = blocks(queue)
        for number in range(40):
            queue.producer.append(record(number))
        assert audit(queue) == [*range(40)]
        assert [idle.give_back(), idle.give_back()] == [0, 40]
        pages = (blocks(queue) - empty) * 512 // mmap.PAGESIZE
        assert 16 <= pages < 16 + 8, "what remains is the accounts'"
        queue.producer.append(record(40))
        assert audit(queue) == [40]


def test_a_frame_that_is_filled_again_and_again_keeps_its_memory() -> None:
    with queue_of(3, CAPACITY, records=1) as queue:
        idle = IdleMemory(queue.arena)
        for _ in range(5):
            fill_and_settle(queue, 1)
            assert idle.give_back() == 0


def test_memory_is_given_back_again_after_the_next_burst() -> None:
    with queue_of(3, CAPACITY, records=1) as queue:
        idle = IdleMemory(queue.arena)
        for _ in range(2):
            fill_and_settle(queue, 3)
            assert [idle.give_back(), idle.give_back()] == [0, 3]


def test_frames_that_hold_records_keep_them() -> None:
    with queue_of(4, CAPACITY, records=1) as queue:
        idle = IdleMemory(queue.arena)
        fill(queue, 3)
        queue.producer.seal()
        assert [idle.give_back(), idle.give_back()] == [0, 0]
        assert sorted(drain(queue)) == [0, 1, 2]


def append_wide(queue: RecordQueue) -> None:
    queue.producer.append(record(7, WIDE))
    queue.producer.seal()


def test_what_another_process_appends_meanwhile_is_kept() -> None:
    idle: dict[RecordQueue, IdleMemory] = {}

    def prepare(queue: RecordQueue) -> None:
        fill_and_settle(queue, 2)
        idle[queue] = IdleMemory(queue.arena)
        assert idle[queue].give_back() == 0

    for queue, count in with_a_rival_at_every_step(
        lambda queue: idle[queue].give_back(),
        in_another_process(append_wide),
        prepare,
        frames=2,
        capacity=CAPACITY,
        records=1,
    ):
        assert count >= 1, "the other frame was idle"
        assert audit(queue) == [7]
        assert queue.arena.all_in(FREE) == [0, 1]


def test_an_arena_in_a_file_keeps_its_memory(tmp_path: Path) -> None:
    file = os.open(tmp_path / "arena", os.O_RDWR | os.O_CREAT)
    arena = arena_file.create(file, 3, CAPACITY)
    queue = RecordQueue.attach(arena, WakeupPipe.make(), WakeupPipe.make(), 1, 60.0)
    with contextlib.closing(queue):
        fill_and_settle(queue, 3)
        idle = IdleMemory(arena)
        full = blocks(queue)
        assert [idle.give_back(), idle.give_back()] == [0, 0]
        assert blocks(queue) == full
