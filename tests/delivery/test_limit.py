"""What was too large is remembered until the platform accepts it, or for a thousand deliveries."""

from dataart_mp.delivery.limit import FORGET_AFTER, Limit, SplitBatch


def test_every_batch_is_allowed_until_one_was_too_large() -> None:
    assert Limit().allows(1 << 40, 1 << 20)


def test_the_smallest_batch_that_was_too_large_is_remembered() -> None:
    limit = Limit()
    for size in (500, 1000, 700):
        limit.too_large(size)
    assert [limit.allows(size, 1) for size in (499, 500, 501)] == [True, False, False]
    limit = Limit()
    for count in (50, 100, 70):
        limit.too_many(count)
    assert [limit.allows(1, count) for count in (49, 50, 51)] == [True, False, False]


def test_a_size_that_is_accepted_removes_the_limit() -> None:
    limit = Limit()
    limit.too_large(500)
    limit.delivered(499, 1000)
    assert not limit.allows(500, 1)
    limit.delivered(500, 1)
    assert limit.allows(1000, 1)


def test_a_count_that_is_accepted_removes_the_limit() -> None:
    limit = Limit()
    limit.too_many(50)
    limit.delivered(1000, 49)
    assert not limit.allows(1, 50)
    limit.delivered(1, 50)
    assert limit.allows(1, 100)


def test_a_batch_is_made_at_most_half_as_large_as_one_that_was_too_large() -> None:
    limit = Limit()
    assert (limit.at_most(1000), limit.at_most_records(1000)) == (1000, 1000)
    limit.too_large(1001)
    limit.too_many(101)
    assert (limit.at_most(1000), limit.at_most_records(1000)) == (500, 50)
    assert (limit.at_most(100), limit.at_most_records(10)) == (100, 10)
    limit.delivered(1001, 101)
    assert (limit.at_most(1000), limit.at_most_records(1000)) == (1000, 1000)


def test_a_limit_is_forgotten_after_many_deliveries_because_it_may_have_been_raised() -> None:
    limit = Limit()
    limit.too_large(500)
    limit.too_many(50)
    for _ in range(FORGET_AFTER - 1):
        limit.delivered(499, 49)
    assert not limit.allows(499, 50)
    limit.delivered(499, 49)
    assert limit.allows(500, 50)
    limit.too_many(50)
    limit.delivered(499, 49)
    assert not limit.allows(499, 50), "the next one is remembered as long"


# Batches that were split


def test_a_batch_all_of_whose_parts_are_accepted_had_too_many_records() -> None:
    batch = SplitBatch()
    batch.split(end=80, count=8)
    assert batch.delivered(40) is None
    assert batch.delivered(80) == 8
    assert batch.delivered(80) is None, "it is found out once"


def test_the_smallest_part_that_was_split_had_too_many_records() -> None:
    batch = SplitBatch()
    batch.split(80, 8)
    batch.split(40, 4)
    batch.split(20, 2)
    assert [batch.delivered(end) for end in (10, 20, 40, 80)] == [None, None, None, 2]


def test_a_batch_with_a_bad_record_says_nothing_about_the_size() -> None:
    batch = SplitBatch()
    batch.split(80, 8)
    batch.split(40, 4)
    batch.rejected()
    batch.split(80, 4)
    assert [batch.delivered(end) for end in (20, 40, 80)] == [None, None, None]


def test_the_next_batch_of_the_frame_is_judged_separately() -> None:
    batch = SplitBatch()
    batch.split(80, 8)
    batch.rejected()
    assert batch.delivered(80) is None
    batch.split(160, 6)
    assert batch.delivered(160) == 6


def test_a_batch_that_was_not_split_says_nothing() -> None:
    assert SplitBatch().delivered(80) is None
