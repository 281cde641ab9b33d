"""The audit finds flights that are missing, duplicated, unknown, or counted differently."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dataart_mp.cli.demo.audit import Audit
from dataart_mp.cli.demo.manifest import Manifest
from dataart_mp.cli.nycflights.archive import ArchiveError
from dataart_mp.stats import Stats
from dataart_mp.table.event import Action

KEYS = {1: "departure", 2: "cancelled", 3: "departure"}


def flights() -> Iterator[Action]:
    return (Action(key, "u", metadata={"row": row}) for row, key in KEYS.items())


def audit_of(
    arrivals: dict[Any, int], *, explained: int = 0, stats: Stats | None = None, **counted: Any
) -> Audit:
    """Make an audit of these arrivals by row; `counted` replaces correct counts of the sink."""
    manifest = Manifest()
    assert len(list(manifest.record(flights()))) == len(KEYS)
    by_key = Counter(
        KEYS[row] for row, count in arrivals.items() if row in KEYS for _ in range(count)
    )
    # Not a SinkStats: the audit reads only these of its many fields.
    sums: Any = {
        "actions": sum(arrivals.values()),
        "distinct_actions": len(arrivals),
        "explained_duplicates": explained,
        "unexplained_duplicates": sum(arrivals.values()) - len(arrivals) - explained,
        "by_key": dict(by_key),
    }
    return Audit(
        manifest=manifest,
        stats=stats or Stats(accepted=3, delivered=3),
        sink=sums | counted,
        arrivals=arrivals,
    )


def test_flights_that_all_arrive_once_pass() -> None:
    assert audit_of({1: 1, 2: 1, 3: 1}).faults == []


def test_an_explained_duplicate_passes() -> None:
    audit = audit_of({1: 1, 2: 2, 3: 1}, explained=1)

    assert audit.faults == []
    assert audit.duplicates == 1


def test_a_missing_flight_is_named() -> None:
    audit = audit_of({1: 1, 3: 1})

    assert audit.faults == ["flights missing: 1 (row 2)"]
    assert audit.distinct_by_key == {"departure": 2}


def test_an_unexplained_duplicate_is_a_fault() -> None:
    assert audit_of({1: 3, 2: 1, 3: 1}).faults == ["unexplained duplicates: 2"]


def test_a_flight_that_was_not_sent_is_a_fault() -> None:
    audit = audit_of({1: 1, 2: 1, 3: 1, 4: 1})

    assert "flights arrived but not sent: 1 (row 4)" in audit.faults


def test_a_flight_that_arrived_under_another_key_is_a_fault() -> None:
    audit = audit_of({1: 1, 2: 1, 3: 1}, by_key={"departure": 3})

    assert audit.faults == [
        "the sink counted {'departure': 3} by key, not {'departure': 2, 'cancelled': 1}"
    ]


def test_changed_content_is_a_fault_even_if_each_row_arrives_once() -> None:
    audit = audit_of({1: 1, 2: 1, 3: 1}, distinct_actions=4)

    assert audit.faults == ["the sink counted 4 different events, but 3 different rows"]


@pytest.mark.parametrize(
    ("stats", "fault"),
    [
        (Stats(accepted=3, delivered=2, failed=1), "the client did not deliver all flights"),
        (Stats(accepted=3, delivered=2), "the client's counts do not balance"),
        (Stats(accepted=2, delivered=2), "the client accepted 2 of 3 flights"),
    ],
)
def test_wrong_counts_of_the_client_are_a_fault(stats: Stats, fault: str) -> None:
    (first, *_) = audit_of({1: 1, 2: 1, 3: 1}, stats=stats).faults

    assert first.startswith(fault)


@pytest.mark.parametrize("metadata", [None, {}, {"row": "1"}, {"row": 1}])
def test_a_flight_without_a_unique_row_number_is_refused(metadata: Any) -> None:
    manifest = Manifest()
    flights = [Action("k", "u", metadata={"row": 1}), Action("k", "u", metadata=metadata)]

    with pytest.raises(ArchiveError, match="is not a unique row number"):
        list(manifest.record(flights))
