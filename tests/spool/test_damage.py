"""Whatever is damaged in an arena, intact events are delivered and the balance closes."""

import contextlib
import errno
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.account import ACTIONS, IDENTITY, WORD_MASK, WORDS, Account, Evicted
from dataart_mp.queue.arena import (
    FILLING,
    FREE,
    JOINED,
    READY,
    SENDING,
    SETTLED,
    WAITING,
)
from dataart_mp.queue.checked_writer import writer_type_of
from dataart_mp.queue.counters import REQUESTS
from dataart_mp.queue.durability import INTERVAL, NONE
from dataart_mp.spool import arena_file
from dataart_mp.spool.arena_file import ArenaError
from dataart_mp.spool.recovery import recover
from dataart_mp.spool.repair import repair
from tests.queue.tools import NOW, claim_all, queue_of, record

FRAMES = 10
CAPACITY = 160
BITS = (0, 1, 3, 6, 20, 21, 40, 44, 47, 63)
FEW_BITS = (0, 40)
TAKEN = 7
_BOOT_WORD = 8
_USED_WORDS = Account.generation_again.offset + 1


class Wreck:
    """An arena whose processes all died, with a frame in each state, and what must arrive of it."""

    def __init__(self, queue: RecordQueue, *, has_restarted: bool = False) -> None:
        self.queue = queue
        self.arena = queue.arena
        self._fill()
        if has_restarted:
            self.arena.words[_BOOT_WORD] ^= 1
        self.memory = self.arena.memory[:]
        self.due = {*range(16), 18, 19, 24}

    def restore(self) -> None:
        self.arena.memory[:] = self.memory

    def account(self, frame: int, word: int) -> int:
        """The number of a word among all words of the arena."""
        return self.arena.account(frame).first + word

    def deliver(self) -> list[int]:
        """Do all that a new owner does; return the numbers of the records that it sends."""
        recover(self.arena, may_be_parked=False)
        self.arena.settle_in()
        repair(self.arena)
        assert self.queue.stats().balanced
        assert self.queue.stats().pending >= 0
        janitor.sweep(self.arena)
        for number in self.arena.all_in(WAITING):
            assert self.arena.account(number).due_at(NOW) <= NOW, "it does not wait for ever"
        self.queue.worker.look(NOW)
        numbers: list[int] = []
        for frame in claim_all(self.queue):
            assert frame.content(0, frame.length).count(b"\n") >= frame.count > 0
            for start, end in frame.spans():
                lines = frame.content(start, end).splitlines()
                numbers += [json.loads(line).get("n", -1) for line in lines]
                frame.aim(end, NOW)
                frame.advance(end)
            self.queue.worker.settle(frame)
        assert self.arena.all_free()
        assert [self.arena.locks.owner(frame) for frame in range(FRAMES)] == [None] * FRAMES
        stats = self.queue.stats()
        assert stats.balanced
        assert stats.pending == 0
        return numbers

    def _fill(self) -> None:
        producer = self.queue.producer
        for number in range(25):
            producer.append(record(number, 10))
        self.arena.write(6, 10, b'{"n":99')  # torn by the death of its producer
        leader = self._claim(0)
        self.queue.worker.join_ready(leader, records=12, size=CAPACITY)
        self._claim(3).aim(20, NOW - 10)
        waiting = self._claim(4)
        waiting.aim(20, NOW - 10)
        waiting.advance(20, rejected=1)
        waiting.aim(40, NOW - 10)
        waiting.postpone(NOW - 10, NOW - 5, NOW - 10)
        settled = self._claim(5)
        settled.account.close(0, Evicted(0, 0))
        self.arena.set_state(5, SETTLED)
        self._take(7)
        parked = self.arena.account(8)  # the batch that frame 7 took
        parked.generation = parked.count = parked.parking = 1
        parked.set_totals([0, 0, 0, 0, 0], [1, 0, 0, 0, 1])
        self.arena.locks.forget()

    def _claim(self, number: int) -> Frame:
        frame = Frame.claim(self.arena, number)
        assert frame is not None
        return frame

    def _take(self, frame: int) -> None:
        writer = writer_type_of(self.arena).open(self.arena, ACTIONS, 1, 0.0, (TAKEN, False))
        assert writer is not None
        assert writer.claim[0] == frame
        writer.fill(record(50, 10))
        assert writer.seal()


@contextlib.contextmanager
def wreck_of(durability: int, *, has_restarted: bool = False) -> Iterator[Wreck]:
    with queue_of(FRAMES, CAPACITY, records=4, durability=durability) as queue:
        yield Wreck(queue, has_restarted=has_restarted)
        queue.producer.forked()


@pytest.fixture
def wreck() -> Iterator[Wreck]:
    with wreck_of(NONE) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["same boot", "another boot"])
def synced(request: pytest.FixtureRequest) -> Iterator[Wreck]:
    """A wreck with durability."""
    with wreck_of(INTERVAL, has_restarted=request.param) as made:
        yield made


def test_a_wreck_holds_a_frame_in_each_state_and_is_not_repaired(wreck: Wreck) -> None:
    states = [wreck.arena.state(frame) for frame in range(FRAMES)]
    assert states == [
        SENDING,
        JOINED,
        JOINED,
        SENDING,
        WAITING,
        SETTLED,
        FILLING,
        READY,
        FREE,
        FREE,
    ]
    wreck.arena.settle_in()
    assert repair(wreck.arena) == (0, 0)
    assert sorted(wreck.deliver()) == sorted([*wreck.due, 50])


@pytest.mark.parametrize("word", range(WORDS))
def test_a_damaged_word_of_an_account_costs_no_event(wreck: Wreck, word: int) -> None:
    for frame in range(FRAMES - 1):
        place = wreck.account(frame, word)
        wreck.restore()
        word_before = wreck.arena.words[place]
        for value in {0, WORD_MASK, *(word_before ^ 1 << bit for bit in BITS)}:
            wreck.restore()
            wreck.arena.words[place] = value
            missing = wreck.due - set(wreck.deliver())
            assert not missing, f"word {word} of frame {frame} is {value:#x}"


@pytest.mark.parametrize("word", range(_USED_WORDS))
def test_a_damaged_word_of_an_account_with_checksums_costs_no_event(
    synced: Wreck, word: int
) -> None:
    for frame in range(FRAMES - 1):
        place = synced.account(frame, word)
        synced.restore()
        word_before = synced.arena.words[place]
        for value in {0, WORD_MASK, *(word_before ^ 1 << bit for bit in FEW_BITS)} - {word_before}:
            synced.restore()
            synced.arena.words[place] = value
            missing = synced.due - set(synced.deliver())
            assert not missing, f"word {word} of frame {frame} is {value:#x}"


def test_a_damaged_state_of_a_frame_with_a_checksum_costs_no_event(synced: Wreck) -> None:
    for frame in range(FRAMES):
        synced.restore()
        state = synced.arena.state(frame)
        for value in {*range(8), 255, *(state ^ 1 << bit for bit in range(8))} - {state}:
            synced.restore()
            synced.arena.set_state(frame, value)
            missing = synced.due - set(synced.deliver())
            assert not missing, f"the state of frame {frame} is {value}"


@pytest.mark.parametrize("generation", [0, 5, 1 << 40])
def test_a_frame_keeps_its_key_when_its_generation_is_damaged(
    synced: Wreck, generation: int
) -> None:
    account = synced.arena.account(3)
    before = account.generation
    account.generation = generation
    recover(synced.arena, may_be_parked=False)
    assert account.generation == before


def test_the_checksum_says_which_kind_a_frame_has() -> None:
    for has_restarted in (False, True):
        with wreck_of(INTERVAL, has_restarted=has_restarted) as made:
            account = made.arena.account(3)
            account.kind = IDENTITY
            recover(made.arena, may_be_parked=False)
            assert account.kind == ACTIONS


def test_copies_in_a_leader_whose_account_is_damaged_are_not_counted_as_failed() -> None:
    with wreck_of(INTERVAL) as made:
        made.arena.account(0).followers = 0
        assert made.due <= set(made.deliver())
        assert made.queue.stats().failed == 0


def test_content_that_differs_from_its_checksum_is_not_sent(synced: Wreck) -> None:
    """Also if it is still JSON: another digit of a number, for example."""
    for frame, its_own in ((3, set(range(12, 16))), (4, set(range(16, 20)))):
        for place in range(synced.arena.account(frame).length):
            synced.restore()
            (byte,) = synced.arena.content(frame, place, place + 1)
            synced.arena.write(frame, place, bytes([byte ^ 1]))
            numbers = set(synced.deliver())
            assert synced.due - its_own <= numbers
            assert numbers <= {*range(25), 50} - its_own


def test_a_damaged_state_costs_no_event(wreck: Wreck) -> None:
    for frame in range(FRAMES):
        wreck.restore()
        state = wreck.arena.state(frame)
        for value in {*range(8), 255, *(state ^ 1 << bit for bit in range(8))}:
            wreck.restore()
            wreck.arena.set_state(frame, value)
            missing = wreck.due - set(wreck.deliver())
            assert not missing, f"the state of frame {frame} is {value}"


def test_a_damaged_byte_of_a_frame_costs_only_its_own_event(wreck: Wreck) -> None:
    """Or two, if it separated them; a damaged number makes one event another."""
    for frame in (0, 3, 4, 6):
        for place in range(CAPACITY):
            wreck.restore()
            (byte,) = wreck.arena.content(frame, place, place + 1)
            for value in {0, 10, byte ^ 4, byte ^ 0x80}:
                wreck.restore()
                wreck.arena.write(frame, place, bytes([value]))
                missing = wreck.due - set(wreck.deliver())
                assert len(missing) <= 1, f"byte {place} of frame {frame} is {value}"


def test_unreadable_events_are_counted_as_failed(wreck: Wreck) -> None:
    wreck.arena.write(3, 12, b"\0\0")
    assert 13 not in wreck.deliver()
    assert wreck.queue.stats().failed == 1


def test_two_events_between_which_the_line_break_is_damaged_are_both_delivered(
    wreck: Wreck,
) -> None:
    for damaged in (b"\0", b"x", b"\xff", b" "):
        wreck.restore()
        wreck.arena.write(3, 19, damaged)
        assert wreck.due <= set(wreck.deliver())


def test_a_damaged_word_of_the_first_page_costs_no_event(wreck: Wreck) -> None:
    for place in range(32):
        for bit in BITS:
            wreck.restore()
            wreck.arena.words[place] ^= 1 << bit
            assert wreck.due <= set(wreck.deliver())


def test_a_damaged_word_of_the_first_page_costs_no_synced_event(synced: Wreck) -> None:
    for place in range(32):
        for bit in FEW_BITS:
            synced.restore()
            synced.arena.words[place] ^= 1 << bit
            assert synced.due <= set(synced.deliver())


def test_a_damaged_counter_stops_no_thread_that_counts(wreck: Wreck) -> None:
    for column in range(5):
        wreck.arena.words[wreck.arena.row(0) + column] = WORD_MASK
        wreck.queue.counters.add(REQUESTS, 3)
        wreck.queue.stats()


# The header, in a file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.arena"
    arena = arena_file.create(os.open(path, os.O_RDWR | os.O_CREAT), 3, 64)
    path = path.rename(tmp_path / f"{arena.id}.arena")
    arena.close()
    return path


@pytest.mark.parametrize("word", range(8))
def test_a_damaged_word_of_the_header_is_restored_from_its_copy(file: Path, word: int) -> None:
    whole = file.read_bytes()
    for value in {0, 2, 1 << 16, 1 << 40, WORD_MASK}:
        file.write_bytes(whole[: 8 * word] + struct.pack("=Q", value) + whole[8 * word + 8 :])
        arena, is_whole = arena_file.reopen(os.open(file, os.O_RDWR))
        assert (arena.id, arena.frames, arena.capacity) == (file.stem, 3, 64)
        assert not is_whole
        arena.close()
        assert file.read_bytes()[:4096] == whole[:4096]


def test_the_id_of_an_arena_is_the_name_of_its_file(file: Path) -> None:
    other = file.with_name(f"{0xAB:032x}.arena")
    file.rename(other)
    arena, _ = arena_file.reopen(os.open(other, os.O_RDWR), other.stem)
    assert arena.id == other.stem
    arena.close()


def test_a_header_without_an_intact_copy_reserves_nothing(file: Path) -> None:
    with file.open("r+b") as opened:
        for copy in (0, 2048):
            opened.seek(copy + 32)
            opened.write(struct.pack("=Q", 100_000))
    size = file.stat().st_size
    fd = os.open(file, os.O_RDWR)
    with pytest.raises(ArenaError, match="checksum") as raised:
        arena_file.reopen(fd)
    assert raised.value.reason == "corrupt"
    assert os.fstat(fd).st_size == size
    os.close(fd)


def test_a_truncated_file_for_which_there_is_no_room_stays_as_it_is(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(file, 5000)

    def reserve(fd: int, start: int, size: int) -> None:
        os.ftruncate(fd, size - 1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", reserve)
    fd = os.open(file, os.O_RDWR)
    with pytest.raises(OSError, match="No space left"):
        arena_file.reopen(fd)
    assert os.fstat(fd).st_size == 5000
    os.close(fd)
