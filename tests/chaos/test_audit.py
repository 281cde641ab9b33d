"""The audit finds what is wrong: a harness that cannot fail proves nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.chaos import event
from tests.chaos.audit import Audit, Findings, Promise, lines
from tests.chaos.incident import Incident

RUN = "run"
FIRST, SECOND = 7, 8
AT = 1_000.0
KILL = Incident("worker killed", AT + 1, AT + 1, 2, "arena-a")


def action(number: int, producer: int = FIRST) -> dict[str, Any]:
    return {
        "key": event.KEY,
        "user_key": f"user {producer}",
        "metadata": event.metadata(RUN, producer, number),
    }


def identity(number: int, producer: int = FIRST) -> dict[str, Any]:
    metadata = event.metadata(RUN, producer, number)
    return {"user_key": metadata["_id"], "metadata": metadata}


def request(
    *items: dict[str, Any],
    key: str | None = "arena-a-0-1",
    time: float = AT,
    status: int | None = 200,
    kind: str = "actions",
) -> bytes:
    """Return a line of the sink's journal."""
    entry = {"time": time, "kind": kind, "status": status, "idempotency_key": key, "items": items}
    return orjson.dumps(entry) + b"\n"


def audited(
    *requests: bytes,
    promised: int | Promise = 3,
    incidents: Sequence[Incident] = (),
) -> Findings:
    promise = promised if isinstance(promised, Promise) else Promise(promised)
    audit = Audit(RUN, {FIRST: promise, SECOND: Promise(0)}, incidents)
    for line in requests:
        audit.take(line)
    return audit.findings()


ALL = request(action(1), action(2), action(3))


def test_no_problem_is_found_when_all_confirmed_events_arrived() -> None:
    findings = audited(ALL)
    assert (findings.arrived, findings.lost, findings.problems) == (3, 0, [])


def test_identities_are_audited_like_actions() -> None:
    findings = audited(
        request(action(1), action(3)), request(identity(2), key="k2", kind="identities")
    )
    assert (findings.arrived, findings.identities, findings.problems) == (3, 1, [])


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_confirmed_event_that_never_arrived_is_lost(missing: int) -> None:
    findings = audited(request(*(action(number) for number in {1, 2, 3} - {missing})))
    assert findings.lost == 1
    assert f"from {missing}" in findings.problems[0]


def test_all_events_of_a_producer_are_lost_if_none_arrived() -> None:
    assert audited(promised=1000).lost == 1000


def test_the_one_event_that_its_thread_could_not_confirm_may_have_arrived() -> None:
    findings = audited(ALL, request(action(4), key="k2"))
    assert (findings.arrived, findings.unconfirmed, findings.problems) == (4, 1, [])


@pytest.mark.parametrize(
    "foreign",
    [
        action(5),
        action(0),
        action(1, producer=9),
        {**action(1), "metadata": {"_id": "another-7-1"}},
        {**action(1), "metadata": {"_id": 1}},
        {**action(1), "metadata": None},
    ],
)
def test_an_event_that_no_producer_emitted_is_a_problem(foreign: dict[str, Any]) -> None:
    (problem,) = audited(ALL, request(foreign, key="k2")).problems
    assert problem.startswith("foreign")


def test_an_event_that_differs_from_the_emitted_one_is_a_problem() -> None:
    torn = action(3)
    torn["metadata"]["text"] = torn["metadata"]["text"][:-1]
    (problem,) = audited(request(action(1), action(2), torn)).problems
    assert problem.startswith("differs from the emitted event")


def test_an_event_in_two_requests_is_an_unexplained_duplicate() -> None:
    findings = audited(ALL, request(action(3), key="k2", time=AT + 2), incidents=[KILL])
    assert (findings.unexplained_duplicates, findings.explained_duplicates) == (1, 0)
    assert "unexplained duplicate" in findings.problems[0]


PARTS = [
    request(action(1), key="arena-a-0-1+0-70", time=AT + 2),
    request(action(2), action(3), key="arena-a-0-1+70-210", time=AT + 2),
]


def test_one_incident_explains_all_parts_of_a_request_that_arrived_whole_before() -> None:
    findings = audited(ALL, *PARTS, incidents=[replace(KILL, requests=1)])
    assert (findings.unexplained_duplicates, findings.explained_duplicates) == (0, 3)
    assert findings.repeated_requests == {"worker killed": 1}
    assert findings.problems == []


def test_parts_of_a_request_that_arrived_whole_are_duplicates_without_an_incident() -> None:
    assert audited(ALL, *PARTS).unexplained_duplicates == 3


def test_parts_explain_no_duplicate_of_another_request() -> None:
    other = request(action(1), action(2), action(3), key="arena-a-0-2+0-210", time=AT + 2)
    assert audited(ALL, other, incidents=[KILL]).unexplained_duplicates == 3


def test_parts_of_a_request_that_was_not_accepted_use_up_no_incident() -> None:
    refused = request(status=413)
    again = request(action(1), key="arena-a-0-1+0-70", time=AT + 3)
    one_kill = [replace(KILL, requests=1)]
    assert audited(refused, *PARTS, again, incidents=one_kill).unexplained_duplicates == 0


def test_an_event_repeated_in_one_request_is_an_unexplained_duplicate() -> None:
    assert audited(request(action(1), action(1), action(2), action(3))).unexplained_duplicates == 1


def test_a_request_repeated_after_a_kill_is_an_explained_duplicate() -> None:
    repeated = request(action(1), action(2), action(3), time=AT + 2)
    findings = audited(ALL, repeated, incidents=[KILL])
    assert (findings.unexplained_duplicates, findings.explained_duplicates) == (0, 3)
    assert findings.repeated_requests == {"worker killed": 1}
    assert findings.problems == []


@pytest.mark.parametrize(
    "incident",
    [
        pytest.param(Incident("later", AT + 3, AT + 3, 1), id="later than both"),
        pytest.param(Incident("earlier", AT - 9, AT - 4, 1), id="earlier than both"),
        pytest.param(Incident("other", AT + 1, AT + 1, 1, "arena-b"), id="of another client"),
        pytest.param(Incident("idle", AT + 1, AT + 1, 0), id="with no request in flight"),
    ],
)
def test_an_incident_explains_only_what_it_can_have_caused(incident: Incident) -> None:
    repeated = request(action(1), action(2), action(3), time=AT + 2)
    assert audited(ALL, repeated, incidents=[incident]).unexplained_duplicates == 3


def test_an_incident_explains_no_more_requests_than_were_in_flight() -> None:
    repeated = [request(action(1), action(2), action(3), time=AT + 2 + n) for n in range(3)]
    findings = audited(ALL, *repeated, incidents=[KILL])
    assert findings.repeated_requests == {"worker killed": 2}
    assert findings.unexplained_duplicates == 3


def test_an_unanswered_request_explains_only_its_next_repetition() -> None:
    unanswered = request(action(1), action(2), action(3), status=None)
    repeated = request(action(1), action(2), action(3), time=AT + 0.1)
    assert audited(unanswered, repeated).repeated_requests == {"ack_lost": 1}
    assert audited(unanswered, repeated, repeated).unexplained_duplicates == 3


def test_a_reused_key_is_a_problem() -> None:
    findings = audited(request(action(1), action(2)), request(action(3), time=AT + 2))
    assert findings.problems == ["two requests with the key arena-a-0-1: " + _about(AT + 2)]


def test_a_request_without_a_key_is_a_problem() -> None:
    (problem,) = audited(request(action(1), action(2), action(3), key=None)).problems
    assert problem.startswith("a request without Idempotency-Key")


def test_an_event_must_arrive_before_it_is_reported_as_settled() -> None:
    (problem,) = audited(ALL, promised=Promise(3, settled=1, settled_at=AT - 1)).problems
    assert problem.startswith("reported as settled 1.000 s before it arrived")
    assert audited(ALL, promised=Promise(3, settled=3, settled_at=AT + 1)).problems == []


def test_a_torn_line_of_a_journal_is_ignored(tmp_path: Any) -> None:
    journals = [tmp_path / "1", tmp_path / "2"]
    journals[0].write_bytes(ALL + ALL[:-1])
    journals[1].write_bytes(ALL)
    assert list(lines(journals)) == [ALL, ALL]


def _about(time: float) -> str:
    return f"at {time:.3f} with the key arena-a-0-1"
