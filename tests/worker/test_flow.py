"""The number of requests in flight follows what the platform accepts."""

import itertools

import pytest

from dataart_mp.worker.flow import LONGEST_INTERVAL, Flow, Latency

START = Flow.at(32.0)


def lowered(times: int, seconds: float = 0.05) -> Flow:
    """A flow that was lowered so often, at one second each."""
    flow = START._replace(seconds=seconds)
    for now in range(1, times + 1):
        flow = flow.refused(now, now)
    return flow


# What one response leads to


def test_it_begins_at_the_maximum() -> None:
    assert (START.limit, START.peak, START.is_lowest) == (32.0, 32.0, False)


def test_a_refusal_lowers_the_limit_by_a_part() -> None:
    assert START.refused(sent_at=1.0, now=2.0).limit == pytest.approx(27.2)


def test_no_response_lowers_it_by_more() -> None:
    assert START.unanswered(sent_at=1.0, now=2.0).limit == pytest.approx(22.4)


def test_requests_that_were_in_flight_when_it_was_lowered_do_not_lower_it_again() -> None:
    flow = START.refused(sent_at=1.0, now=2.0)
    assert flow.refused(sent_at=1.9, now=2.1) == flow
    assert flow.unanswered(sent_at=1.9, now=2.1) == flow
    assert flow.refused(sent_at=2.0, now=2.1).limit < flow.limit


def test_an_outage_lowers_it_to_1_and_no_further() -> None:
    flow = START
    for now in range(20):
        flow = flow.unanswered(now, now)
    assert flow.limit == 1.0
    assert not flow.is_lowest
    assert flow.unanswered(30.0, 30.0) == flow


def test_refusals_lower_it_until_a_request_a_second_is_sent() -> None:
    flow = lowered(100)
    assert flow.is_lowest
    assert flow.limit == pytest.approx(0.05)
    assert flow.interval == LONGEST_INTERVAL
    assert not lowered(30).is_lowest


@pytest.mark.parametrize("seconds", [0.0, 0.0001, 5.0])
def test_refusals_lower_it_to_a_limit_with_a_meaning_whatever_a_response_takes(
    seconds: float,
) -> None:
    flow = lowered(200, seconds)
    assert 0 < flow.limit <= 1
    assert flow.is_lowest
    assert 0 <= flow.interval <= LONGEST_INTERVAL


def test_requests_begin_at_a_steady_rate() -> None:
    assert START._replace(limit=10.0, seconds=0.05).interval == pytest.approx(0.005)
    assert START._replace(limit=0.25, seconds=0.05).interval == pytest.approx(0.2)
    assert START._replace(limit=0.01, seconds=0.05).interval == LONGEST_INTERVAL
    assert START.interval == 0.0, "nothing is known"


def test_the_time_of_a_response_is_known_even_if_all_are_refused() -> None:
    assert START.refused(sent_at=1.0, now=1.25).seconds == 0.25
    assert START._replace(seconds=0.5).refused(sent_at=1.0, now=1.25).seconds == 0.5


def accepted(flow: Flow, now: float, *, is_backlog: bool = True, most: float = 32.0) -> Flow:
    latency = Latency(0.05, 0.05)
    return flow.accepted(latency, now - 0.05, now, most, is_backlog=is_backlog)[0]


def test_it_rises_by_half_of_the_distance_to_where_it_was_lowered() -> None:
    flow = Flow(limit=10.0, peak=20.0, seconds=0.05)
    flow = accepted(flow, 1.0)
    assert flow.limit == 15.0
    assert accepted(flow, 2.0).limit == 17.5


def test_it_rises_slowly_near_where_it_was_lowered_and_faster_beyond() -> None:
    limits = [Flow(limit=10.0, peak=10.0, seconds=0.05)]
    for second in range(1, 7):
        limits.append(accepted(limits[-1], second))
    steps = [after.limit - before.limit for before, after in itertools.pairwise(limits)]
    assert steps == pytest.approx([0.5, 0.5, 0.5, 0.75, 1.125, 1.6875])


def test_a_high_limit_rises_by_a_part_of_it() -> None:
    assert accepted(Flow(100.0, 100.0, seconds=0.05), 1.0, most=200.0).limit == 103.0


def test_a_limit_below_1_rises_by_a_part_of_it_and_by_no_more_than_itself() -> None:
    assert accepted(Flow(0.5, 0.5, seconds=0.05), 1.0).limit == pytest.approx(0.515)
    assert accepted(Flow(0.1, 20.0, seconds=0.05), 1.0).limit == pytest.approx(0.2)


def test_it_doubles_after_refusals_in_a_row() -> None:
    """They did not depend on the limit, so the first one says where to return to."""
    flow = lowered(100)
    for now, limit in ((200, 0.1), (202, 0.2), (204, 0.4), (206, 0.8), (208, 1.6)):
        flow = accepted(flow, now)
        assert flow.limit == pytest.approx(limit)
    assert flow.peak == 32.0


def test_it_does_not_rise_above_the_maximum() -> None:
    assert accepted(Flow(31.9, 60.0, seconds=0.05), 1.0).limit == 32.0
    assert accepted(START, 1.0).limit == 32.0


def test_it_does_not_rise_while_nothing_waits() -> None:
    flow = accepted(Flow(10.0, 20.0, seconds=0.05), 1.0, is_backlog=False)
    assert (flow.limit, flow.round_at) == (10.0, 1.0)


def test_it_rises_once_in_a_round() -> None:
    flow = accepted(Flow(10.0, 20.0, seconds=0.05), 1.0)
    assert accepted(flow, 1.09).limit == flow.limit, "a tenth of a second at least"
    assert accepted(flow, 1.11).limit > flow.limit
    slow = flow._replace(seconds=4.0)
    assert accepted(slow, 4.5).limit == slow.limit, "the time of a response at least"
    assert accepted(slow, 5.5).limit > slow.limit
    rare = flow._replace(limit=0.1, seconds=0.05)
    assert accepted(rare, 1.45).limit == rare.limit, "the time between two requests at least"
    assert accepted(rare, 1.55).limit > rare.limit


def test_requests_from_before_it_was_lowered_do_not_raise_it_but_say_how_long_they_took() -> None:
    flow = Flow(10.0, 20.0, lowered_at=5.0, seconds=0.05)
    after, latency = flow.accepted(Latency(), 4.9, 7.0, 32.0, is_backlog=True)
    assert after.limit == 10.0
    assert after.seconds > 0.05
    assert (latency.mean, latency.usual) == pytest.approx((2.1, 2.1))


def test_a_limit_that_is_lowered_again_and_again_is_not_returned_to() -> None:
    assert START.refused(1.0, 1.0).peak == 32.0
    again = accepted(lowered(3), 10.0, is_backlog=False).refused(10.0, 11.0)
    assert again.peak == pytest.approx(32.0 * 0.85**3 * 0.925)
    assert again.refused(11.0, 12.0).peak == again.peak, "nothing was accepted in between"
    assert START._replace(limit=31.0, round_at=0.5).refused(1.0, 1.0).peak == 31.0


# Slow responses


def test_a_latency_is_an_average_and_usually_the_shortest_one() -> None:
    latency = Latency().after(0.1)
    assert latency == Latency(0.1, 0.1)
    slower = latency.after(0.3)
    assert (slower.mean, slower.usual) == pytest.approx((0.11, 0.1))
    faster = latency.after(0.02)
    assert (faster.mean, faster.usual) == pytest.approx((0.096, 0.096))


def test_responses_may_be_late_by_a_few_milliseconds() -> None:
    assert Latency(0.010, 0.001).slowness < 2
    assert Latency(0.013, 0.001).slowness > 2
    assert Latency(0.110, 0.05).slowness == pytest.approx(2.0)


def slow(flow: Flow, latency: Latency, now: float) -> tuple[Flow, Latency]:
    return flow.accepted(latency, now - latency.mean, now, 32.0, is_backlog=True)


def test_slow_responses_lower_the_limit_once_in_a_round() -> None:
    flow, latency = slow(START, Latency(0.4, 0.1), 1.0)
    assert flow.limit == pytest.approx(28.8)
    assert flow.slow_limit == 32.0
    assert latency.usual == 0.1
    assert slow(flow, latency, 1.1)[0].limit == flow.limit
    assert slow(flow, latency, 2.0)[0].limit == pytest.approx(28.8 * 0.9)


def test_if_half_the_limit_makes_responses_no_faster_they_are_usual_and_it_rises_again() -> None:
    flow, latency, now = START, Latency(0.4, 0.1), 0.0
    lowest = flow.limit
    while latency.usual == 0.1:
        now += 1
        flow, latency = slow(flow, latency, now)
        lowest = min(lowest, flow.limit)
    assert 14 < lowest <= 16
    assert latency.usual == latency.mean
    for _ in range(20):
        now += 1
        flow, latency = slow(flow, latency, now)
    assert flow.limit == 32.0


def test_if_half_the_limit_makes_responses_faster_it_is_lowered_further() -> None:
    flow, latency, now = START, Latency(0.8, 0.1), 0.0
    for _ in range(60):
        now += 2
        latency = latency._replace(mean=0.8 * flow.limit / 32)
        flow, latency = slow(flow, latency, now)
        assert latency.usual == pytest.approx(0.1)
    assert 6 < flow.limit < 11, "twice the usual time"


def test_a_single_request_is_not_slow_because_of_others() -> None:
    flow, latency = slow(Flow(1.0, 5.0, seconds=0.1), Latency(0.4, 0.1), 1.0)
    assert flow.limit == 1.0
    assert latency.usual == pytest.approx(latency.mean)


def test_a_refusal_ends_the_search_for_what_makes_responses_slow() -> None:
    flow, _ = slow(START, Latency(0.4, 0.1), 1.0)
    assert flow.slow_limit
    assert flow.refused(2.0, 2.0).slow_limit == 0.0
    assert flow.unanswered(2.0, 2.0).slow_limit == 0.0
    assert slow(flow, Latency(0.1, 0.1), 3.0)[0].slow_limit == 0.0
