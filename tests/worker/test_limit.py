"""A size that was too large is known, until the platform takes it."""

from dataart_mp.worker.limit import Limit


def test_nothing_is_too_large_before_the_platform_has_said_so() -> None:
    assert Limit().allows(1 << 40)


def test_the_smallest_that_was_refused_is_remembered() -> None:
    limit = Limit()
    for size in (500, 1000, 700):
        limit.refused(size)
    assert [limit.allows(size) for size in (499, 500, 501)] == [True, False, False]


def test_what_is_taken_after_all_was_not_too_large() -> None:
    limit = Limit()
    limit.refused(500)
    limit.delivered(499)
    assert not limit.allows(500)
    limit.delivered(500)
    assert limit.allows(1000)


def test_a_batch_is_made_at_most_half_as_large_as_what_was_refused() -> None:
    limit = Limit()
    assert limit.at_most(1000) == 1000
    limit.refused(1001)
    assert limit.at_most(1000) == 500
    assert limit.at_most(100) == 100
    limit.delivered(1001)
    assert limit.at_most(1000) == 1000
