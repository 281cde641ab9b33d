"""A flood is told in a few lines, and no happening in it is left out."""

import pytest

from dataart_mp.producer.log_throttle import Count, LogThrottle


def test_the_first_is_told_at_once_and_the_next_ones_together() -> None:
    throttle = LogThrottle(30.0)
    assert throttle.add(1, 100.0) == Count(1, 0.0)
    assert not any(throttle.add(10, now) for now in (100.1, 115.0, 129.9))
    assert throttle.add(1, 130.0) == Count(31, 30.0)
    assert not throttle.add(1, 131.0)


def test_the_rest_is_told_at_the_end_whenever_that_is() -> None:
    throttle = LogThrottle(30.0)
    throttle.add(1, 100.0)
    throttle.add(2, 101.0)
    assert throttle.rest(102.5).amount == 2
    assert not throttle.rest(103.0)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (Count(1, 0.0), "1 record dropped"),
        (Count(2, 0.3), "2 records dropped"),
        (Count(1800, 30.0), "1,800 records dropped in 30 s"),
    ],
)
def test_a_count_reads_as_a_sentence(count: Count, text: str) -> None:
    assert count.told("record", "dropped") == text
