"""A size that was too large is remembered until the platform accepts it."""

from dataart_mp.worker.limit import Limit


def test_every_size_is_allowed_until_one_was_refused() -> None:
    assert Limit().allows(1 << 40)


def test_the_smallest_refused_size_is_remembered() -> None:
    limit = Limit()
    for size in (500, 1000, 700):
        limit.refused(size)
    assert [limit.allows(size) for size in (499, 500, 501)] == [True, False, False]


def test_a_size_that_is_accepted_removes_the_limit() -> None:
    limit = Limit()
    limit.refused(500)
    limit.delivered(499)
    assert not limit.allows(500)
    limit.delivered(500)
    assert limit.allows(1000)


def test_a_batch_is_made_at_most_half_as_large_as_a_refused_one() -> None:
    limit = Limit()
    assert limit.at_most(1000) == 1000
    limit.refused(1001)
    assert limit.at_most(1000) == 500
    assert limit.at_most(100) == 100
    limit.delivered(1001)
    assert limit.at_most(1000) == 1000
