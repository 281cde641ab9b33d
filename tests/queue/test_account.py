"""The words of an account: what each one holds, and what changes together."""

from collections.abc import Callable

import pytest

from dataart_mp.queue.account import (
    ACTIONS,
    IDENTITY,
    MAX_CAPACITY,
    MAX_RECORDS,
    WORD_MASK,
    WORDS,
    Account,
    Evicted,
    Progress,
)
from dataart_mp.queue.process import Process

# As the table in the docstring of the module lists them. Files of the spool contain them, so a
# change needs another layout version.
PLACES = {
    "generation": 0,
    "count": 1,
    "length": 2,
    "kind": 3,
    "batch_end": 5,
    "attempts": 6,
    "sent": 7,
    "since": 8,
    "due": 9,
    "not_before": 10,
    "taken": 11,
    "origin": 12,
    "parking": 13,
    "joining": 14,
    "followers": 15,
    "joined_length": 21,
    "leader": 22,
    "leader_generation": 23,
    "postponed": 29,
}
NOTHING = Evicted(0, 0)
NOBODY = memoryview(bytes(16)).cast("Q")


@pytest.fixture
def words() -> memoryview:
    """The words of three accounts, all different; the tests use the second account."""
    words = memoryview(bytearray(3 * WORDS * 8)).cast("Q")
    for number in range(len(words)):
        words[number] = 1000 + number
    return words


@pytest.fixture
def account(words: memoryview) -> Account:
    return Account(words, WORDS)


@pytest.fixture
def fresh() -> Account:
    """The account of a frame that was never used, the second of three."""
    return Account(memoryview(bytearray(3 * WORDS * 8)).cast("Q"), WORDS)


def changes(words: memoryview, change: Callable[[], object]) -> dict[int, int]:
    """Return the words that a call changes in the second account, and check the others."""
    before = words.tolist()
    change()
    after = words.tolist()
    assert after[:WORDS] == before[:WORDS], "another account"
    assert after[2 * WORDS :] == before[2 * WORDS :], "another account"
    return {
        number: after[WORDS + number]
        for number in range(WORDS)
        if after[WORDS + number] != before[WORDS + number]
    }


def store_closing(account: Account, totals: list[int]) -> None:
    for number, total in enumerate(totals):
        account.words[account.first + 24 + number] = total


@pytest.mark.parametrize(("name", "place"), PLACES.items())
def test_each_name_is_one_word(words: memoryview, account: Account, name: str, place: int) -> None:
    assert getattr(account, name) == words[WORDS + place]
    assert changes(words, lambda: setattr(account, name, 7)) == {place: 7}
    assert getattr(account, name) == 7


def test_an_account_has_32_words() -> None:
    assert WORDS == 32
    assert sorted([*PLACES.values(), 4, *range(16, 21), *range(24, 29), 30, 31]) == [*range(32)]
    assert (ACTIONS, IDENTITY) == (0, 1)


# Progress


@pytest.mark.parametrize(
    ("progress", "word"),
    [
        (Progress(0, 0, 0), 0),
        (Progress(1, 0, 0), 1 << 40),
        (Progress(0, 1, 0), 1 << 20),
        (Progress(0, 0, 1), 1),
        (Progress(MAX_CAPACITY, MAX_RECORDS, MAX_RECORDS), WORD_MASK),
        (Progress(5, MAX_RECORDS, 3), 5 << 40 | MAX_RECORDS << 20 | 3),
    ],
)
def test_progress_is_one_word(
    words: memoryview, account: Account, progress: Progress, word: int
) -> None:
    def store() -> None:
        account.progress = progress

    assert changes(words, store) == {4: word}
    assert account.progress == progress
    assert account.through == progress.through


def test_progress_counts_as_many_records_and_bytes_as_a_frame_may_have() -> None:
    assert MAX_RECORDS == 2**20 - 1
    assert MAX_CAPACITY == 2**24 - 1
    assert WORD_MASK == 2**64 - 1


def test_the_process_is_two_words(words: memoryview, account: Account) -> None:
    assert account.process == Process(*words[WORDS + 30 : 2 * WORDS])

    def store() -> None:
        account.process = Process(5, 6)

    assert changes(words, store) == {30: 5, 31: 6}
    assert account.process == Process(5, 6)


# A frame that can be joined


def test_an_account_of_actions_without_an_attempt_is_untouched(fresh: Account) -> None:
    fresh.open(ACTIONS, NOBODY)
    fresh.seal(3, 30)
    assert fresh.is_untouched


@pytest.mark.parametrize("name", ["batch_end", "kind", "taken", "parking"])
def test_each_of_these_words_shows_that_it_was_touched(fresh: Account, name: str) -> None:
    setattr(fresh, name, 1)
    assert not fresh.is_untouched


@pytest.mark.parametrize("progress", [Progress(1, 0, 0), Progress(0, 1, 0), Progress(0, 0, 1)])
def test_progress_shows_that_it_was_touched(fresh: Account, progress: Progress) -> None:
    fresh.progress = progress
    assert not fresh.is_untouched


@pytest.mark.parametrize(
    "name", ["sent", "since", "attempts", "due", "joining", "origin", "followers"]
)
def test_what_has_no_meaning_without_a_batch_does_not_touch_it(fresh: Account, name: str) -> None:
    setattr(fresh, name, 1)
    assert fresh.is_untouched


# From one filling to the next


def test_opening_begins_a_new_generation_with_the_totals_of_the_last_one(
    words: memoryview, account: Account
) -> None:
    generation, closing = account.generation, account.closing()
    process = memoryview(bytearray(16)).cast("Q")
    process[0], process[1] = 42, 43
    changed = changes(words, lambda: account.open(ACTIONS, process))
    assert changed == {
        0: generation + 1,
        **dict.fromkeys(range(1, 16), 0),
        **dict(zip(range(16, 21), closing, strict=True)),
        30: 42,
        31: 43,
    }
    assert account.opening() == account.closing() == closing


def test_opening_returns_the_generation(fresh: Account) -> None:
    assert [fresh.open(ACTIONS, NOBODY) for _ in range(3)] == [1, 2, 3]
    assert fresh.generation == 3


@pytest.mark.parametrize("kind", [ACTIONS, IDENTITY])
@pytest.mark.parametrize(("taken", "adopted"), [(0, False), (5, False), (5, True)])
def test_opening_stores_the_kind_and_the_origin(
    fresh: Account, kind: int, taken: int, adopted: bool
) -> None:
    fresh.kind, fresh.taken, fresh.origin = 9, 9, 9  # of the filling before
    fresh.open(kind, NOBODY, taken, adopted=adopted)
    assert (fresh.kind, fresh.taken, fresh.adopted) == (kind, taken, adopted)


def test_a_frame_is_filled_by_a_producer_unless_an_origin_is_given(fresh: Account) -> None:
    fresh.open(ACTIONS, NOBODY)
    assert (fresh.taken, fresh.adopted) == (0, 0)
    fresh.open(ACTIONS, NOBODY, 5)
    assert (fresh.taken, fresh.adopted) == (5, 0)


def test_sealing_stores_count_and_length(words: memoryview, account: Account) -> None:
    assert changes(words, lambda: account.seal(3, 45)) == {1: 3, 2: 45}


def test_reopening_forgets_the_content_and_keeps_generation_and_totals(
    words: memoryview, account: Account
) -> None:
    changed = changes(words, lambda: account.reopen(IDENTITY))
    assert changed == {**dict.fromkeys(range(1, 16), 0), 3: IDENTITY}


# Totals: accepted, delivered, rejected, failed, parked


@pytest.mark.parametrize(
    ("progress", "origin", "parked", "evicted", "totals"),
    [
        ((60, 0, 0), (0, False), 0, NOTHING, [6, 6, 0, 0, 0]),
        ((60, 2, 1), (0, False), 0, NOTHING, [6, 3, 2, 1, 0]),
        ((60, 0, 6), (0, False), 0, NOTHING, [6, 0, 0, 6, 0]),
        ((30, 1, 0), (0, False), 3, NOTHING, [6, 2, 1, 0, 3]),
        ((0, 0, 0), (0, False), 6, NOTHING, [6, 0, 0, 0, 6]),
        # To park them, 4 own records and 5 of other clients were evicted.
        ((0, 0, 0), (0, False), 6, Evicted(4, 0), [6, 0, 0, 4, 2]),
        ((0, 0, 0), (0, False), 6, Evicted(0, 5), [11, 0, 0, 5, 6]),
        ((0, 0, 0), (0, False), 6, Evicted(4, 5), [11, 0, 0, 9, 2]),
        # This client parked them before: they were accepted then, and are parked no longer.
        ((60, 0, 0), (8, False), 0, NOTHING, [0, 6, 0, 0, -6]),
        ((60, 1, 2), (8, False), 0, NOTHING, [0, 3, 1, 2, -6]),
        ((0, 0, 0), (8, False), 6, NOTHING, [0, 0, 0, 0, 0]),
        ((30, 0, 0), (8, False), 3, NOTHING, [0, 3, 0, 0, -3]),
        ((0, 0, 0), (8, False), 6, Evicted(4, 5), [5, 0, 0, 9, -4]),
        # Another client parked them: this one accepts them.
        ((60, 0, 0), (8, True), 0, NOTHING, [6, 6, 0, 0, 0]),
        ((0, 0, 0), (8, True), 6, NOTHING, [6, 0, 0, 0, 6]),
        # What was joined to the frame has failed: the followers count it as delivered.
        ((60, 0, 8), (0, False), 0, NOTHING, [6, -2, 0, 8, 0]),
    ],
)
def test_closing_says_what_became_of_the_records(
    fresh: Account,
    progress: tuple[int, int, int],
    origin: tuple[int, bool],
    parked: int,
    evicted: Evicted,
    totals: list[int],
) -> None:
    before = [100, 90, 5, 4, 1]
    store_closing(fresh, before)
    fresh.open(ACTIONS, NOBODY, origin[0], adopted=origin[1])
    fresh.seal(6, 60)
    fresh.progress = Progress(*progress)
    fresh.close(parked, evicted)
    after = [(old + new) & WORD_MASK for old, new in zip(before, totals, strict=True)]
    assert fresh.closing() == after
    assert fresh.opening() == before, "in force until the state SETTLED is stored"


def test_a_total_below_zero_is_stored_modulo_2_to_the_64(fresh: Account) -> None:
    fresh.open(ACTIONS, NOBODY, 8)
    fresh.seal(6, 60)
    fresh.close(0, NOTHING)
    assert fresh.closing() == [0, 6, 0, 0, 2**64 - 6]


def test_closing_writes_the_closing_totals_and_nothing_else(
    words: memoryview, account: Account
) -> None:
    account.taken = 0
    account.progress = Progress(1, 0, 0)
    assert set(changes(words, lambda: account.close(0, NOTHING))) <= {*range(24, 29)}


# When the next attempt is due


@pytest.mark.parametrize(
    ("now", "due", "early"),
    [
        (100, 300, 200),
        (250, 300, 200),
        (99, 99, 99),  # somebody has set the clock back
        (0, 0, 0),
    ],
)
def test_a_waiting_frame_is_due_when_planned_or_when_the_platform_allows_it(
    fresh: Account, now: int, due: int, early: int
) -> None:
    fresh.postponed, fresh.due, fresh.not_before = 100, 300, 200
    assert fresh.due_at(now) == due
    assert fresh.due_at(now, early=False) == due
    assert fresh.due_at(now, early=True) == early


# Damage


@pytest.mark.parametrize(
    ("taken", "origin", "sound"),
    [(0, 0, True), (5, 10, True), (5, 11, True), (5, 5, False), (5, 20, False), (0, 2, False)],
)
def test_both_words_that_name_the_parked_batch_agree(
    fresh: Account, taken: int, origin: int, sound: bool
) -> None:
    fresh.taken, fresh.origin = taken, origin
    assert fresh.is_origin_sound is sound


@pytest.mark.parametrize(("adopted", "origin"), [(False, 10), (True, 11)])
def test_the_second_word_says_whether_another_client_parked_it(
    fresh: Account, adopted: bool, origin: int
) -> None:
    fresh.open(ACTIONS, NOBODY, 5, adopted=adopted)
    assert (fresh.taken, fresh.origin) == (5, origin)
    assert fresh.is_origin_sound
    assert fresh.adopted is adopted


def test_a_frame_that_was_just_opened_is_an_untouched_filling(
    words: memoryview, account: Account
) -> None:
    for kind in (ACTIONS, IDENTITY):
        account.open(kind, NOBODY, 5, adopted=True)
        assert account.is_untouched_filling is True, "whatever the words before and behind hold"
    account.kind = IDENTITY + 1
    assert account.is_untouched_filling is False


@pytest.mark.parametrize("place", [1, 2, *range(4, 11), 13, 14, 15])
def test_each_word_that_is_set_later_shows_that_it_was_touched(fresh: Account, place: int) -> None:
    fresh.open(ACTIONS, NOBODY, 5)
    fresh.words[fresh.first + place] = 1
    assert fresh.is_untouched_filling is False


def test_setting_the_totals_writes_both_groups_and_nothing_else(
    words: memoryview, account: Account
) -> None:
    opening, closing = [1, 2, 3, 4, -5], [6, 7, 8, 9, 10]
    changed = changes(words, lambda: account.set_totals(opening, closing))
    stored = [1, 2, 3, 4, 2**64 - 5]
    assert changed == dict(zip([*range(16, 21), *range(24, 29)], [*stored, *closing], strict=True))
    assert (account.opening(), account.closing()) == (stored, closing)


def test_restarting_the_times_lets_everything_begin_now(
    words: memoryview, account: Account
) -> None:
    changed = changes(words, lambda: account.restart_times(7))
    assert changed == {8: 7, 9: 7, 10: 7, 22: 7, 29: 7}


def test_restarting_the_times_begins_no_attempt_where_none_was_made(
    words: memoryview, account: Account
) -> None:
    account.since = 0
    changed = changes(words, lambda: account.restart_times(7))
    assert changed == {9: 7, 10: 7, 22: 7, 29: 7}
