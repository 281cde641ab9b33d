"""The auditor finds what is wrong: a harness that cannot fail proves nothing."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from tests.chaos import event
from tests.chaos.audit import Audit, Findings, Promise, lines
from tests.chaos.incident import Incident
from tests.chaos.summary import Summary

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
    carried = event.metadata(RUN, producer, number)
    return {"user_key": carried["_id"], "metadata": carried}


def request(
    *items: dict[str, Any],
    key: str | None = "arena-a-0-1",
    time: float = AT,
    status: int | None = 200,
    kind: str = "actions",
) -> bytes:
    """A line of the sink's journal."""
    entry = {"time": time, "kind": kind, "status": status, "idempotency_key": key, "items": items}
    return orjson.dumps(entry) + b"\n"


def audited(
    *requests: bytes,
    noted: int | Promise = 3,
    incidents: Sequence[Incident] = (),
) -> Findings:
    promise = noted if isinstance(noted, Promise) else Promise(noted)
    audit = Audit(RUN, {FIRST: promise, SECOND: Promise(0)}, incidents)
    for line in requests:
        audit.take(line)
    return audit.findings()


ALL = request(action(1), action(2), action(3))


def test_all_that_was_noted_arrived() -> None:
    findings = audited(ALL)
    assert (findings.arrived, findings.lost, findings.faults) == (3, 0, [])


def test_an_identity_is_an_event_too() -> None:
    findings = audited(
        request(action(1), action(3)), request(identity(2), key="k2", kind="identities")
    )
    assert (findings.arrived, findings.identities, findings.faults) == (3, 1, [])


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_noted_event_that_never_arrived_is_lost(missing: int) -> None:
    findings = audited(request(*(action(number) for number in {1, 2, 3} - {missing})))
    assert findings.lost == 1
    assert f"from {missing}" in findings.faults[0]


def test_of_a_producer_of_whom_nothing_arrived_all_is_lost() -> None:
    assert audited(noted=1000).lost == 1000


def test_the_one_event_that_its_thread_could_not_note_may_have_arrived() -> None:
    findings = audited(ALL, request(action(4), key="k2"))
    assert (findings.arrived, findings.unnoted, findings.faults) == (4, 1, [])


@pytest.mark.parametrize(
    "stranger",
    [
        action(5),
        action(0),
        action(1, producer=9),
        {**action(1), "metadata": {"_id": "another-7-1"}},
        {**action(1), "metadata": {"_id": 1}},
        {**action(1), "metadata": None},
    ],
)
def test_an_event_that_nobody_emitted_is_a_fault(stranger: dict[str, Any]) -> None:
    (fault,) = audited(ALL, request(stranger, key="k2")).faults
    assert fault.startswith("foreign")


def test_an_event_that_is_not_as_it_was_emitted_is_a_fault() -> None:
    torn = action(3)
    torn["metadata"]["text"] = torn["metadata"]["text"][:-1]
    (fault,) = audited(request(action(1), action(2), torn)).faults
    assert fault.startswith("not as it was emitted")


def test_an_event_in_two_requests_is_an_unexplained_duplicate() -> None:
    findings = audited(ALL, request(action(3), key="k2", time=AT + 2), incidents=[KILL])
    assert (findings.unexplained_duplicates, findings.explained_duplicates) == (1, 0)
    assert "twice, unexplained" in findings.faults[0]


def test_an_event_twice_in_one_request_is_an_unexplained_duplicate() -> None:
    assert audited(request(action(1), action(1), action(2), action(3))).unexplained_duplicates == 1


def test_the_same_request_after_a_kill_is_an_explained_duplicate() -> None:
    again = request(action(1), action(2), action(3), time=AT + 2)
    findings = audited(ALL, again, incidents=[KILL])
    assert (findings.unexplained_duplicates, findings.explained_duplicates) == (0, 3)
    assert findings.repeated_requests == {"worker killed": 1}
    assert findings.faults == []


@pytest.mark.parametrize(
    "incident",
    [
        pytest.param(Incident("later", AT + 3, AT + 3, 1), id="later than both"),
        pytest.param(Incident("earlier", AT - 9, AT - 4, 1), id="earlier than both"),
        pytest.param(Incident("elsewhere", AT + 1, AT + 1, 1, "arena-b"), id="to another client"),
        pytest.param(Incident("mere", AT + 1, AT + 1, 0), id="with no request under way"),
    ],
)
def test_an_incident_explains_only_what_it_can_have_caused(incident: Incident) -> None:
    again = request(action(1), action(2), action(3), time=AT + 2)
    assert audited(ALL, again, incidents=[incident]).unexplained_duplicates == 3


def test_an_incident_explains_no_more_requests_than_were_under_way() -> None:
    again = [request(action(1), action(2), action(3), time=AT + 2 + n) for n in range(3)]
    findings = audited(ALL, *again, incidents=[KILL])
    assert findings.repeated_requests == {"worker killed": 2}
    assert findings.unexplained_duplicates == 3


def test_a_request_that_was_not_answered_explains_the_next_and_only_that() -> None:
    unanswered = request(action(1), action(2), action(3), status=None)
    again = request(action(1), action(2), action(3), time=AT + 0.1)
    assert audited(unanswered, again).repeated_requests == {"ack_lost": 1}
    assert audited(unanswered, again, again).unexplained_duplicates == 3


def test_a_key_with_another_content_is_a_fault() -> None:
    findings = audited(request(action(1), action(2)), request(action(3), time=AT + 2))
    assert findings.faults == ["two requests with the key arena-a-0-1: " + _about(AT + 2)]


def test_a_request_without_a_key_is_a_fault() -> None:
    (fault,) = audited(request(action(1), action(2), action(3), key=None)).faults
    assert fault.startswith("a request without Idempotency-Key")


def test_what_was_called_settled_must_have_arrived_by_then() -> None:
    (fault,) = audited(ALL, noted=Promise(3, settled=1, settled_at=AT - 1)).faults
    assert fault.startswith("called settled 1.000 s before it arrived")
    assert audited(ALL, noted=Promise(3, settled=3, settled_at=AT + 1)).faults == []


def test_what_the_sink_could_not_finish_writing_counts_for_nothing(tmp_path: Any) -> None:
    journals = [tmp_path / "1", tmp_path / "2"]
    journals[0].write_bytes(ALL + ALL[:-1])
    journals[1].write_bytes(ALL)
    assert list(lines(journals)) == [ALL, ALL]


GOOD: dict[str, Any] = {"seed": 1, "seconds": 60.0, "accepted": 1000}


def test_a_run_in_which_all_is_well_has_passed() -> None:
    summary = Summary(**GOOD, leaks={"frames": 0})
    assert summary.passed
    assert str(summary).endswith("passed")
    assert summary.as_json()["verdict"] == "passed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1},
        {"hung": 1},
        {"unexplained_duplicates": 1},
        {"leaks": {"frames": 0, "descriptors": 1}},
        {"leaks": {"processes": -1}},
        {"faults": ["something"]},
        {"accepted": 0},
    ],
)
def test_a_run_in_which_anything_is_wrong_has_failed(wrong: dict[str, Any]) -> None:
    summary = Summary(**{**GOOD, **wrong})
    assert not summary.passed
    assert str(summary).endswith("FAILED")
    assert summary.as_json()["verdict"] == "failed"


def _about(time: float) -> str:
    return f"at {time:.3f} with the key arena-a-0-1"
