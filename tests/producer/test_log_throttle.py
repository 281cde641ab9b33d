"""A flood is told in a few lines, and no happening in it is left out."""

import pytest

from dataart_mp.producer.tally import Count, Tally


def test_the_first_is_told_at_once_and_the_next_ones_together() -> None:
    tally = Tally(30.0)
    assert tally.add(1, 100.0) == Count(1, 0.0)
    assert not any(tally.add(10, now) for now in (100.1, 115.0, 129.9))
    assert tally.add(1, 130.0) == Count(31, 30.0)
    assert not tally.add(1, 131.0)


def test_the_rest_is_told_at_the_end_whenever_that_is() -> None:
    tally = Tally(30.0)
    tally.add(1, 100.0)
    tally.add(2, 101.0)
    assert tally.rest(102.5).amount == 2
    assert not tally.rest(103.0)


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
