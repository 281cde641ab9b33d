"""Simulated platforms get as many requests as they accept, and few more."""

import pytest

from tests.worker.simulated_platform import Platform, Simulation


@pytest.mark.parametrize("most", [1, 16, 64])
@pytest.mark.parametrize("latency", [0.001, 0.05, 0.2])
def test_without_a_reason_all_permitted_requests_are_in_flight(most: int, latency: float) -> None:
    seconds = 8 if latency > 0.001 else 1.2
    result = Simulation(Platform(latency), most).run(seconds, warm=1.0)
    assert set(result.limits) == {most}
    senders = most + most % 2  # one for each worker at least
    assert result.accepted == pytest.approx(senders / (latency + 0.0003), rel=0.1)


@pytest.mark.parametrize("most", [16, 64])
def test_responses_that_take_now_longer_and_now_shorter_do_not_lower_the_limit(most: int) -> None:
    result = Simulation(Platform(0.05, noise=0.4), most).run(30)
    assert min(result.limits[4:]) >= most * 0.85, "after two seconds, when the usual time is known"
    assert result.limits[-1] == most


RATES = [(0.05, 200), (0.2, 50), (0.2, 100), (0.002, 200), (0.001, 200), (0.005, 200)]


@pytest.mark.parametrize("most", [32, 64])
@pytest.mark.parametrize(("latency", "rate"), RATES)
def test_a_rate_limit_is_used_up_with_few_refused_requests(
    most: int, latency: float, rate: float
) -> None:
    result = Simulation(Platform(latency, rate=rate), most).run(40, warm=10.0)
    assert result.accepted >= 0.95 * rate
    assert result.wasted <= 0.12


@pytest.mark.parametrize(("latency", "rate"), [(0.001, 20), (0.05, 10)])
def test_a_low_rate_limit_is_nearly_used_up(latency: float, rate: float) -> None:
    result = Simulation(Platform(latency, rate=rate)).run(60, warm=20.0)
    assert result.accepted >= 0.75 * rate
    assert result.wasted <= 0.2


def test_a_rate_limit_is_used_up_if_the_latency_varies() -> None:
    result = Simulation(Platform(0.05, rate=200, noise=0.3)).run(40, warm=10.0)
    assert result.accepted >= 0.95 * 200
    assert result.wasted <= 0.12


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("most", [32, 64])
def test_a_platform_that_queues_requests_is_kept_busy_with_a_short_queue(
    most: int, noise: float
) -> None:
    result = Simulation(Platform(0.05, servers=8, noise=noise), most).run(40, warm=10.0)
    assert result.accepted >= 0.93 * 8 / 0.0523
    assert 8 < max(result.limits[20:]) < 26, "as many again as are served"


@pytest.mark.parametrize("most", [32, 64])
def test_a_platform_that_closes_connections_is_sent_fewer_requests_at_once(most: int) -> None:
    result = Simulation(Platform(0.05, connections=8), most).run(40, warm=10.0)
    assert result.accepted >= 0.8 * 8 / 0.0503
    assert result.wasted <= 0.05


@pytest.mark.parametrize("most", [32, 64])
def test_after_an_outage_the_maximum_is_reached_within_two_seconds(most: int) -> None:
    result = Simulation(Platform(0.05, outage=(5.0, 12.0)), most).run(20)
    assert result.limits[20] == 1.0
    assert result.limits[28] == most


@pytest.mark.parametrize("most", [32, 64])
def test_after_a_time_in_which_all_was_refused_the_maximum_is_reached_within_five_seconds(
    most: int,
) -> None:
    result = Simulation(Platform(0.05, busy=(5.0, 25.0)), most).run(40)
    assert result.limits[48] < 0.1
    assert result.limits[60] == result.limits[-1] == most


@pytest.mark.parametrize("most", [32, 64])
def test_a_platform_that_becomes_slow_for_another_reason_is_sent_as_much_as_before(
    most: int,
) -> None:
    """Vector's limit stayed low after such a change."""
    result = Simulation(Platform(0.05), most, changes={5.0: 0.2}).run(20)
    assert min(result.limits) < most
    assert result.limits[-1] == most
    result = Simulation(Platform(0.2), most, changes={5.0: 0.05}).run(20)
    assert set(result.limits) == {most}
