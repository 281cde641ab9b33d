"""The verdict on a client follows from its stats by rules that are documented."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp import Health, Stats
from dataart_mp.health import assess

SINCE = datetime(2026, 11, 28, 14, 2, 11, tzinfo=UTC)
OPEN: dict[str, Any] = {"circuit": "open", "circuit_since": SINCE, "failing_since": SINCE}


def test_a_client_with_nothing_wrong_is_ok() -> None:
    stats = Stats(
        pending=10, oldest_pending_seconds=60.0, workers=1, frames_in_use=80, frames_free=20
    )
    assert assess(stats) == Health("ok")
    assert assess(stats).is_ok
    assert str(assess(stats)) == "ok"
    assert assess(Stats()).is_ok


@pytest.mark.parametrize(
    ("stats", "verdict"),
    [
        (
            Stats(**OPEN, last_error="status 503, 'down'"),
            "failing: the platform accepts nothing since 2026-11-28 14:02:11 UTC "
            "(status 503, 'down')",
        ),
        (
            Stats(pending=2, oldest_pending_seconds=10.0),
            "failing: no worker process is alive, and 2 records are pending",
        ),
        (
            Stats(pending=1, oldest_pending_seconds=10.0, parked=5, **OPEN),
            "failing: the platform accepts nothing since 2026-11-28 14:02:11 UTC; "
            "no worker process is alive, and 1 record is pending",
        ),
        (
            Stats(failing_since=SINCE, last_error="no response", workers=1),
            "degraded: requests fail since 2026-11-28 14:02:11 UTC (no response)",
        ),
        (Stats(frames_in_use=81, frames_free=19), "degraded: 81 of 100 frames are in use"),
        (Stats(parked=1), "degraded: 1 record is parked"),
        (
            Stats(pending=1, workers=1, oldest_pending_seconds=1_061.4, parked=2_000),
            "degraded: 2,000 records are parked; the oldest record has been pending for 1,061 s",
        ),
    ],
)
def test_each_problem_has_a_verdict_and_a_reason(stats: Stats, verdict: str) -> None:
    health = assess(stats)
    assert str(health) == verdict
    assert not health.is_ok
    assert health.reason in verdict


def test_a_worker_that_is_just_starting_does_not_make_it_fail() -> None:
    assert assess(Stats(pending=1, oldest_pending_seconds=9.9)).is_ok


def test_how_long_a_record_may_be_pending_can_be_chosen() -> None:
    stats = Stats(pending=1, workers=1, oldest_pending_seconds=60.1)
    assert assess(stats).status == "degraded"
    assert assess(stats, slow_seconds=61.0).is_ok


def test_an_old_error_does_not_matter_by_itself() -> None:
    assert assess(Stats(last_error="status 503", last_error_at=SINCE)).is_ok
