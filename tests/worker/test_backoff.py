"""The backoff is the seed's: it grows by its ratio, and there is none after the last try."""

import pytest

from dataart_mp import ClientConfig
from dataart_mp.worker.backoff import Backoff


def test_the_delays_are_the_go_clients_5_10_15() -> None:
    backoff = Backoff(ratio=5.0, retries=3)
    assert [backoff.delay(attempts) for attempts in (1, 2, 3, 4)] == [5.0, 10.0, 15.0, None]


def test_the_delays_of_a_client_that_was_told_nothing_are_5_10_15() -> None:
    config = ClientConfig("key")
    backoff = Backoff(config.flush_backoff_ratio, config.flush_num_retries)
    assert [backoff.delay(attempts) for attempts in (1, 2, 3, 4)] == [5.0, 10.0, 15.0, None]


def test_without_retries_there_is_no_delay_after_the_first_try() -> None:
    assert Backoff(ratio=5.0, retries=0).delay(1) is None


@pytest.mark.parametrize(
    ("asked", "delay"), [(0.0, 10.0), (9.9, 10.0), (10.1, 10.1), (300.0, 300.0)]
)
def test_what_the_platform_asks_for_is_a_minimum(asked: float, delay: float) -> None:
    assert Backoff(ratio=5.0, retries=3).delay(2, asked) == delay


def test_what_the_platform_asks_for_makes_no_more_tries() -> None:
    assert Backoff(ratio=5.0, retries=1).delay(2, at_least=60.0) is None


def test_the_ratio_may_be_a_fraction() -> None:
    assert Backoff(ratio=0.25, retries=9).delay(3) == 0.75
