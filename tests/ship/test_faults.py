"""Whatever fails, and however often parts are shipped again, each event is counted once."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dataart_mp import NotDeliveredError
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.ship import Report, ShipSettings, ship_iter
from tests.ship.visits import Configure, visits

pytest.importorskip("pyarrow")

PARTS, ROWS = 3, 1000
MOST_FAILED_ATTEMPTS = 3


def refusals(choose: random.Random) -> list[dict[str, Any]]:
    """Return what the platform refuses at every attempt."""
    event = choose.randrange(PARTS * ROWS)
    rules: list[dict[str, Any]] = [
        {"kind": "refuse_bytes", "over": choose.choice([4000, 9000, 20_000])},
        {"kind": "refuse", "match": {"metadata": {"_id": event}}},
    ]
    return choose.sample(rules, choose.randrange(3))


def failures(choose: random.Random, seed: int) -> list[dict[str, Any]]:
    """Return what fails for a while."""
    rate = {"rate": choose.random() * 0.4, "seed": seed}
    rules: list[dict[str, Any]] = [
        {"kind": "ack_lost", **rate},
        {"kind": "disconnect", "reset": True, **rate},
        {"kind": "status", "status": 503, **rate},
        {"kind": "status", "status": 429, "retry_after": 0, **rate},
    ]
    return choose.sample(rules, choose.randrange(1, 5))


@pytest.mark.parametrize("seed", range(6))
def test_each_event_is_counted_once_whatever_fails(
    settings: Configure, platform: SinkProcess, seed: int
) -> None:
    choose = random.Random(seed)
    refused, failing = refusals(choose), failures(choose, seed)
    platform.set_faults(*refused, *failing)
    job: ShipSettings = settings(
        {"flush_num_retries": choose.choice([1, 3, 8]), "flush_backoff_ratio": 0.005},
        batch_size=choose.choice([37, 100, 400]),
        in_flight=choose.choice([1, 4, 9]),
    )

    def ship(part: int) -> list[Report]:
        """Ship a part until it succeeds; return the reports of all attempts."""
        table = visits(ROWS, first=part * ROWS)
        reports: list[Report] = []
        while True:
            batches = table.to_batches(max_chunksize=choose.choice([13, 500, 2000]))
            try:
                return [*reports, ship_iter(batches, job, str(part), len(reports))]
            except NotDeliveredError as error:
                reports.append(error.report)
            if len(reports) == MOST_FAILED_ATTEMPTS:
                platform.set_faults(*refused)

    with ThreadPoolExecutor(PARTS) as pool:
        attempts = list(pool.map(ship, range(PARTS)))
    total = sum((reports[-1] for reports in attempts), Report())
    everything = sum((report for reports in attempts for report in reports), Report())
    stats = platform.stats()
    assert total.rows == total.delivered + total.rejected == PARTS * ROWS
    assert len(platform.ids()) == stats["distinct_actions"] == total.delivered
    assert total.rejected <= 1
    assert (stats["unexplained_duplicates"], stats["reused_keys"]) == (0, 0)
    assert stats["repeated_requests"] <= everything.may_repeat
    assert stats["requests"] <= everything.requests
    for reports in attempts:
        for report in reports:
            settled = report.delivered + report.rejected + report.failed
            assert report.rows == settled
