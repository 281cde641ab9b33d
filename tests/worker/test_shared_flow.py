"""All workers of a client share one flow of requests, which lies in the arena."""

import math
import os
from collections.abc import Iterator

import pytest

from dataart_mp import clock
from dataart_mp.queue.arena import FLOW_WORDS, Arena
from dataart_mp.worker.shared_flow import SIZES, FixedPace, SharedFlow
from tests.queue.tools import fork, reap

BODY = 5000


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena.create(2, 1024)
    yield arena
    arena.close()


def test_it_begins_at_the_maximum_and_a_later_worker_continues_with_what_is_known(
    arena: Arena,
) -> None:
    first = SharedFlow(arena, most=10, processes=2)
    assert (arena.flow[0], first.share) == (10.0, 5)
    first.refused(1.0, 1.0)
    assert arena.flow[0] == pytest.approx(8.5)
    second = SharedFlow(arena, most=10, processes=2)
    assert (first.share, second.share) == (5, 5)
    second.refused(2.0, 2.0)
    assert (first.share, second.share) == (4, 4), "7.225"
    second.refused(1.9, 2.1)
    assert first.share == 4, "it was in flight when the other worker lowered the limit"


def test_a_worker_may_always_have_one_request_in_flight(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=4)
    for now in range(100):
        flow.refused(now, now)
    assert (flow.share, flow.is_lowest) == (1, True)


def test_a_limit_that_was_lowered_is_kept_when_its_worker_dies(arena: Arena) -> None:
    """A count of requests in flight would stay too high; a limit cannot."""

    def refused_and_killed() -> None:
        SharedFlow(arena, most=10, processes=2).refused(1.0, 1.0)
        os._exit(9)

    assert reap(fork(refused_and_killed)) == 9
    assert SharedFlow(arena, most=10, processes=2).share == 5
    assert arena.flow[0] == pytest.approx(8.5)


@pytest.mark.parametrize(
    ("word", "value"),
    [(0, math.nan), (0, math.inf), (0, -1.0), (0, 11.0), (3, math.nan), (20, -1.0), (63, math.inf)],
)
def test_a_damaged_word_of_a_file_makes_the_next_worker_begin_at_the_maximum(
    arena: Arena, word: int, value: float
) -> None:
    SharedFlow(arena, most=10, processes=2).refused(1.0, 1.0)
    arena.flow[word] = value
    flow = SharedFlow(arena, most=10, processes=2)
    assert (arena.flow[0], flow.share) == (10.0, 5)
    assert max(arena.flow[1:]) <= 10


def test_times_of_an_earlier_boot_are_forgotten(arena: Arena) -> None:
    an_hour_later = clock.monotonic() + 3600
    SharedFlow(arena, most=10, processes=2).refused(an_hour_later, an_hour_later)
    flow = SharedFlow(arena, most=10, processes=2)
    assert flow.share == 5
    now = clock.monotonic()
    flow.refused(now, now)
    assert arena.flow[0] == pytest.approx(8.5)
    assert flow.take_turn(now) < 10


def test_responses_raise_the_limit_again(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    flow.refused(1.0, 1.0)
    flow.accepted(BODY, 1.5, 1.6, is_backlog=False)
    assert arena.flow[0] == pytest.approx(8.5)
    flow.accepted(BODY, 2.5, 2.6, is_backlog=True)
    assert arena.flow[0] == pytest.approx(9.25)


def test_slow_requests_are_compared_with_requests_of_similar_size(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    for now in range(50):
        flow.accepted(1000, now, now + 0.01, is_backlog=True)
        flow.accepted(500_000, now, now + 0.9, is_backlog=True)
    assert arena.flow[0] == 10.0
    limits = []
    for now in range(100, 120):
        flow.accepted(1000, now, now + 0.9, is_backlog=True)
        limits.append(arena.flow[0])
    assert min(limits) < 10.0


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1 << 20, 1 << 24, 1 << 60])
def test_there_is_room_for_each_size_of_requests(arena: Arena, size: int) -> None:
    SharedFlow(arena, most=10, processes=2).accepted(size, 1.0, 1.25, is_backlog=False)
    used = [number for number in range(FLOW_WORDS) if arena.flow[number] == 0.25]
    assert len(used) == 3, "the average of all, and the mean and the usual time of the size"
    assert SIZES >= 14, "up to 16 MiB"


def test_of_responses_in_quick_succession_some_are_enough(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    flow.accepted(BODY, 1.0, 1.25, is_backlog=False)
    known = list(arena.flow)
    flow.accepted(BODY, 1.0, 1.2519, is_backlog=False)
    assert list(arena.flow) == known
    flow.accepted(BODY, 1.0, 1.2521, is_backlog=False)
    assert list(arena.flow) != known


# Turns


def test_at_the_maximum_no_request_waits_for_its_turn(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    flow.accepted(BODY, 1.0, 1.5, is_backlog=False)
    assert [flow.take_turn(2.0) for _ in range(20)] == [0.0] * 20
    assert not flow.is_limited
    flow.refused(3.0, 3.0)
    assert flow.is_limited


def test_below_the_maximum_requests_of_all_workers_begin_at_a_steady_rate(arena: Arena) -> None:
    first, second = (SharedFlow(arena, most=10, processes=2) for _ in range(2))
    first.accepted(BODY, 1.0, 1.85, is_backlog=False)
    first.refused(2.0, 2.0)  # 8.5 requests in 0.85 seconds
    assert first.take_turn(3.0) == 0.0
    assert second.take_turn(3.0) == pytest.approx(0.1, abs=0.003)
    assert second.take_turn(3.05) == pytest.approx(0.05, abs=0.003)
    assert second.take_turn(3.1) == 0.0
    assert first.take_turn(3.1) == pytest.approx(0.1, abs=0.003)


def test_a_late_request_does_not_delay_the_next_one(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    flow.accepted(BODY, 1.0, 1.85, is_backlog=False)
    flow.refused(2.0, 2.0)
    flow.take_turn(3.0)
    assert flow.take_turn(3.2) == 0.0
    assert flow.take_turn(3.2) == pytest.approx(0.098), "but a long pause is not made up for"


def test_a_time_from_the_future_delays_no_request_for_long(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    flow.accepted(BODY, 1.0, 1.85, is_backlog=False)
    flow.refused(2.0, 2.0)
    flow.take_turn(1e9)
    assert flow.take_turn(3.0) == pytest.approx(0.1)


def test_what_is_known_is_forgotten_by_a_new_owner_of_the_arena(arena: Arena) -> None:
    SharedFlow(arena, most=10, processes=2).refused(1.0, 1.0)
    arena.settle_in()
    assert list(arena.flow) == [0.0] * FLOW_WORDS


def test_a_fixed_pace_permits_everything() -> None:
    pace = FixedPace()
    pace.refused(1.0, 1.0)
    pace.unanswered(1.0, 1.0)
    pace.accepted(BODY, 1.0, 1.0, is_backlog=True)
    assert (pace.take_turn(1.0), pace.share > 4096, pace.is_lowest) == (0.0, True, True)


def test_it_is_due_to_learn_from_an_accepted_request_a_while_after_the_last(arena: Arena) -> None:
    flow = SharedFlow(arena, most=10, processes=2)
    assert flow.is_due(5.0)
    flow.accepted(BODY, 4.9, 5.0, is_backlog=False)
    assert not flow.is_due(5.001)
    assert flow.is_due(5.003)
    assert SharedFlow(arena, most=10, processes=2).is_due(5.001), "each worker learns by itself"


def test_a_fixed_pace_notes_nothing() -> None:
    assert not FixedPace().is_due(5.0)
