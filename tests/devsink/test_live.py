"""An open page is told of what arrives, as much as can be read, and of nothing else."""

from __future__ import annotations

import http.client
import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.devsink.delivery import Delivery
from dataart_mp.devsink.live import sampled
from dataart_mp.devsink.pace import Pace
from dataart_mp.devsink.rate import KEPT_SECONDS, Rate
from dataart_mp.devsink.tally import Doubles
from tests.devsink.poster import IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataart_mp.devsink import SinkProcess


@contextmanager
def watching(sink: SinkProcess, query: str = "") -> Iterator[Iterator[tuple[str, Any]]]:
    """What an open page is told: names of events and their data."""
    with closing(http.client.HTTPConnection(urlsplit(sink.url).netloc, timeout=10)) as page:
        page.request("GET", f"/_sink/live?{query}")
        answer = page.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.read(13) == b"retry: 1000\n\n"
        yield _events(answer)


def _events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    while line := answer.readline():
        name = line.decode().removeprefix("event: ").strip()
        data = answer.readline().decode().removeprefix("data: ")
        assert answer.readline() == b"\n"
        yield name, json.loads(data)


def test_a_page_gets_what_there_is_and_then_what_arrives(
    witness: SinkProcess, poster: Poster
) -> None:
    before, after, who = action(), action(), identity()
    poster.post(actions(before))
    with watching(witness) as events:
        name, hello = next(events)
        assert name == "hello"
        assert [one["item"] for one in hello["arrivals"]] == [before]
        assert hello["stats"]["actions"] == 1
        poster.post(actions(after))
        name, news = next(events)
        assert (name, news["matched"]) == ("news", 1)
        assert [(one["item"], one["number"]) for one in news["arrivals"]] == [(after, 2)]
        assert news["stats"]["by_key"] == [["departure", 2]]
        assert news["rate"][-1][1] >= 1
        poster.post(who, IDENTITIES)
        assert [one["item"] for one in next(events)[1]["arrivals"]] == [who]


def test_a_page_is_told_of_rejections_faults_and_a_reset(
    witness: SinkProcess, poster: Poster
) -> None:
    with watching(witness) as events:
        next(events)
        poster.post(actions(action(timestamp="yesterday")))
        [wrong] = next(events)[1]["rejected"]
        assert wrong["field"] == "actions[0].timestamp"
        assert "is not RFC 3339" in wrong["error"]
        witness.set_faults({"kind": "status", "status": 503})
        assert [rule["kind"] for rule in next(events)[1]["faults"]] == ["status"]
        witness.reset()
        news = next(events)[1]
        assert (news["reset"], news["faults"], news["stats"]["requests"]) == (True, [], 0)


@pytest.mark.parametrize("query", ["key=wanted", "text=SECRET", "user_key=ann", "kind=actions"])
def test_a_page_that_filters_is_told_of_nothing_else(
    witness: SinkProcess, poster: Poster, query: str
) -> None:
    wanted = action(key="wanted", user_key="ann", metadata={"a": "secret"})
    other = action(key="other", user_key="bob")
    poster.post(actions(other, wanted) if query != "kind=actions" else actions(wanted))
    with watching(witness, query) as events:
        assert [one["item"] for one in next(events)[1]["arrivals"]] == [wanted]
        poster.post(identity(user_key="bob"), IDENTITIES)
        assert next(events)[1]["arrivals"] == []
        poster.post(actions(wanted))
        news = next(events)[1]
        assert (news["matched"], [one["item"] for one in news["arrivals"]]) == (1, [wanted])
        assert news["arrivals"][0]["double"] == "unexplained"


def test_what_comes_too_fast_to_be_read_is_sampled_but_counted(
    witness: SinkProcess, poster: Poster
) -> None:
    with watching(witness) as events:
        next(events)
        for _ in range(10):
            poster.post(actions(*(action() for _ in range(500))))
        matched = shown = 0
        while matched < 5000:
            news = next(events)[1]
            matched += news["matched"]
            shown += len(news["arrivals"])
        assert news["stats"]["actions"] == 5000
        assert 200 <= shown < 1000


def test_pages_that_are_closed_are_forgotten(witness: SinkProcess, poster: Poster) -> None:
    for _ in range(20):
        with watching(witness) as events:
            next(events)
    poster.post(actions(action()))
    assert witness.stats()["actions"] == 1
    assert witness.log == ""


@given(
    st.lists(st.lists(st.integers(0, 5), unique=True, max_size=6).map(sorted), max_size=6),
    st.integers(0, 40),
)
def test_a_sample_is_even_and_in_order(chosen: list[list[int]], wanted: int) -> None:
    encoded = [b"%d" % number for number in range(6)]
    matching = [
        (Delivery("actions", 6 * (at + 1), 0.0, at, Doubles(), encoded), indices)
        for at, indices in enumerate(chosen)
    ]
    everything = [delivery[index].number for delivery, indices in matching for index in indices]
    wanted = min(wanted, len(everything))
    shown = [arrival.number for arrival in sampled(matching, wanted)]
    expected = [everything[len(everything) * at // wanted] for at in range(wanted)]
    assert shown == expected
    assert len(set(shown)) == wanted


def test_a_burst_is_shown_whole_and_a_stream_at_a_readable_rate() -> None:
    pace = Pace(burst=100, per_second=10)
    assert pace.take(80, now=0) == 80
    assert pace.take(80, now=0) == 20
    assert pace.take(80, now=0.5) == 5
    assert pace.take(1, now=0.5) == 0
    assert sum(pace.take(1000, now=0.5 + second) for second in range(1, 11)) == 100
    assert pace.take(1000, now=1000) == 100


def test_the_rate_is_counted_by_seconds_and_bounded() -> None:
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
