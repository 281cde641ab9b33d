"""The balance counts each record in one column, in whatever frame it is."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp import clock
from dataart_mp.errors import ClosedError
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.account import IDENTITY
from dataart_mp.queue.accounting import balance, parked_at_rest, pending_in
from dataart_mp.queue.arena import ROW_COUNT
from dataart_mp.queue.counters import BYTES, HOOK_RAISED, RETRIES, SAMPLED, THROTTLED
from dataart_mp.queue.reading import Reading
from dataart_mp.queue.status import Status
from tests.queue.interleavings import with_a_rival_at_every_step
from tests.queue.internals import (
    DROPPED_FULL,
    FILLING,
    FREE,
    PLACES,
    READY,
    REQUESTS,
    SENDING,
    SETTLED,
    WAITING,
    Process,
)
from tests.queue.steps import intercept
from tests.queue.tools import audit, claim_all, in_a_child, queue_of, record

JOINED = 6
ACCEPTED, DELIVERED, REJECTED, FAILED, PARKED = range(5)


def fill(
    queue: RecordQueue,
    frame: int,
    state: int,
    *,
    count: int = 3,
    taken: int = 0,
    adopted: bool = False,
    before: tuple[int, ...] = (0, 0, 0, 0, 0),
) -> None:
    """Put a frame into a state, with `count` records, after the totals `before`."""
    arena = queue.arena
    account = arena.account(frame)
    for number, total in enumerate(before):
        account.words[account.first + 24 + number] = total & (2**64 - 1)
    account.open(IDENTITY, memoryview(bytes(16)).cast("Q"), taken, adopted=adopted)
    account.seal(count, 9 * count)
    arena.write(frame, 0, b'{"n": 1}\n' * count)
    arena.set_state(frame, state)


def counted(queue: RecordQueue) -> dict[str, Any]:
    """Return what the balance counts, without zeros."""
    stats = balance(queue.arena, queue.counters)
    assert stats.balanced, stats
    names = "accepted", "delivered", "pending", "rejected", "failed", "parked"
    return {name: getattr(stats, name) for name in names if getattr(stats, name)}


def test_an_arena_that_was_never_used_holds_nothing() -> None:
    with queue_of() as queue:
        assert counted(queue) == {}
        assert pending_in(queue.arena, 0) == 0


def test_a_frame_that_was_never_used_is_not_read() -> None:
    """Its words may be anything: a damaged file."""
    with queue_of() as queue:
        queue.arena.account(0).words[queue.arena.account(0).first + 24] = 5
        assert counted(queue) == {}


@pytest.mark.parametrize("state", [FREE, SETTLED])
def test_what_a_settled_frame_held_is_in_its_closing_totals(state: int) -> None:
    with queue_of() as queue:
        fill(queue, 1, state, before=(9, 5, 2, 1, 1))
        assert counted(queue) == {
            "accepted": 9,
            "delivered": 5,
            "rejected": 2,
            "failed": 1,
            "parked": 1,
        }
        assert pending_in(queue.arena, 1) == 0


@pytest.mark.parametrize("state", [FILLING, READY, SENDING, WAITING, JOINED])
def test_what_a_frame_holds_is_pending_beside_what_it_held_before(state: int) -> None:
    with queue_of() as queue:
        fill(queue, 1, state, before=(9, 5, 2, 1, 1))
        account = queue.arena.account(1)
        account.words[account.first + 24 + DELIVERED] = 1000  # not in force yet
        assert counted(queue) == {
            "accepted": 12,
            "delivered": 5,
            "pending": 3,
            "rejected": 2,
            "failed": 1,
            "parked": 1,
        }
        assert pending_in(queue.arena, 1) == 3


def test_open_frames_side_by_side_count_separately() -> None:
    with queue_of() as queue:
        for frame, count in enumerate((1, 2, 4)):
            fill(queue, frame, FILLING, count=count)
            queue.arena.account(frame).seal(0, 0)
        assert counted(queue) == {"accepted": 7, "pending": 7}
        assert [pending_in(queue.arena, frame) for frame in range(3)] == [1, 2, 4]
        assert pending_in(queue.arena, 2, 0) == 5
        assert pending_in(queue.arena) == 0


def test_an_open_frame_without_a_nul_counts_what_fits_into_it() -> None:
    """Its content was damaged, in a file."""
    with queue_of() as queue:
        fill(queue, 0, FILLING)
        queue.arena.write(0, 0, b"\n" * queue.arena.stride)
        assert counted(queue)["pending"] == queue.arena.capacity


def test_an_open_frame_counts_what_its_content_shows() -> None:
    with queue_of() as queue:
        fill(queue, 0, FILLING)
        queue.arena.account(0).seal(0, 0)
        assert counted(queue) == {"accepted": 3, "pending": 3}
        queue.arena.write(0, 27, b'{"n"')  # a record whose end is not written yet
        assert counted(queue) == {"accepted": 3, "pending": 3}


@pytest.mark.parametrize("state", [READY, SENDING, WAITING])
def test_what_this_client_takes_back_is_parked_until_it_is_settled(state: int) -> None:
    with queue_of() as queue:
        fill(queue, 0, FREE, before=(5, 0, 0, 0, 5))
        fill(queue, 1, state, taken=8)
        assert counted(queue) == {"accepted": 5, "parked": 5}
        assert parked_at_rest(queue.arena) == 2


@pytest.mark.parametrize("state", [READY, SENDING, WAITING])
def test_what_this_client_takes_from_another_one_does_not_count_until_it_is_settled(
    state: int,
) -> None:
    with queue_of() as queue:
        fill(queue, 1, state, taken=8, adopted=True)
        assert counted(queue) == {}
        assert parked_at_rest(queue.arena) == 0


@pytest.mark.parametrize("adopted", [False, True])
def test_what_is_being_taken_back_is_still_parked(adopted: bool) -> None:
    with queue_of() as queue:
        fill(queue, 0, FREE, before=(3, 0, 0, 0, 3))
        fill(queue, 1, FILLING, taken=8, adopted=adopted)
        assert counted(queue) == {"accepted": 3, "parked": 3}
        assert parked_at_rest(queue.arena) == 3
        assert pending_in(queue.arena, 1) == 0


def test_the_columns_of_all_frames_are_added() -> None:
    with queue_of() as queue:
        for frame, start in enumerate((1, 10, 100, 1000)):
            fill(queue, frame, FREE, before=(10 * start, 4 * start, 3 * start, 2 * start, start))
        assert counted(queue) == {
            "accepted": 11110,
            "delivered": 4444,
            "rejected": 3333,
            "failed": 2222,
            "parked": 1111,
        }


def test_records_that_were_read_twice_are_pending_once() -> None:
    """The first frame was read before they were parked, the second one after another took them."""
    with queue_of() as queue:
        fill(queue, 0, SENDING)
        queue.arena.account(0).opened = clock.now()
        fill(queue, 1, FREE, before=(0, 3, 0, 0, -3))
        assert counted(queue) == {"accepted": 3, "delivered": 3}
        assert queue.stats().oldest_pending_seconds is None
        queue.arena.set_state(0, FREE)
        assert parked_at_rest(queue.arena) == 0


def test_records_of_followers_that_failed_are_pending_once() -> None:
    """The followers were read before they were settled, the leader after it."""
    with queue_of() as queue:
        fill(queue, 0, JOINED)
        fill(queue, 1, FREE, before=(3, -3, 0, 6, 0))
        assert counted(queue) == {"accepted": 6, "failed": 6}


@pytest.mark.parametrize(
    ("total", "pending"), [(2**63 - 1, 0), (2**63, -(2**63)), (2**64 - 1, -1), (2**64, 0)]
)
def test_a_total_is_below_zero_when_its_highest_bit_is_set(total: int, pending: int) -> None:
    with queue_of() as queue:
        fill(queue, 0, FREE, before=(0, total, 0, 0, 0))
        stats = balance(queue.arena, queue.counters)
        assert stats.pending == pending
        assert stats.delivered == max(0, total if not pending else 0) % 2**64


def test_totals_below_zero_cancel_out_with_those_of_other_frames() -> None:
    with queue_of() as queue:
        fill(queue, 0, FREE, before=(6, 0, 0, 0, 6))
        fill(queue, 1, FREE, before=(0, 6, 0, 0, -6))
        assert counted(queue) == {"accepted": 6, "delivered": 6}


def test_counters_are_shown_in_their_own_columns() -> None:
    with queue_of() as queue:
        for column, amount in ((REQUESTS, 5), (RETRIES, 2), (BYTES, 70)):
            queue.counters.add(column, amount)
        stats = balance(queue.arena, queue.counters)
        assert (stats.requests, stats.retries, stats.bytes) == (5, 2, 70)
        assert stats.dropped == {}
        assert stats.accepted == 0


def test_a_thread_counts_in_one_row_however_often_it_counts() -> None:
    with queue_of() as queue:
        for _ in range(9):
            queue.counters.add(REQUESTS)
        rows = [queue.arena.row(number) for number in range(2)]
        assert [queue.arena.words[row] for row in rows] == [1, 0]
        assert queue.counters.total(REQUESTS) == 9


def test_dropped_records_were_accepted() -> None:
    with queue_of() as queue:
        fill(queue, 0, READY)
        queue.counters.add(DROPPED_FULL, 4)
        stats = balance(queue.arena, queue.counters)
        assert stats.dropped == {"buffer full": 4}
        assert (stats.accepted, stats.pending) == (7, 3)
        assert stats.balanced


def test_the_balance_is_that_of_one_moment_whatever_changes_between_two_reads() -> None:
    def everything(queue: RecordQueue) -> None:
        """Settle one frame in each way, fill it again, and fill another one."""
        first, second, third = claim_all(queue)
        first.advance(first.length, rejected=1)
        queue.worker.settle(first)
        second.advance(second.length)
        queue.worker.settle(second)
        third.advance(third.length, failed=2)
        queue.worker.settle(third)
        for number in range(7, 10):
            queue.producer.append(record(number))

    def put_six(queue: RecordQueue) -> None:
        for number in range(6):
            queue.producer.append(record(number))

    seen = set()
    for queue, stats in with_a_rival_at_every_step(
        RecordQueue.stats, everything, put_six, frames=4, records=2
    ):
        assert stats.balanced, stats
        assert 0 <= stats.pending <= 8
        assert stats.delivered <= 3
        assert stats.rejected <= 1
        assert stats.failed in (0, 2)
        assert 6 <= stats.accepted <= 9
        seen.add((stats.accepted, stats.delivered))
        assert sorted(audit(queue)) == [7, 8, 9]
    assert len(seen) > 2, "the frames changed in between"


def test_a_frame_is_read_again_when_it_was_filled_again_meanwhile() -> None:
    """Its state is the same as before, and its generation is another one."""

    def settle_and_fill(queue: RecordQueue) -> None:
        for frame in claim_all(queue):
            frame.advance(frame.length)
            queue.worker.settle(frame)
        queue.producer.append(record(2))
        queue.producer.seal()

    def put(queue: RecordQueue) -> None:
        queue.producer.append(record(0))
        queue.producer.append(record(1))

    seen = set()
    for queue, stats in with_a_rival_at_every_step(
        RecordQueue.stats, settle_and_fill, put, frames=1, records=2
    ):
        assert stats.balanced
        assert (stats.accepted, stats.delivered, stats.pending) in ((2, 0, 2), (3, 2, 1))
        seen.add(stats.accepted)
        audit(queue)
    assert seen == {2, 3}


class CountsReads:
    """Counts how often this process looks at the shared memory."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> None:
        self.reads += 1

    def step(self) -> None:
        """Do nothing: only looks count."""

    def store(self, target: Any, start: int, data: bytes) -> None:
        target[start : start + len(data)] = data


@pytest.mark.parametrize("state", [FREE, READY, WAITING])
def test_the_words_of_all_frames_are_read_together(state: int) -> None:
    """An event loop may ask: one look at each of a thousand frames would take milliseconds."""
    reads = []
    for frames in (10, 1000):
        with queue_of(frames=frames) as queue:
            for frame in range(frames):
                fill(queue, frame, state)
            counting = CountsReads()
            intercept(queue, counting)
            balance(queue.arena, queue.counters)
            parked_at_rest(queue.arena)
            reads.append(counting.reads)
    assert reads[0] == reads[1]


def test_a_forked_child_counts_in_another_row() -> None:
    """Two processes that write to one row would lose what the other one counts."""
    with queue_of() as queue:
        queue.counters.add(REQUESTS)
        assert in_a_child(lambda: queue.counters.add(REQUESTS)) == 0
        used = [queue.arena.words[queue.arena.row(number)] for number in range(3)]
        assert used == [1, 1, 0]
        assert queue.counters.total(REQUESTS) == 2


def test_what_hooks_drop_is_accepted_and_dropped_by_reason() -> None:
    with queue_of() as queue:
        queue.counters.add(DROPPED_FULL, 2)
        queue.count_dropped(SAMPLED)
        queue.count_dropped(HOOK_RAISED)
        assert in_a_child(lambda: queue.count_dropped(SAMPLED)) == 0
        stats = queue.stats()
        assert stats.dropped == {"buffer full": 2, "sampled": 2, "before_send raised": 1}
        assert stats.accepted == 5
        assert stats.requests == stats.throttled == 0
        rows = [queue.arena.row(ROW_COUNT - 1 - number) for number in range(3)]
        assert [queue.arena.words[row] for row in rows] == [1, 1, 0]


def test_a_closed_queue_counts_nothing_that_hooks_drop() -> None:
    with queue_of() as queue:
        queue.arena.close_permanently()
        with pytest.raises(ClosedError):
            queue.count_dropped(SAMPLED)
        assert queue.stats().accepted == 0


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        *((0.0, 0), (0.05, 1), (1.0, 1), (7.2, 8), (4096.0, 4096)),
        *((-1.0, 0), (4097.0, 0), (float("nan"), 0), (float("inf"), 0)),  # damaged
    ],
)
def test_the_balance_shows_how_many_requests_may_be_in_flight(limit: float, shown: int) -> None:
    with queue_of() as queue:
        queue.arena.flow[0] = limit
        assert balance(queue.arena, queue.counters).concurrency == shown


def test_the_balance_shows_how_many_requests_the_platform_was_too_busy_for() -> None:
    with queue_of() as queue:
        queue.counters.add(THROTTLED, 3)
        assert balance(queue.arena, queue.counters).throttled == 3


# The state of the client


def test_the_age_is_that_of_the_oldest_frame_with_pending_records() -> None:
    with queue_of() as queue:
        now = clock.now()
        for frame, age in enumerate((3, 7, 5)):
            fill(queue, frame, READY)
            queue.arena.account(frame).opened = now - age * 10**9
        fill(queue, 3, READY, count=1, taken=8)  # parked
        queue.arena.account(3).opened = now - 99 * 10**9
        age_now = balance(queue.arena, queue.counters).oldest_pending_seconds
        assert age_now is not None
        assert 7.0 <= age_now < 8.0


@pytest.mark.parametrize("state", [FILLING, READY, SENDING, WAITING])
def test_a_frame_has_an_age_while_it_holds_pending_records(state: int) -> None:
    with queue_of() as queue:
        fill(queue, 0, state, count=1)
        queue.arena.account(0).opened = clock.now() - 10**9
        age = balance(queue.arena, queue.counters).oldest_pending_seconds
        assert age is not None
        assert 1.0 <= age < 2.0


@pytest.mark.parametrize(("state", "count"), [(FREE, 3), (SETTLED, 3), (JOINED, 3), (READY, 0)])
def test_a_frame_without_pending_records_or_with_a_leader_has_no_age(
    state: int, count: int
) -> None:
    with queue_of() as queue:
        fill(queue, 0, state, count=count)
        queue.arena.account(0).opened = clock.now() - 10**9
        assert balance(queue.arena, queue.counters).oldest_pending_seconds is None


@pytest.mark.parametrize("opened", [0, 1, 4, 2**64 - 1])
def test_a_time_that_cannot_be_right_is_not_believed(opened: int) -> None:
    """It may be the number of a leader, or damaged."""
    with queue_of(frames=4) as queue:
        fill(queue, 0, READY)
        queue.arena.account(0).opened = opened
        assert balance(queue.arena, queue.counters).oldest_pending_seconds is None


def test_what_was_read_later_is_added() -> None:
    now, later = 10**9, 2 * 10**9
    one, other = Reading([1, 2, 3, 4, 5], 6, later, 7), Reading([10, 20, 30, 40, 50], 60, now, 70)
    assert one.plus(other) == other.plus(one) == Reading([11, 22, 33, 44, 55], 66, now, 77)
    nothing = Reading([0] * 5, 0, 0, 0)
    assert one.plus(nothing) == nothing.plus(one) == one
    assert nothing.plus(nothing) == nothing


def test_frames_are_in_use_or_free() -> None:
    with queue_of(frames=4) as queue:
        fill(queue, 0, READY)
        fill(queue, 2, SETTLED)
        fill(queue, 3, WAITING)
        stats = balance(queue.arena, queue.counters)
        assert (stats.frames_in_use, stats.frames_free) == (3, 1)


def test_only_workers_that_have_their_place_count() -> None:
    with queue_of() as queue:
        status = Status(queue.arena)
        for place in range(3):
            status.register(place, Process(100 + place, 1))
            queue.arena.words[status.in_flight_word(place)] = 10**place
        assert queue.arena.locks.acquire(PLACES)
        assert queue.arena.locks.acquire(PLACES + 2)
        stats = balance(queue.arena, queue.counters)
        assert (stats.workers, stats.in_flight) == (2, 101)


def test_the_circuit_is_open_if_that_of_an_endpoint_is_since_the_first_one() -> None:
    with queue_of() as queue:
        arena, status = queue.arena, Status(queue.arena)
        status.failed(True, is_open=False)
        stats = balance(arena, queue.counters)
        assert (stats.circuit, stats.circuit_since) == ("closed", None)
        first = stats.failing_since
        assert first is not None
        status.failed(True, is_open=True)
        opened = balance(arena, queue.counters)
        time.sleep(0.002)
        status.failed(False, is_open=True)
        stats = balance(arena, queue.counters)
        assert (stats.circuit, stats.circuit_since) == ("open", opened.circuit_since)
        assert stats.failing_since == first
        status.works(is_identity=True)
        stats = balance(arena, queue.counters)
        assert stats.circuit == "open"
        assert stats.circuit_since is not None
        assert opened.circuit_since is not None
        assert stats.circuit_since > opened.circuit_since, "that of the other endpoint"
        status.works(is_identity=False)
        closed = balance(arena, queue.counters)
        assert (closed.circuit, closed.failing_since) == ("closed", None)
        assert closed.circuit_since is not None
        assert closed.circuit_since >= stats.circuit_since, "of both, the one closed last"
        assert abs(closed.circuit_since.timestamp() - time.time()) < 60


def test_the_last_error_is_shown_with_its_time() -> None:
    with queue_of() as queue:
        Status(queue.arena).note_error("status 503")
        stats = balance(queue.arena, queue.counters)
        assert stats.last_error == "status 503"
        error = Status(queue.arena).error
        assert error is not None
        assert stats.last_error_at == datetime.fromtimestamp(error.at / 1e9, UTC)
        assert abs(error.at / 1e9 - time.time()) < 60
