"""The status in an arena is read whole or not at all, by all who have it mapped."""

import math
import time
from collections.abc import Iterator

import pytest

from dataart_mp import clock
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.arena import ROW_COUNT, Arena
from dataart_mp.queue.process import Process
from dataart_mp.queue.status import MAX_ERROR_BYTES, PLACES_SHOWN, Status
from tests.queue.interleavings import with_a_rival_at_every_step


@pytest.fixture
def arena() -> Iterator[Arena]:
    made = Arena.create(3, 1000)
    yield made
    made.close()


@pytest.fixture
def status(arena: Arena) -> Status:
    return Status(arena)


def test_a_new_arena_has_no_status(status: Status) -> None:
    assert status.error is None
    assert status.rows() == []
    assert status.interval == 0.0
    assert status.delivery(is_identity=False) == status.delivery(is_identity=True) == (0, 0, 0)


def test_the_latest_error_counts(status: Status) -> None:
    for number in range(5):
        before = time.time_ns()
        status.note_error(f"error {number}")
        error = status.error
        assert error is not None
        assert error.text == f"error {number}"
        assert before <= error.at <= time.time_ns()


@pytest.mark.parametrize(
    "length", [MAX_ERROR_BYTES - 1, MAX_ERROR_BYTES, MAX_ERROR_BYTES + 1, 9999]
)
@pytest.mark.parametrize("letter", ["x", "ü", "🙂"])
def test_a_long_error_is_cut_between_characters(status: Status, length: int, letter: str) -> None:
    text = letter * (length // len(letter.encode()))
    status.note_error(text)
    error = status.error
    assert error is not None
    assert len(error.text.encode()) <= MAX_ERROR_BYTES
    assert error.text == text or (error.text.endswith("…") and text.startswith(error.text[:-1]))


def test_an_error_is_one_line(status: Status) -> None:
    status.note_error("one\n two\r\n\tthree")
    assert status.error is not None
    assert status.error.text == "one two three"


def test_a_torn_error_does_not_count(arena: Arena, status: Status) -> None:
    status.note_error("whole")
    status.note_error("torn by a death")
    at = arena.memory.find(b"torn")
    arena.memory[at] = ord("w")
    assert status.error is not None
    assert status.error.text == "whole"


def test_the_first_failure_and_the_first_success_are_reported_once(arena: Arena) -> None:
    one, other = Status(arena), Status(arena)
    assert one.failed(False, is_open=False)
    assert not other.failed(False, is_open=False)
    assert other.is_failing(is_identity=False)
    assert not other.is_failing(is_identity=True)
    assert other.failed(True, is_open=True), "the other endpoint"
    assert (one.failures(is_identity=False), one.failures(is_identity=True)) == (2, 1)
    assert one.works(is_identity=False)
    assert (one.failures(is_identity=False), one.failures(is_identity=True)) == (0, 1)
    assert not other.works(is_identity=False)
    assert one.delivery(is_identity=False) == (0, 0, 0), "no circuit was opened"


def test_a_circuit_is_open_until_a_request_succeeds(status: Status) -> None:
    status.failed(True, is_open=False)
    assert not status.delivery(is_identity=True).open_since
    status.failed(True, is_open=True)
    opened = status.delivery(is_identity=True)
    assert 0 < opened.failing_since <= opened.open_since <= time.time_ns()
    status.failed(True, is_open=True)
    assert status.delivery(is_identity=True) == opened
    status.works(is_identity=True)
    closed = status.delivery(is_identity=True)
    assert (closed.failing_since, closed.open_since) == (0, 0)
    assert opened.open_since <= closed.closed_at


def test_no_circuit_is_open_while_requests_succeed_whenever_a_late_failure_is_noted() -> None:
    """Else a client that has nothing more to send would look as if the platform were down."""

    def fail(queue: RecordQueue) -> None:
        Status(queue.arena).failed(False, is_open=True)

    def work(queue: RecordQueue) -> None:
        Status(queue.arena).works(is_identity=False)

    for queue, _ in with_a_rival_at_every_step(work, fail, prepare=fail):
        known = Status(queue.arena).delivery(is_identity=False)
        assert known.failing_since or not known.open_since
        if not known.failing_since:
            Status(queue.arena).failed(False, is_open=False)
            assert not Status(queue.arena).delivery(is_identity=False).open_since


def test_a_worker_has_one_row_for_its_place(status: Status) -> None:
    status.register(3, Process(100, 7))
    status.register(3, Process(101, 8))
    status.register(0, Process(99, 6))
    rows = status.rows()
    assert [(row.place, row.process) for row in rows] == [(0, (99, 6)), (3, (101, 8))]
    assert all(row.is_recent(clock.now()) for row in rows)
    assert not rows[0].is_recent(clock.now() + 6 * 10**9)
    before = rows[0].seen
    status.show_life(0)
    assert status.rows()[0].seen > before


def test_requests_in_flight_are_those_of_the_place(arena: Arena, status: Status) -> None:
    status.register(PLACES_SHOWN - 1, Process(1, 1))
    arena.words[status.in_flight_word(PLACES_SHOWN - 1)] = 5
    (row,) = status.rows()
    assert (row.place, row.in_flight) == (PLACES_SHOWN - 1, 5)


def test_a_place_without_a_row_changes_nothing_else(arena: Arena, status: Status) -> None:
    before = arena.words[: arena.row(ROW_COUNT)].tolist()
    status.register(PLACES_SHOWN, Process(1, 1))
    status.show_life(4095)
    word = status.in_flight_word(4095)
    arena.words[word] = 7
    assert status.rows() == []
    assert word < arena.row(0), "it is in the first page"
    arena.words[word] = 0
    assert arena.words[: arena.row(ROW_COUNT)].tolist() == before


def test_the_status_overlaps_nothing(arena: Arena, status: Status) -> None:
    """The header is stored twice, and the flow lies before the status."""
    first, second = arena.memory[:128], arena.memory[2048:2112]
    arena.flow[:] = memoryview(bytes(64 * 8)).cast("d")
    for place in range(PLACES_SHOWN):
        status.register(place, Process(2**63, 2**63))
    for _ in range(2):
        status.note_error("x" * MAX_ERROR_BYTES)
    status.failed(False, is_open=True)
    status.failed(True, is_open=True)
    status.interval = 5.0
    assert arena.memory[:128] == first
    assert arena.memory[2048:2112] == second
    assert not any(arena.flow)
    assert arena.words[512] == 0
    assert status.error is not None
    assert status.error.text == "x" * MAX_ERROR_BYTES
    assert len(status.rows()) == PLACES_SHOWN
    assert status.interval == 5.0


def test_a_new_owner_forgets_workers_and_the_platform_but_not_the_error(status: Status) -> None:
    status.register(1, Process(1, 1))
    status.failed(False, is_open=True)
    status.note_error("status 503")
    status.start_afresh()
    assert status.rows() == []
    assert status.delivery(is_identity=False) == (0, 0, 0)
    assert status.error is not None


@pytest.mark.parametrize("word", [2**64 - 1, 2**63])
def test_damaged_words_are_not_believed(arena: Arena, status: Status, word: int) -> None:
    for number in [*range(128, 222), *range(264, 512)]:
        arena.words[number] = word
    assert status.error is None
    assert status.delivery(is_identity=False) == (0, 0, 0)
    assert math.isfinite(status.interval)
    assert status.interval >= 0
    assert all(row.in_flight <= 4096 for row in status.rows())
    assert not any(row.is_recent(clock.now()) for row in status.rows())
    assert status.ended_at(is_identity=False) == 0
    assert not status.failed(is_identity=False, is_open=True), "it can be noted nevertheless"
    assert status.works(is_identity=False) is not None
    assert 0 < status.ended_at(is_identity=False) <= clock.now()
