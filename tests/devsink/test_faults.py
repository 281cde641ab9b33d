"""The sink injects the faults of its rules, and counts only items that it accepted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from dataart_mp.devsink import SinkError
from tests.devsink.poster import ACTIONS, IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from dataart_mp.devsink import SinkProcess, SinkStats


def statuses(poster: Poster, count: int) -> list[int]:
    return [poster.post(actions(action())).status for _ in range(count)]


def stats_after_client_timeout(sink: SinkProcess) -> SinkStats:
    """Post an action with a client that times out; return the stats when the request has ended."""
    client = urllib3.PoolManager(retries=False, timeout=0.2)
    headers = {"X-API-Key": "key", "Content-Type": "application/json", "User-Agent": "client"}
    with pytest.raises(ReadTimeoutError):
        client.request("POST", sink.url + ACTIONS, json=actions(action()), headers=headers)
    client.clear()
    return sink.wait_for(lambda stats: stats["in_flight"] == 0)


@pytest.mark.parametrize("status", [302, 401, 404, 408, 429, 500, 503])
def test_a_status_fault_is_the_response_and_nothing_is_accepted(
    sink: SinkProcess, poster: Poster, status: int
) -> None:
    sink.set_faults({"kind": "status", "status": status})
    assert statuses(poster, 2) == [status, status]
    stats = sink.stats()
    assert (stats["faulted_requests"], stats["actions"]) == (2, 0)
    assert stats["by_status"] == {str(status): 2}
    assert [request["fault"] for request in sink.requests()] == ["status", "status"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 205])
def test_a_2xx_status_fault_accepts_the_items(
    sink: SinkProcess, poster: Poster, status: int
) -> None:
    sink.set_faults({"kind": "status", "status": status})
    assert statuses(poster, 2) == [status, status]
    stats = sink.stats()
    assert (stats["accepted_requests"], stats["actions"]) == (2, 2)
    # One connection: the client can read the response after one without a body.
    assert stats["connections"] == 1


@pytest.mark.parametrize(
    ("given", "sent"), [(2, "2"), (1.5, "1.5"), ("Wed, 21 Oct 2015 07:28:00 GMT",) * 2]
)
def test_a_fault_can_set_retry_after(
    sink: SinkProcess, poster: Poster, given: object, sent: str
) -> None:
    sink.set_faults({"kind": "status", "status": 429, "retry_after": given})
    assert poster.post(actions(action())).headers["Retry-After"] == sent


def test_a_fault_can_redirect(sink: SinkProcess, poster: Poster) -> None:
    location = {"Location": "http://127.0.0.1:9/"}
    sink.set_faults({"kind": "status", "status": 307, "headers": location})
    assert poster.post(actions(action())).headers["Location"] == location["Location"]


def test_latencies_delay_the_response_and_add_up(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.1}, {"kind": "latency", "seconds": 0.2})
    start = time.monotonic()
    assert statuses(poster, 1) == [200]
    assert 0.3 <= time.monotonic() - start < 5
    assert sink.requests()[0]["seconds"] >= 0.29


def test_latency_is_applied_before_the_rule_that_decides(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults(
        {"kind": "latency", "seconds": 0.2},
        {"kind": "status", "status": 503},
        {"kind": "latency", "seconds": 60},
    )
    start = time.monotonic()
    assert statuses(poster, 1) == [503]
    assert 0.2 <= time.monotonic() - start < 5


def test_a_request_whose_client_times_out_during_a_latency_is_accepted(sink: SinkProcess) -> None:
    sink.set_faults({"kind": "latency", "seconds": 60, "times": 1})
    stats = stats_after_client_timeout(sink)
    assert (stats["accepted_requests"], stats["actions"]) == (1, 1)


@pytest.mark.parametrize("reset", [False, True])
def test_a_disconnect_sends_no_response_and_accepts_nothing(
    sink: SinkProcess, poster: Poster, reset: bool
) -> None:
    sink.set_faults({"kind": "disconnect", "times": 1, "reset": reset})
    with pytest.raises(ProtocolError) as caught:
        poster.post(actions(action()))
    assert isinstance(caught.value.args[1], ConnectionResetError)
    assert ("without response" in str(caught.value)) is not reset
    assert statuses(poster, 1) == [200]
    stats = sink.stats()
    assert (stats["faulted_requests"], stats["actions"], stats["connections"]) == (1, 1, 2)
    assert stats["by_status"] == {"none": 1, "200": 1}


def test_a_lost_acknowledgement_accepts_and_explains_the_duplicate(
    sink: SinkProcess, poster: Poster
) -> None:
    sink.set_faults({"kind": "ack_lost", "times": 1})
    body, key = actions(action()), {"Idempotency-Key": "1"}
    with pytest.raises(ProtocolError):
        poster.post(body, headers=key)
    assert sink.stats()["actions"] == 1
    assert poster.post(body, headers=key).status == 200
    stats = sink.stats()
    assert (stats["accepted_requests"], stats["repeated_requests"]) == (2, 1)
    assert (stats["distinct_actions"], stats["explained_duplicates"]) == (1, 1)
    assert stats["unexplained_duplicates"] == stats["faulted_requests"] == 0
    assert [request["fault"] for request in sink.requests()] == ["ack_lost", None]


def test_a_hang_ends_after_its_seconds_without_a_response(
    sink: SinkProcess, poster: Poster
) -> None:
    sink.set_faults({"kind": "hang", "seconds": 0.2, "times": 1})
    start = time.monotonic()
    with pytest.raises(ProtocolError):
        poster.post(actions(action()))
    assert 0.2 <= time.monotonic() - start < 5
    stats = sink.stats()
    assert (stats["faulted_requests"], stats["actions"], stats["in_flight"]) == (1, 0, 0)


def test_a_hang_ends_when_the_client_disconnects(sink: SinkProcess) -> None:
    sink.set_faults({"kind": "hang"})
    stats = stats_after_client_timeout(sink)
    assert (stats["faulted_requests"], stats["actions"]) == (1, 0)


def test_a_request_with_a_matching_item_is_refused(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    assert poster.post(actions(action(), action(key="bad"))).status == 400
    assert poster.post(actions(action(), action(key="good"))).status == 200
    assert poster.post(identity(metadata={"key": "bad"}), IDENTITIES).status == 200
    stats = sink.stats()
    assert (stats["faulted_requests"], stats["rejected_requests"], stats["actions"]) == (1, 0, 2)


@pytest.mark.parametrize(
    ("match", "item", "refused"),
    [
        ({"metadata": {"plan": "free"}}, {"metadata": {"plan": "free", "n": 1}}, True),
        ({"metadata": {"plan": "free"}}, {"metadata": {"n": {"plan": "free"}}}, False),
        ({"metadata": {"a": {"b": 1}}}, {"metadata": {"a": {"b": 1, "c": 2}}}, True),
        ({"metadata": {"a": [1]}}, {"metadata": {"a": [1, 2]}}, False),
        ({"metadata": {"plan": "free"}}, {"metadata": None}, False),
        ({"metadata": None}, {"metadata": None}, True),
        ({"metadata": None}, {"metadata": {}}, False),
        ({"metadata": {"n": 1}}, {"metadata": {"n": True}}, False),
        ({"metadata": {}}, {"metadata": {"n": 1}}, True),
        ({"is_anonymous_user": True}, {"is_anonymous_user": True}, True),
        ({"is_anonymous_user": True}, {"is_anonymous_user": False}, False),
        ({"key": "a", "user_key": "b"}, {"key": "a", "user_key": "c"}, False),
    ],
)
def test_an_item_matches_when_it_has_all_fields_of_the_pattern(
    sink: SinkProcess,
    poster: Poster,
    match: dict[str, Any],
    item: dict[str, Any],
    refused: bool,
) -> None:
    sink.set_faults({"kind": "refuse", "match": match, "status": 422})
    assert poster.post(actions(action(**item))).status == (422 if refused else 200)


def test_a_body_over_the_limit_of_a_rule_is_refused(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "refuse_bytes", "over": 1000})
    small, large = actions(action()), actions(*(action() for _ in range(10)))
    assert [poster.post(body).status for body in (small, large)] == [200, 413]
    stats = sink.stats()
    assert (stats["faulted_requests"], stats["rejected_requests"]) == (1, 0)


# When a rule fires


def test_a_rule_fires_at_most_the_given_number_of_times(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "status", "status": 503, "times": 2})
    assert statuses(poster, 4) == [503, 503, 200, 200]
    [rule] = sink.faults()
    assert (rule["fired"], rule["spent"]) == (2, True)


def test_a_rule_expires_after_the_given_seconds(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "status", "status": 503, "for_seconds": 0.3})
    assert statuses(poster, 1) == [503]
    deadline = time.monotonic() + 10
    while statuses(poster, 1) == [503]:
        assert time.monotonic() < deadline
    assert sink.faults()[0]["spent"] is True


def test_a_rule_fires_at_its_rate_and_a_seed_makes_it_reproducible(
    sink: SinkProcess, poster: Poster
) -> None:
    runs = []
    for seed in (1, 1, 2):
        sink.set_faults({"kind": "status", "status": 503, "rate": 0.3, "seed": seed})
        runs.append(statuses(poster, 200))
    assert 30 <= runs[0].count(503) <= 90
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(("rate", "expected"), [(0, [200] * 20), (1, [503] * 20)])
def test_a_rate_of_0_never_fires_and_1_always(
    sink: SinkProcess, poster: Poster, rate: int, expected: list[int]
) -> None:
    sink.set_faults({"kind": "status", "status": 503, "rate": rate})
    assert statuses(poster, 20) == expected


def test_a_rule_can_be_limited_to_one_path(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "status", "status": 503, "path": "identities"})
    assert poster.post(actions(action())).status == 200
    assert poster.post(identity(), "/v1" + IDENTITIES).status == 503


def test_the_first_rule_that_fires_decides(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults(
        {"kind": "status", "status": 500, "times": 1},
        {"kind": "status", "status": 503, "times": 1},
    )
    sink.add_faults({"kind": "status", "status": 429, "times": 1})
    assert statuses(poster, 4) == [500, 503, 429, 200]


def test_new_rules_replace_the_old_and_clearing_removes_all(
    sink: SinkProcess, poster: Poster
) -> None:
    sink.set_faults({"kind": "status", "status": 500})
    sink.set_faults({"kind": "status", "status": 503})
    assert statuses(poster, 1) == [503]
    sink.clear_faults()
    assert (statuses(poster, 1), sink.faults()) == ([200], [])


def test_a_wrong_request_is_rejected_whatever_the_fault_rules(
    sink: SinkProcess, poster: Poster
) -> None:
    sink.set_faults({"kind": "disconnect"})
    assert poster.post("wrong").status == 400
    stats = sink.stats()
    assert (stats["rejected_requests"], stats["faulted_requests"]) == (1, 0)
    assert sink.faults()[0]["fired"] == 0


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("hang", "faults[1]"),
        ({}, "faults[1].kind"),
        ({"kind": "explode"}, "faults[1].kind"),
        ({"kind": ["status"]}, "faults[1].kind"),
        ({"kind": "status"}, "faults[1].status"),
        ({"kind": "status", "status": 99}, "faults[1].status"),
        ({"kind": "status", "status": "503"}, "faults[1].status"),
        ({"kind": "status", "status": 503, "seconds": 1}, "faults[1].seconds"),
        ({"kind": "status", "status": 503, "retry_after": -1}, "faults[1].retry_after"),
        ({"kind": "status", "status": 503, "retry_after": "1\r\nX: y"}, "faults[1].retry_after"),
        ({"kind": "status", "status": 503, "headers": {"a": 1}}, "faults[1].headers"),
        ({"kind": "status", "status": 503, "headers": {"a\n": "1"}}, "faults[1].headers"),
        ({"kind": "status", "status": 503, "headers": {"a b": "1"}}, "faults[1].headers"),
        (
            {"kind": "status", "status": 503, "headers": {"Content-Length": "1"}},
            "faults[1].headers",
        ),
        ({"kind": "latency"}, "faults[1].seconds"),
        ({"kind": "latency", "seconds": -1}, "faults[1].seconds"),
        ({"kind": "hang", "seconds": "1"}, "faults[1].seconds"),
        ({"kind": "hang", "rate": 2}, "faults[1].rate"),
        ({"kind": "hang", "rate": True}, "faults[1].rate"),
        ({"kind": "hang", "times": 0}, "faults[1].times"),
        ({"kind": "hang", "for_seconds": 0}, "faults[1].for_seconds"),
        ({"kind": "hang", "path": "/events"}, "faults[1].path"),
        ({"kind": "hang", "match": {}}, "faults[1].match"),
        ({"kind": "hang", "seed": 1.5}, "faults[1].seed"),
        ({"kind": "disconnect", "reset": 1}, "faults[1].reset"),
        ({"kind": "refuse"}, "faults[1].match"),
        ({"kind": "refuse", "match": {"key": "a"}, "status": 503}, "faults[1].status"),
        ({"kind": "refuse_bytes"}, "faults[1].over"),
        ({"kind": "refuse_bytes", "over": -1}, "faults[1].over"),
    ],
)
def test_a_wrong_rule_is_rejected_with_its_field_and_changes_nothing(
    sink: SinkProcess, rule: Any, field: str
) -> None:
    sink.set_faults({"kind": "hang"})
    before = sink.faults()
    with pytest.raises(SinkError) as caught:
        sink.set_faults({"kind": "disconnect"}, rule)
    assert f'"{field}: ' in str(caught.value)
    assert sink.faults() == before


def test_rules_that_are_not_json_are_rejected(sink: SinkProcess, poster: Poster) -> None:
    response = poster.post(b"{", "/_sink/faults", method="PUT")
    assert (response.status, "is not JSON" in response.json()["error"]) == (400, True)


def test_a_single_rule_need_not_be_in_a_list(sink: SinkProcess, poster: Poster) -> None:
    response = poster.post({"kind": "status", "status": 503}, "/_sink/faults", method="PUT")
    assert [rule["status"] for rule in response.json()["faults"]] == [503]
    assert statuses(poster, 1) == [503]
