"""What the sink is told to do wrong, it does, and it counts nothing that it did not accept."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from dataart_mp.devsink import SinkError
from tests.devsink.poster import ACTIONS, IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from dataart_mp.devsink import SinkProcess


def statuses(poster: Poster, count: int) -> list[int]:
    return [poster.post(actions(action())).status for _ in range(count)]


@pytest.mark.parametrize("status", [302, 401, 404, 408, 429, 500, 503])
def test_a_status_is_answered_and_nothing_accepted(
    witness: SinkProcess, poster: Poster, status: int
) -> None:
    witness.set_faults({"kind": "status", "status": status})
    assert statuses(poster, 2) == [status, status]
    stats = witness.stats()
    assert (stats["faulted_requests"], stats["actions"]) == (2, 0)
    assert stats["by_status"] == {str(status): 2}
    assert [request["fault"] for request in witness.requests()] == ["status", "status"]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 205])
def test_a_2xx_accepts(witness: SinkProcess, poster: Poster, status: int) -> None:
    witness.set_faults({"kind": "status", "status": status})
    assert statuses(poster, 2) == [status, status]
    stats = witness.stats()
    assert (stats["accepted_requests"], stats["actions"]) == (2, 2)
    # One connection: an answer without a body does not confuse the client about the next.
    assert stats["connections"] == 1


@pytest.mark.parametrize(
    ("given", "sent"), [(2, "2"), (1.5, "1.5"), ("Wed, 21 Oct 2015 07:28:00 GMT",) * 2]
)
def test_an_answer_can_ask_to_retry_later(
    witness: SinkProcess, poster: Poster, given: object, sent: str
) -> None:
    witness.set_faults({"kind": "status", "status": 429, "retry_after": given})
    assert poster.post(actions(action())).headers["Retry-After"] == sent


def test_an_answer_can_redirect(witness: SinkProcess, poster: Poster) -> None:
    location = {"Location": "http://127.0.0.1:9/"}
    witness.set_faults({"kind": "status", "status": 307, "headers": location})
    assert poster.post(actions(action())).headers["Location"] == location["Location"]


def test_latency_delays_the_answer_and_adds_up(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults({"kind": "latency", "seconds": 0.1}, {"kind": "latency", "seconds": 0.2})
    start = time.monotonic()
    assert statuses(poster, 1) == [200]
    assert 0.3 <= time.monotonic() - start < 5
    assert witness.requests()[0]["seconds"] >= 0.29


def test_latency_goes_before_what_decides(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults(
        {"kind": "latency", "seconds": 0.2},
        {"kind": "status", "status": 503},
        {"kind": "latency", "seconds": 60},
    )
    start = time.monotonic()
    assert statuses(poster, 1) == [503]
    assert 0.2 <= time.monotonic() - start < 5


def test_a_client_that_does_not_wait_out_a_latency_has_delivered(witness: SinkProcess) -> None:
    witness.set_faults({"kind": "latency", "seconds": 60, "times": 1})
    hasty = urllib3.PoolManager(retries=False, timeout=0.2)
    headers = {"X-API-Key": "key", "Content-Type": "application/json", "User-Agent": "hasty"}
    with pytest.raises(ReadTimeoutError):
        hasty.request("POST", witness.url + ACTIONS, json=actions(action()), headers=headers)
    hasty.clear()
    stats = witness.wait_for(lambda stats: stats["in_flight"] == 0)
    assert (stats["accepted_requests"], stats["actions"]) == (1, 1)


@pytest.mark.parametrize("reset", [False, True])
def test_a_disconnect_answers_nothing_and_accepts_nothing(
    witness: SinkProcess, poster: Poster, reset: bool
) -> None:
    witness.set_faults({"kind": "disconnect", "times": 1, "reset": reset})
    with pytest.raises(ProtocolError) as caught:
        poster.post(actions(action()))
    assert isinstance(caught.value.args[1], ConnectionResetError)
    assert ("without response" in str(caught.value)) is not reset
    assert statuses(poster, 1) == [200]
    stats = witness.stats()
    assert (stats["faulted_requests"], stats["actions"], stats["connections"]) == (1, 1, 2)
    assert stats["by_status"] == {"none": 1, "200": 1}


def test_a_lost_acknowledgement_is_accepted_and_explains_the_double(
    witness: SinkProcess, poster: Poster
) -> None:
    witness.set_faults({"kind": "ack_lost", "times": 1})
    body, key = actions(action()), {"Idempotency-Key": "1"}
    with pytest.raises(ProtocolError):
        poster.post(body, headers=key)
    assert witness.stats()["actions"] == 1
    assert poster.post(body, headers=key).status == 200
    stats = witness.stats()
    assert (stats["accepted_requests"], stats["repeated_requests"]) == (2, 1)
    assert (stats["distinct_actions"], stats["explained_doubles"]) == (1, 1)
    assert stats["unexplained_doubles"] == stats["faulted_requests"] == 0
    assert [request["fault"] for request in witness.requests()] == ["ack_lost", None]


def test_a_hang_ends_after_its_seconds_without_an_answer(
    witness: SinkProcess, poster: Poster
) -> None:
    witness.set_faults({"kind": "hang", "seconds": 0.2, "times": 1})
    start = time.monotonic()
    with pytest.raises(ProtocolError):
        poster.post(actions(action()))
    assert 0.2 <= time.monotonic() - start < 5
    stats = witness.stats()
    assert (stats["faulted_requests"], stats["actions"], stats["in_flight"]) == (1, 0, 0)


def test_a_hang_ends_when_the_client_gives_up(witness: SinkProcess) -> None:
    witness.set_faults({"kind": "hang"})
    hasty = urllib3.PoolManager(retries=False, timeout=0.2)
    headers = {"X-API-Key": "key", "Content-Type": "application/json", "User-Agent": "hasty"}
    with pytest.raises(ReadTimeoutError):
        hasty.request("POST", witness.url + ACTIONS, json=actions(action()), headers=headers)
    hasty.clear()
    stats = witness.wait_for(lambda stats: stats["in_flight"] == 0)
    assert (stats["faulted_requests"], stats["actions"]) == (1, 0)


def test_a_request_with_a_matching_item_is_refused(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    assert poster.post(actions(action(), action(key="bad"))).status == 400
    assert poster.post(actions(action(), action(key="good"))).status == 200
    assert poster.post(identity(metadata={"key": "bad"}), IDENTITIES).status == 200
    stats = witness.stats()
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
    witness: SinkProcess,
    poster: Poster,
    match: dict[str, Any],
    item: dict[str, Any],
    refused: bool,
) -> None:
    witness.set_faults({"kind": "refuse", "match": match, "status": 422})
    assert poster.post(actions(action(**item))).status == (422 if refused else 200)


def test_a_body_over_so_many_bytes_is_refused(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults({"kind": "refuse_bytes", "over": 1000})
    small, large = actions(action()), actions(*(action() for _ in range(10)))
    assert [poster.post(body).status for body in (small, large)] == [200, 413]
    stats = witness.stats()
    assert (stats["faulted_requests"], stats["rejected_requests"]) == (1, 0)


# When a rule fires


def test_a_rule_fires_so_many_times(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults({"kind": "status", "status": 503, "times": 2})
    assert statuses(poster, 4) == [503, 503, 200, 200]
    [rule] = witness.faults()
    assert (rule["fired"], rule["spent"]) == (2, True)


def test_a_rule_lasts_so_many_seconds(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults({"kind": "status", "status": 503, "for_seconds": 0.3})
    assert statuses(poster, 1) == [503]
    deadline = time.monotonic() + 10
    while statuses(poster, 1) == [503]:
        assert time.monotonic() < deadline
    assert witness.faults()[0]["spent"] is True


def test_a_rule_fires_at_its_rate_and_with_a_seed_always_alike(
    witness: SinkProcess, poster: Poster
) -> None:
    runs = []
    for seed in (1, 1, 2):
        witness.set_faults({"kind": "status", "status": 503, "rate": 0.3, "seed": seed})
        runs.append(statuses(poster, 200))
    assert 30 <= runs[0].count(503) <= 90
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(("rate", "expected"), [(0, [200] * 20), (1, [503] * 20)])
def test_a_rate_of_0_is_never_and_of_1_always(
    witness: SinkProcess, poster: Poster, rate: int, expected: list[int]
) -> None:
    witness.set_faults({"kind": "status", "status": 503, "rate": rate})
    assert statuses(poster, 20) == expected


def test_a_rule_can_concern_one_path_only(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults({"kind": "status", "status": 503, "path": "identities"})
    assert poster.post(actions(action())).status == 200
    assert poster.post(identity(), "/v1" + IDENTITIES).status == 503


def test_the_first_rule_that_fires_decides(witness: SinkProcess, poster: Poster) -> None:
    witness.set_faults(
        {"kind": "status", "status": 500, "times": 1},
        {"kind": "status", "status": 503, "times": 1},
    )
    witness.add_faults({"kind": "status", "status": 429, "times": 1})
    assert statuses(poster, 4) == [500, 503, 429, 200]


def test_new_rules_replace_the_old_and_none_are_left_after_clearing(
    witness: SinkProcess, poster: Poster
) -> None:
    witness.set_faults({"kind": "status", "status": 500})
    witness.set_faults({"kind": "status", "status": 503})
    assert statuses(poster, 1) == [503]
    witness.clear_faults()
    assert (statuses(poster, 1), witness.faults()) == ([200], [])


def test_a_wrong_request_is_rejected_whatever_the_faults(
    witness: SinkProcess, poster: Poster
) -> None:
    witness.set_faults({"kind": "disconnect"})
    assert poster.post("wrong").status == 400
    stats = witness.stats()
    assert (stats["rejected_requests"], stats["faulted_requests"]) == (1, 0)
    assert witness.faults()[0]["fired"] == 0


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
def test_a_wrong_rule_is_refused_by_the_name_of_its_field_and_changes_nothing(
    witness: SinkProcess, rule: Any, field: str
) -> None:
    witness.set_faults({"kind": "hang"})
    before = witness.faults()
    with pytest.raises(SinkError) as caught:
        witness.set_faults({"kind": "disconnect"}, rule)
    assert f'"{field}: ' in str(caught.value)
    assert witness.faults() == before


def test_rules_that_are_not_json_are_refused(witness: SinkProcess, poster: Poster) -> None:
    answer = poster.post(b"{", "/_sink/faults", method="PUT")
    assert (answer.status, "is not JSON" in answer.json()["error"]) == (400, True)


def test_one_rule_need_not_stand_in_a_list(witness: SinkProcess, poster: Poster) -> None:
    answer = poster.post({"kind": "status", "status": 503}, "/_sink/faults", method="PUT")
    assert [rule["status"] for rule in answer.json()["faults"]] == [503]
    assert statuses(poster, 1) == [503]
