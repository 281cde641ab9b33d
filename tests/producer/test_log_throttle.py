"""Many equal occurrences are reported in few log lines, and each of them is counted."""

import pytest

from dataart_mp.producer.log_throttle import LogThrottle, Occurrences


def test_the_first_occurrence_is_reported_at_once_and_later_ones_together() -> None:
    throttle = LogThrottle(30.0)
    assert throttle.count(1, 100.0) == Occurrences(1, 0.0)
    assert not any(throttle.count(10, now) for now in (100.1, 115.0, 129.9))
    assert throttle.count(1, 130.0) == Occurrences(31, 30.0)
    assert not throttle.count(1, 131.0)


def test_the_remaining_occurrences_are_reported_at_the_end_within_the_interval_too() -> None:
    throttle = LogThrottle(30.0)
    throttle.count(1, 100.0)
    throttle.count(2, 101.0)
    assert throttle.remaining(102.5).amount == 2
    assert not throttle.remaining(103.0)


@pytest.mark.parametrize(
    ("occurrences", "text"),
    [
        (Occurrences(1, 0.0), "1 record dropped"),
        (Occurrences(2, 0.3), "2 records dropped"),
        (Occurrences(1800, 30.0), "1,800 records dropped in 30 s"),
    ],
)
def test_occurrences_are_described_in_a_phrase(occurrences: Occurrences, text: str) -> None:
    assert occurrences.describe("record", "dropped") == text
