"""The delays are the Go client's by default, and no delay follows the last attempt."""

from dataclasses import FrozenInstanceError

import pytest

from dataart_mp import ClientConfig
from dataart_mp.config.client_config import BackoffKind
from dataart_mp.delivery.backoff import LONGEST_DELAY, Backoff

LINEAR = Backoff("linear", ratio=5.0, retries=3)
EXPONENTIAL = Backoff("exponential", ratio=5.0, retries=3)


def delays(backoff: Backoff, chance: float = 0.0) -> list[float | None]:
    return [backoff.delay(attempts, chance=chance) for attempts in range(1, backoff.retries + 2)]


def test_linear_delays_are_5_10_15() -> None:
    assert delays(LINEAR) == [5.0, 10.0, 15.0, None]


def test_the_default_delays_are_the_go_clients_plus_jitter() -> None:
    config = ClientConfig("key")
    backoff = Backoff(config.backoff, config.flush_backoff_ratio, config.flush_num_retries)
    assert delays(backoff) == [5.0, 10.0, 15.0, None]
    assert config.backoff_jitter
    assert config.delivery_timeout is None


def test_exponential_delays_double() -> None:
    assert delays(EXPONENTIAL) == [5.0, 10.0, 20.0, None]


def test_without_retries_there_is_no_delay_after_the_first_attempt() -> None:
    assert Backoff("linear", ratio=5.0, retries=0).delay(1) is None


@pytest.mark.parametrize("kind", ["linear", "exponential"])
def test_no_delay_grows_beyond_the_cap(kind: BackoffKind) -> None:
    backoff = Backoff(kind, ratio=5.0, retries=1_000_000)
    assert backoff.delay(1_000_000) == LONGEST_DELAY == 300.0
    assert Backoff(kind, ratio=1000.0, retries=9).delay(9) == 1000.0  # a longer ratio is intended


@pytest.mark.parametrize(("chance", "first"), [(0.0, 5.0), (0.5, 5.625), (1.0, 6.25)])
def test_jitter_lengthens_a_delay_by_up_to_a_quarter(chance: float, first: float) -> None:
    jittery = Backoff("linear", ratio=5.0, retries=3, jitter=True)
    assert delays(jittery, chance) == [first, 2 * first, 3 * first, None]
    assert delays(LINEAR, chance) == [5.0, 10.0, 15.0, None]


@pytest.mark.parametrize(
    ("asked", "delay"), [(0.0, 10.0), (9.9, 10.0), (10.1, 10.1), (300.0, 300.0)]
)
def test_the_delay_is_at_least_what_the_platform_asks_for(asked: float, delay: float) -> None:
    assert LINEAR.delay(2, asked) == delay


def test_a_delay_that_the_platform_asks_for_adds_no_attempt() -> None:
    assert Backoff("linear", ratio=5.0, retries=1).delay(2, at_least=60.0) is None


@pytest.mark.parametrize(("age", "delay"), [(0.0, 10.0), (20.0, 10.0), (20.1, None)])
def test_no_attempt_begins_after_the_deadline(age: float, delay: float | None) -> None:
    assert Backoff("linear", 5.0, 9, deadline=30.0).delay(2, age=age) == delay


def test_the_ratio_may_be_a_fraction() -> None:
    assert Backoff("linear", ratio=0.25, retries=9).delay(3) == 0.75


def test_exponential_delays_double_until_they_are_far_beyond_the_cap() -> None:
    """A number of doublings without a limit would overflow."""
    backoff = Backoff("exponential", ratio=2.0**-24, retries=1_000_000)
    assert backoff.delay(33) == 2.0**8
    assert backoff.delay(1_000_000) == 2.0**8


def test_without_further_arguments_nothing_is_asked_for_and_no_time_has_passed() -> None:
    jittery = Backoff("linear", ratio=0.0, retries=3, jitter=True, deadline=0.0)
    assert jittery.delay(1) == 0.0
    assert Backoff("linear", ratio=5.0, retries=3, jitter=True).delay(1) == 5.0
    assert Backoff("linear", ratio=-0.5, retries=3).delay(1) == 0.0
    assert Backoff("linear", ratio=0.5, retries=3, deadline=0.4).delay(1) is None


def test_the_reason_says_which_limit_was_reached() -> None:
    assert LINEAR.exhausted_reason(3) == "delivery_timeout over"
    assert LINEAR.exhausted_reason(4) == "retries exhausted"


def test_a_policy_cannot_be_changed() -> None:
    assert not hasattr(LINEAR, "__dict__")
    with pytest.raises(FrozenInstanceError):
        LINEAR.ratio = 1.0  # type: ignore[misc]


# A platform that is too busy


def test_a_busy_platform_is_tried_again_when_it_asks_for_it_or_after_a_second() -> None:
    backoff = Backoff("linear", 5.0, 0)
    assert [backoff.delay_if_busy(at_least) for at_least in (0.0, 0.5, 1.5)] == [1.0, 1.0, 1.5]


def test_a_busy_platform_is_tried_again_no_later_than_after_a_failure() -> None:
    assert Backoff("linear", 0.25, 0).delay_if_busy() == 0.25


def test_the_delay_of_a_busy_platform_is_lengthened_by_up_to_a_quarter() -> None:
    backoff = Backoff("linear", 5.0, 0, jitter=True)
    assert [backoff.delay_if_busy(4.0, chance=chance) for chance in (0.0, 1.0)] == [4.0, 5.0]
    assert Backoff("linear", 5.0, 0).delay_if_busy(4.0, chance=1.0) == 4.0


def test_a_busy_platform_is_not_tried_after_the_deadline() -> None:
    backoff = Backoff("linear", 5.0, 0, deadline=10.0)
    assert backoff.delay_if_busy(4.0, age=6.0) == 4.0
    assert backoff.delay_if_busy(4.0, age=6.1) is None
