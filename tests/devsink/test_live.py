"""An open page receives the items that match its filter, at a readable rate."""

from __future__ import annotations

import http.client
import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.devsink.counters.item_counter import Duplicates
from dataart_mp.devsink.live.pace import Pace
from dataart_mp.devsink.live.rate import KEPT_SECONDS, Rate
from dataart_mp.devsink.live.viewers import sampled
from dataart_mp.devsink.store.delivery import Delivery
from tests.devsink.poster import IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataart_mp.devsink import SinkProcess


@contextmanager
def subscribed(sink: SinkProcess, query: str = "") -> Iterator[Iterator[tuple[str, Any]]]:
    """Yield the server-sent events of an open page: names and data."""
    with closing(http.client.HTTPConnection(urlsplit(sink.url).netloc, timeout=10)) as page:
        page.request("GET", f"/_sink/live?{query}")
        response = page.getresponse()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.read(13) == b"retry: 1000\n\n"
        yield _events(response)


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    while line := response.readline():
        name = line.decode().removeprefix("event: ").strip()
        data = response.readline().decode().removeprefix("data: ")
        assert response.readline() == b"\n"
        yield name, json.loads(data)


def test_a_page_receives_a_snapshot_and_then_new_items(sink: SinkProcess, poster: Poster) -> None:
    before, after, who = action(), action(), identity()
    poster.post(actions(before))
    with subscribed(sink) as events:
        name, snapshot = next(events)
        assert name == "snapshot"
        assert [one["item"] for one in snapshot["arrivals"]] == [before]
        assert snapshot["stats"]["actions"] == 1
        poster.post(actions(after))
        name, update = next(events)
        assert (name, update["matched"]) == ("update", 1)
        assert [(one["item"], one["number"]) for one in update["arrivals"]] == [(after, 2)]
        assert update["stats"]["by_key"] == [["departure", 2]]
        assert update["rate"][-1][1] >= 1
        poster.post(who, IDENTITIES)
        assert [one["item"] for one in next(events)[1]["arrivals"]] == [who]


def test_a_page_receives_rejections_fault_rules_and_resets(
    sink: SinkProcess, poster: Poster
) -> None:
    with subscribed(sink) as events:
        next(events)
        poster.post(actions(action(timestamp="yesterday")))
        [wrong] = next(events)[1]["rejected"]
        assert wrong["field"] == "actions[0].timestamp"
        assert "is not RFC 3339" in wrong["error"]
        sink.set_faults({"kind": "status", "status": 503})
        assert [rule["kind"] for rule in next(events)[1]["faults"]] == ["status"]
        sink.reset()
        update = next(events)[1]
        assert (update["reset"], update["faults"], update["stats"]["requests"]) == (True, [], 0)


@pytest.mark.parametrize("query", ["key=wanted", "text=SECRET", "user_key=ann", "kind=actions"])
def test_a_page_with_a_filter_receives_only_matching_items(
    sink: SinkProcess, poster: Poster, query: str
) -> None:
    wanted = action(key="wanted", user_key="ann", metadata={"a": "secret"})
    other = action(key="other", user_key="bob")
    poster.post(actions(other, wanted) if query != "kind=actions" else actions(wanted))
    with subscribed(sink, query) as events:
        assert [one["item"] for one in next(events)[1]["arrivals"]] == [wanted]
        poster.post(identity(user_key="bob"), IDENTITIES)
        assert next(events)[1]["arrivals"] == []
        poster.post(actions(wanted))
        update = next(events)[1]
        assert (update["matched"], [one["item"] for one in update["arrivals"]]) == (1, [wanted])
        assert update["arrivals"][0]["duplicate"] == "unexplained"


def test_items_too_fast_to_read_are_sampled_but_all_are_counted(
    sink: SinkProcess, poster: Poster
) -> None:
    with subscribed(sink) as events:
        next(events)
        for _ in range(10):
            poster.post(actions(*(action() for _ in range(500))))
        matched = shown = 0
        while matched < 5000:
            update = next(events)[1]
            matched += update["matched"]
            shown += len(update["arrivals"])
        assert update["stats"]["actions"] == 5000
        assert 200 <= shown < 1000


def test_closed_pages_are_unsubscribed(sink: SinkProcess, poster: Poster) -> None:
    for _ in range(20):
        with subscribed(sink) as events:
            next(events)
    poster.post(actions(action()))
    assert sink.stats()["actions"] == 1
    assert sink.log == ""


@given(
    st.lists(st.lists(st.integers(0, 5), unique=True, max_size=6).map(sorted), max_size=6),
    st.integers(0, 40),
)
def test_a_sample_is_even_and_in_order(chosen: list[list[int]], wanted: int) -> None:
    encoded = [b"%d" % number for number in range(6)]
    matching = [
        (Delivery("actions", 6 * (at + 1), 0.0, at, Duplicates(), encoded), indices)
        for at, indices in enumerate(chosen)
    ]
    everything = [delivery[index].number for delivery, indices in matching for index in indices]
    wanted = min(wanted, len(everything))
    shown = [arrival.number for arrival in sampled(matching, wanted)]
    expected = [everything[len(everything) * at // wanted] for at in range(wanted)]
    assert shown == expected
    assert len(set(shown)) == wanted


def test_a_burst_is_shown_completely_and_a_stream_at_a_readable_rate() -> None:
    pace = Pace(burst=100, per_second=10)
    assert pace.take(80, now=0) == 80
    assert pace.take(80, now=0) == 20
    assert pace.take(80, now=0.5) == 5
    assert pace.take(1, now=0.5) == 0
    assert sum(pace.take(1000, now=0.5 + second) for second in range(1, 11)) == 100
    assert pace.take(1000, now=1000) == 100


def test_the_rate_is_counted_per_second_and_its_history_is_bounded() -> None:
    rate = Rate()
    rate.at(100.2).items += 3
    rate.at(100.9).items += 4
    rate.at(102.0).rejected += 1
    rate.at(101.0).faulted += 1  # the clock was set back
    assert rate.since(100) == [[100, 7, 0, 0], [102, 0, 1, 1]]
    assert rate.since(100.99) == [[100, 7, 0, 0], [102, 0, 1, 1]]
    assert rate.since(101) == [[102, 0, 1, 1]]
    for second in range(2000):
        rate.at(200 + second).items += 1
    assert len(rate.since(0)) == KEPT_SECONDS
