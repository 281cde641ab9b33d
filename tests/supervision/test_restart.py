"""The restart policy: numbers without a clock."""

import pytest

from dataart_mp.supervision.restart import RestartPolicy


def test_the_delay_doubles_with_each_failed_start_up_to_half_a_minute() -> None:
    policy = RestartPolicy()
    delays = [policy.after_failed_start() for _ in range(30)]
    assert delays[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert delays == sorted(delays)
    assert delays[-1] == 30.0


def test_a_worker_that_dies_young_counts_as_a_failed_start() -> None:
    policy = RestartPolicy()
    assert policy.after_death(lived=9.9) == pytest.approx(0.1)
    assert policy.after_death(lived=9.9) == pytest.approx(0.2)


def test_a_worker_that_lived_long_ends_the_delays() -> None:
    policy = RestartPolicy()
    policy.after_failed_start()
    policy.after_failed_start()
    assert policy.after_death(lived=10.0) == 0.0
    assert policy.after_failed_start() == pytest.approx(0.1)


def test_silent_deaths_may_be_kills_for_three_rounds() -> None:
    policy = RestartPolicy()
    answers = [policy.may_be_killed(started=now, now=now + 1) for now in (0, 10, 20, 30)]
    assert answers == [True, True, True, False]


def test_silent_deaths_of_one_round_count_once() -> None:
    policy = RestartPolicy()
    answers = [policy.may_be_killed(started=0, now=now) for now in (1, 2, 3, 4, 5)]
    assert answers == [True] * 5


def test_a_worker_that_was_started_at_the_moment_of_a_silent_death_belongs_to_the_next_round() -> (
    None
):
    policy = RestartPolicy()
    answers = [policy.may_be_killed(started=now, now=now + 10) for now in (0, 10, 20, 30)]
    assert answers == [True, True, True, False]


def test_a_worker_that_was_started_before_the_clock_began_belongs_to_the_first_round() -> None:
    policy = RestartPolicy()
    answers = [policy.may_be_killed(started=now, now=now + 1) for now in (-50, -40, -30, -20)]
    assert answers == [True, True, True, False]


def test_a_worker_that_becomes_ready_restarts_the_count_of_silent_deaths() -> None:
    policy = RestartPolicy()
    for now in (0, 10, 20):
        policy.may_be_killed(started=now, now=now + 1)
    policy.after_ready()
    answers = [policy.may_be_killed(started=now, now=now + 1) for now in (30, 40, 50, 60)]
    assert answers == [True, True, True, False]


def test_reset_forgets_all_failures() -> None:
    policy = RestartPolicy()
    for now in (0, 10, 20):
        policy.may_be_killed(started=now, now=now + 1)
        policy.after_failed_start()
    policy.reset()
    answers = [policy.may_be_killed(started=now, now=now + 1) for now in (30, 40, 50, 60)]
    assert answers == [True, True, True, False]
    assert policy.after_failed_start() == pytest.approx(0.1)
