"""The sink counts every request and item exactly once, and detects duplicates."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from dataart_mp.devsink import SinkError, SinkProcess
from tests.devsink.poster import (
    ACTIONS,
    IDENTITIES,
    MOMENT,
    Poster,
    action,
    actions,
    identity,
    raw_head,
)

if TYPE_CHECKING:
    from dataart_mp.devsink import SinkStats


def assert_balanced(stats: SinkStats) -> None:
    """Assert what `SinkStats` documents as always true."""
    assert stats["requests"] == (
        stats["accepted_requests"]
        + stats["rejected_requests"]
        + stats["faulted_requests"]
        + stats["unfinished_requests"]
        + stats["in_flight"]
    )
    assert stats["requests"] == sum(stats["by_path"].values())
    assert stats["requests"] - stats["in_flight"] == sum(stats["by_status"].values())
    assert stats["actions"] == sum(stats["by_key"].values())
    assert stats["actions"] == (
        stats["distinct_actions"] + stats["explained_duplicates"] + stats["unexplained_duplicates"]
    )
    assert stats["identities"] == (
        stats["distinct_identities"] + stats["explained_identity_duplicates"]
    )


def key(name: str) -> dict[str, str | None]:
    return {"Idempotency-Key": name}


def test_a_fresh_sink_has_counted_nothing(sink: SinkProcess) -> None:
    stats = sink.stats()
    assert_balanced(stats)
    assert not any(stats.values())
    assert sink.events() == sink.identities() == sink.requests() == []
    assert sink.rejected() == sink.faults() == []
    assert sink.ids() == {}


def test_actions_are_counted_by_key_and_requests_by_path_and_status(
    sink: SinkProcess, poster: Poster
) -> None:
    sent = [actions(action(), action(key="cancelled")), actions(action())]
    sizes = sum(poster.post(body).status and len(json.dumps(body)) for body in sent)
    poster.post(identity(), "/v1" + IDENTITIES)
    poster.post("wrong")
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["actions"], stats["identities"]) == (3, 1)
    assert stats["by_key"] == {"departure": 2, "cancelled": 1}
    assert stats["by_path"] == {ACTIONS: 3, "/v1" + IDENTITIES: 1}
    assert stats["by_status"] == {"200": 3, "400": 1}
    assert stats["bytes"] == sizes + sink.requests()[2]["bytes"]
    assert stats["connections"] == 1


def test_equal_content_is_an_unexplained_duplicate_whatever_the_order_of_fields(
    sink: SinkProcess, poster: Poster
) -> None:
    once = action(metadata={"a": 1, "b": {"c": [1, 2], "d": None}})
    again = dict(reversed(once.items())) | {"metadata": {"b": {"d": None, "c": [1, 2]}, "a": 1}}
    other = once | {"metadata": {"a": 1, "b": {"c": [2, 1], "d": None}}}
    poster.post(actions(once))
    poster.post(actions(again, other))
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["actions"], stats["distinct_actions"]) == (3, 2)
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (0, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0, None),
        ("1", 1),
        ("é", "e\u0301"),
        (1.0000000000000002, 1.0),
        (2**63, 2**63 + 1),
    ],
)
def test_content_that_differs_in_json_is_not_a_duplicate(
    sink: SinkProcess, poster: Poster, one: object, other: object
) -> None:
    poster.post(actions(action(metadata={"x": one}), action(metadata={"x": other})))
    assert sink.stats()["distinct_actions"] == 2


def test_a_duplicate_within_one_request_is_unexplained(sink: SinkProcess, poster: Poster) -> None:
    twice = action()
    poster.post(actions(twice, twice), headers=key("1"))
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["actions"], stats["unexplained_duplicates"]) == (2, 1)


def test_a_repeated_request_with_the_same_key_explains_its_duplicates(
    sink: SinkProcess, poster: Poster
) -> None:
    body = actions(action(), action())
    poster.post(body, headers=key("1"))
    # A retry at a later time has another outer timestamp.
    poster.post(body | {"timestamp": "2022-01-01T00:00:00Z"}, headers=key("1"))
    poster.post(body, headers=key("2"))
    poster.post(body)
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["actions"], stats["distinct_actions"]) == (8, 2)
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (2, 4)
    assert (stats["repeated_requests"], stats["reused_keys"]) == (1, 0)


def test_a_key_reused_for_other_items_does_not_explain_duplicates(
    sink: SinkProcess, poster: Poster
) -> None:
    first, second = action(), action()
    poster.post(actions(first), headers=key("1"))
    poster.post(actions(first, second), headers=key("1"))
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["repeated_requests"], stats["reused_keys"]) == (0, 1)
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (0, 1)


def test_a_retry_of_a_failed_request_is_not_a_repeated_request(
    sink: SinkProcess, poster: Poster
) -> None:
    body = actions(action())
    sink.set_faults({"kind": "status", "status": 503, "times": 1})
    assert poster.post(body, headers=key("1")).status == 503
    assert poster.post(body, headers=key("1")).status == 200
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["repeated_requests"], stats["actions"]) == (0, 1)


def test_identities_and_actions_are_counted_separately(sink: SinkProcess, poster: Poster) -> None:
    same = identity()
    poster.post(actions(action()), headers=key("1"))
    # The same key for actions and for identities is not the same request.
    poster.post(same, IDENTITIES, headers=key("1"))
    poster.post(same, IDENTITIES, headers=key("1"))
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["identities"], stats["distinct_identities"]) == (2, 1)
    assert stats["explained_identity_duplicates"] == 1
    assert stats["explained_duplicates"] == stats["unexplained_duplicates"] == 0
    assert (stats["repeated_requests"], stats["reused_keys"]) == (1, 0)


def test_an_identity_is_a_duplicate_only_by_its_idempotency_key(
    sink: SinkProcess, poster: Poster
) -> None:
    same = identity()
    for headers in ({}, {}, key("1"), key("2"), key("1")):
        poster.post(same, IDENTITIES, headers=headers)
    poster.post(identity(), IDENTITIES, headers=key("2"))  # reused for other content
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["identities"], stats["distinct_identities"]) == (6, 5)
    assert stats["explained_identity_duplicates"] == 1
    assert (stats["repeated_requests"], stats["reused_keys"]) == (1, 1)
    response = poster.post(b"", "/_sink/arrivals", method="GET")
    found = [one["duplicate"] for one in response.json()["arrivals"]]
    assert found == [None, None, None, None, "explained", None]


def test_duplicates_can_be_listed(sink: SinkProcess, poster: Poster) -> None:
    first, second = action(), action()
    poster.post(actions(first, second), headers=key("1"))
    poster.post(actions(first, second), headers=key("1"))
    poster.post(actions(action(), second), headers=key("2"))
    who = identity()
    for _ in range(2):
        poster.post(who, IDENTITIES, headers=key("1"))

    def listed(path: str) -> list[Any]:
        response = poster.post(b"", f"/_sink/{path}", method="GET")
        [items] = response.json().values()
        return items  # type: ignore[no-any-return]

    assert listed("events?duplicate=explained") == [first, second]
    assert listed("events?duplicate=unexplained") == [second]
    assert listed("events?duplicate=any&limit=2") == [second, second]
    assert listed("identities?duplicate=any") == [who]
    assert listed("identities?duplicate=unexplained") == []
    assert len(listed("arrivals?duplicate=any")) == 4
    assert poster.post(b"", "/_sink/events?duplicate=yes", method="GET").status == 400


def test_a_request_with_one_wrong_action_counts_no_action(
    sink: SinkProcess, poster: Poster
) -> None:
    good = action()
    poster.post(actions(good, action(key="")), headers=key("1"))
    assert sink.stats()["actions"] == 0
    poster.post(actions(good), headers=key("2"))
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["actions"], stats["unexplained_duplicates"]) == (1, 0)


def test_arrivals_are_counted_by_the_id_field(sink: SinkProcess, poster: Poster) -> None:
    ids: list[Any] = [7, "7", 7, "x", None, True, 1.5, [1]]
    poster.post(actions(*(action(metadata={"_id": one}) for one in ids)))
    poster.post(actions(action(metadata=None), action(metadata={"id": 9})))
    assert sink.ids() == {7: 2, "7": 1, "x": 1}
    assert sink.stats()["distinct_ids"] == 3
    assert [event["metadata"] for event in sink.events(id="x")] == [{"_id": "x"}]
    assert len(sink.events(id=7)) == 3


def test_the_id_field_can_be_changed() -> None:
    with SinkProcess("--id-field", "flight") as sink:
        poster = Poster(sink.url)
        poster.post(actions(action(metadata={"flight": 1545, "_id": 1})))
        poster.close()
        assert sink.ids() == {1545: 1}


def test_events_are_returned_as_sent_in_the_order_of_arrival(
    sink: SinkProcess, poster: Poster
) -> None:
    metadata = {"b": "é\n\u2028\x00", "a": [None, True, 1.5, {"x": {}}], "": -(2**63)}
    sent = [action(metadata=metadata), action(metadata=None), action(key="ключ")]
    poster.post(actions(*sent[:2]))
    poster.post(actions(sent[2]))
    assert sink.events() == sent
    who = [identity(), identity(metadata=None)]
    for one in who:
        poster.post(one, IDENTITIES)
    assert sink.identities() == who


def test_events_can_be_filtered_and_limited_to_the_newest(
    sink: SinkProcess, poster: Poster
) -> None:
    odd = 'quote " and \\ and "user_key":"u"'
    sent = [
        action(key="a", user_key="u"),
        action(key="b", user_key="u", metadata={"key": "a"}),
        action(key="a", user_key=odd),
        action(key="a", user_key="v", metadata={"user_key": "u"}),
    ]
    poster.post(actions(*sent))
    assert sink.events(key="a") == [sent[0], sent[2], sent[3]]
    assert sink.events(key="a", limit=2) == sent[2:]
    assert sink.events(user_key="u") == sent[:2]
    assert sink.events(user_key=odd) == [sent[2]]
    assert sink.events(key="a", user_key="u") == sent[:1]
    assert sink.events(key="c") == sink.events(limit=0) == []
    who = identity(user_key="w")
    poster.post(identity(), IDENTITIES)
    poster.post(who, IDENTITIES)
    assert sink.identities(user_key="w") == sink.identities(limit=1) == [who]


def test_only_the_newest_items_and_requests_are_kept_but_all_are_counted() -> None:
    with SinkProcess("--keep", "5", "--keep-requests", "3") as sink:
        poster = Poster(sink.url)
        sent = [action() for _ in range(12)]
        for start in range(0, 12, 4):
            poster.post(actions(*sent[start : start + 4]))
        for _ in range(4):
            poster.post("wrong")
        poster.close()
        assert sink.events() == sent[-5:]
        assert [request["number"] for request in sink.requests()] == [5, 6, 7]
        assert [request["number"] for request in sink.rejected()] == [5, 6, 7]
        stats = sink.stats()
    assert_balanced(stats)
    assert (stats["actions"], stats["rejected_requests"]) == (12, 4)


def test_a_logged_request_has_all_its_details(sink: SinkProcess, poster: Poster) -> None:
    poster.post(actions(action(), action()), "/v1" + ACTIONS, headers=key("k1") | {"X-More": "1"})
    [request] = sink.requests()
    assert request["path"] == "/v1" + ACTIONS
    assert request["method"] == "POST"
    assert (request["outcome"], request["status"], request["fault"]) == ("accepted", 200, None)
    assert (request["count"], request["idempotency_key"]) == (2, "k1")
    assert request["headers"]["x-more"] == "1"
    assert request["headers"]["user-agent"] == "poster"
    assert int(request["headers"]["content-length"]) == request["bytes"]
    assert request["error"] is None
    assert 0 <= request["seconds"] < 10


def test_a_reset_deletes_everything(sink: SinkProcess, poster: Poster) -> None:
    body = actions(action())
    poster.post(body, headers=key("1"))
    poster.post("wrong")
    sink.set_faults({"kind": "latency", "seconds": 0})
    sink.reset()
    test_a_fresh_sink_has_counted_nothing(sink)
    poster.post(body, headers=key("1"))
    stats = sink.stats()
    assert (stats["actions"], stats["unexplained_duplicates"], stats["reused_keys"]) == (1, 0, 0)
    assert stats["repeated_requests"] == 0


def test_a_request_in_flight_during_a_reset_is_not_counted_after_it(
    sink: SinkProcess, poster: Poster
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.3, "times": 1})
    sender = threading.Thread(target=poster.post, args=(actions(action()),))
    sender.start()
    sink.wait_for(lambda stats: stats["in_flight"] == 1)
    sink.reset()
    sender.join()
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["requests"], stats["actions"]) == (0, 0)


def test_the_peak_of_requests_in_flight_is_counted(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "hang"})
    senders = [threading.Thread(target=_post_without_response, args=(poster,)) for _ in range(7)]
    for sender in senders:
        sender.start()
    sink.wait_for(lambda stats: stats["in_flight"] == 7)
    sink.clear_faults()
    for sender in senders:
        sender.join()
    poster.post(actions(action()))
    stats = sink.stats()
    assert_balanced(stats)
    assert (stats["in_flight"], stats["peak_in_flight"]) == (0, 7)
    assert (stats["faulted_requests"], stats["connections"]) == (7, 8)


def _post_without_response(poster: Poster) -> None:
    with pytest.raises(urllib3.exceptions.ProtocolError):
        poster.post(actions(action()))


def test_every_request_of_many_clients_ends_in_one_counter_despite_faults(
    sink: SinkProcess,
) -> None:
    sink.set_faults(
        {"kind": "refuse", "match": {"key": "bad"}},
        {"kind": "latency", "seconds": 0.002, "rate": 0.3},
        {"kind": "status", "status": 503, "rate": 0.2},
        {"kind": "disconnect", "rate": 0.1},
        {"kind": "disconnect", "rate": 0.1, "reset": True},
        {"kind": "ack_lost", "rate": 0.2},
    )
    clients = [_Client(sink.url, seed) for seed in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    stats = sink.stats()
    assert_balanced(stats)
    assert stats["in_flight"] == 0
    assert stats["requests"] == sum(client.requests for client in clients)
    assert stats["unexplained_duplicates"] == stats["reused_keys"] == 0
    # Each batch was sent with its key until the response was a 200, so none is missing.
    assert stats["distinct_actions"] == sum(client.delivered for client in clients)
    assert stats["explained_duplicates"] > 0


class _Client(threading.Thread):
    """Sends each batch until the response is a 200, as the shipper does."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__()
        self.requests = 0
        self.delivered = 0
        self._poster = Poster(url)
        self._seed = seed

    def run(self) -> None:
        rng = random.Random(self._seed)
        for batch in range(25):
            items = [action() for _ in range(rng.randint(1, 5))]
            while not self._arrives(actions(*items), f"{self._seed}-{batch}"):
                pass
            self.delivered += len(items)
            self._send("wrong", "wrong")
            self._send(actions(action(key="bad")), f"bad-{self._seed}-{batch}")
        self._poster.close()

    def _arrives(self, body: object, name: str) -> bool:
        return self._send(body, name) == 200

    def _send(self, body: object, name: str) -> int | None:
        self.requests += 1
        try:
            return self._poster.post(body, headers=key(name)).status
        except urllib3.exceptions.ProtocolError:
            return None


def test_a_complete_request_of_a_client_that_disconnects_is_counted_at_most_once(
    sink: SinkProcess, poster: Poster
) -> None:
    body = json.dumps(actions(action())).encode()
    for _ in range(20):
        poster.raw(raw_head(len(body)) + body, half_close=True)
    stats = sink.wait_for(lambda stats: stats["in_flight"] == 0)
    assert_balanced(stats)
    assert stats["requests"] == 20
    assert stats["actions"] == stats["accepted_requests"]


@pytest.mark.parametrize(
    "path", ["events?kye=a", "events?limit=-1", "events?limit=x", "stats?x=1", "identities?key=a"]
)
def test_a_misspelt_query_parameter_is_rejected(sink: SinkProcess, path: str) -> None:
    poster = Poster(sink.url)
    response = poster.post(b"", f"/_sink/{path}", method="GET")
    poster.close()
    assert response.status == 400
    assert "query" in response.json()["error"]


def test_requests_to_the_control_api_are_not_counted(sink: SinkProcess, poster: Poster) -> None:
    poster.post(b"", "/_sink/nothing", method="GET")
    poster.post(b"", "/_sink/reset", method="GET")
    assert sink.stats()["requests"] == 0


def test_a_wait_that_times_out_reports_the_last_stats(sink: SinkProcess) -> None:
    with pytest.raises(TimeoutError, match="'actions': 0"):
        sink.wait_for(lambda stats: stats["actions"] == 1, timeout=0.1)


def test_an_error_of_the_control_api_is_reported(sink: SinkProcess) -> None:
    with pytest.raises(SinkError, match="limit"):
        sink.events(limit=-1)


def test_the_time_of_sending_does_not_make_an_action_distinct(
    sink: SinkProcess, poster: Poster
) -> None:
    same = action()
    for sent_at in (MOMENT, "2023-01-01T00:00:00Z"):
        poster.post({"timestamp": sent_at, "actions": [same]})
    assert sink.stats()["distinct_actions"] == 1
