"""`Stats` shows whether every accepted record is accounted for."""

import dataclasses
import pickle

import pytest

from dataart_mp.stats import Stats

EVERY_COLUMN = Stats(
    accepted=21,
    delivered=1,
    pending=2,
    dropped={"buffer full": 3, "no worker": 4},
    rejected=5,
    failed=6,
    retries=70,
    requests=80,
    bytes=90,
)


def test_empty_stats_are_balanced() -> None:
    assert Stats().balanced


def test_every_column_counts_once_in_the_balance() -> None:
    assert EVERY_COLUMN.balanced


@pytest.mark.parametrize("column", ["accepted", "delivered", "pending", "rejected", "failed"])
def test_an_extra_record_in_any_column_unbalances(column: str) -> None:
    change = {column: getattr(EVERY_COLUMN, column) + 1}
    assert not dataclasses.replace(EVERY_COLUMN, **change).balanced


def test_an_extra_dropped_record_unbalances() -> None:
    assert not dataclasses.replace(EVERY_COLUMN, dropped={"buffer full": 8}).balanced


def test_total_dropped_is_the_sum_over_all_reasons() -> None:
    assert EVERY_COLUMN.total_dropped == 7


def test_the_balance_is_an_equation_without_zero_columns() -> None:
    stats = Stats(accepted=120, delivered=100, pending=20, requests=7, retries=1, bytes=12345)
    equation = "accepted 120 = delivered 100 + pending 20"
    assert str(stats) == f"{equation} | requests 7, retries 1, bytes 12345"


def test_a_busy_platform_is_shown_with_the_requests_that_may_be_in_flight() -> None:
    stats = Stats(accepted=1, pending=1, requests=7, throttled=2, concurrency=5)
    assert str(stats).endswith("retries 0, bytes 0 | throttled 2, concurrency 5")


def test_the_equation_names_every_loss() -> None:
    assert str(EVERY_COLUMN).partition(" | ")[0] == (
        "accepted 21 = delivered 1 + pending 2 + dropped (buffer full) 3 + dropped (no worker) 4"
        " + rejected 5 + failed 6"
    )


def test_unbalanced_stats_show_an_inequality() -> None:
    assert str(Stats(accepted=2, delivered=1)).startswith("accepted 2 ≠ delivered 1 |")


def test_stats_are_frozen_and_survive_pickling() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EVERY_COLUMN.accepted = 0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(EVERY_COLUMN)) == EVERY_COLUMN
