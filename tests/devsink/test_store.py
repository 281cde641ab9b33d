"""The kept items are bounded, can be queried, and survive a restart with a database."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataart_mp.devsink import SinkProcess, SinkSettings
from dataart_mp.devsink.counters.item_counter import Duplicates, ItemCounter
from dataart_mp.devsink.counters.logged_request import LoggedRequest
from dataart_mp.devsink.http.rejection import RejectionError
from dataart_mp.devsink.store.database import Database
from dataart_mp.devsink.store.delivery import Delivery
from dataart_mp.devsink.store.query import Query
from tests.devsink.poster import IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from pathlib import Path

ITEM = b'{"metadata":null,"user_key":"%d"}'


def deliveries(requests: list[list[int]]) -> list[Delivery]:
    """Return the deliveries of requests with these items."""
    made, last = [], 0
    for number, items in enumerate(requests, start=1):
        last += len(items)
        encoded = [ITEM % item for item in items]
        made.append(Delivery("actions", last, time.time(), number, Duplicates(), encoded))
    return made


@settings(max_examples=30)
@given(
    st.integers(1, 8),
    st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5)),
    st.integers(0, 12),
)
def test_the_database_keeps_the_newest_items(
    keep: int, requests: list[list[int]], limit: int
) -> None:
    database = Database(SinkSettings(keep=keep))
    for delivery in deliveries(requests):
        database.write([], [delivery])
    everything = [ITEM % item for items in requests for item in items]
    kept = list(enumerate(everything, start=1))[-keep:]
    expected = kept[max(0, len(kept) - limit) :]
    found = database.select(Query(limit=limit))
    assert [(one.number, one.item) for one in found] == expected
    wanted = [item for _, item in kept if item == ITEM % 7]
    assert len(database.select(Query(user_key="7"))) == len(wanted)
    database.close()


def test_many_requests_are_written_at_once() -> None:
    database = Database(SinkSettings())
    database.write([], deliveries([[1, 2, 3]] * 1234))
    assert len(database.select(Query(limit=10_000))) == 3 * 1234
    database.close()


def test_items_that_are_too_old_are_deleted() -> None:
    with SinkProcess("--keep-seconds", "2") as sink:
        poster = Poster(sink.url)
        poster.post(actions(action()))
        poster.post("wrong")
        assert len(sink.events()) == len(sink.rejected()) == 1
        time.sleep(2.1)
        last = action()
        poster.post(actions(last))
        poster.close()
        assert sink.events() == [last]
        assert sink.rejected() == []
        assert sink.stats()["actions"] == 2


def test_text_is_found_in_keys_and_values_and_nowhere_else(
    sink: SinkProcess, poster: Poster
) -> None:
    sent = [
        action(key="song-played", metadata={"title": 'Ünder 100% of "it"'}),
        action(user_key="100_5", metadata={"deep": [{"Song": None}]}),
        action(metadata={"path": "c:\\temp", "x": "~"}),
    ]
    poster.post(actions(*sent))
    poster.post(who := identity(metadata={"favourite": "song"}), IDENTITIES)
    found = {
        "SONG": [sent[0], sent[1]],
        "100%": [sent[0]],
        "100_": [sent[1]],
        'of "it"': [sent[0]],
        "Ünder": [sent[0]],
        "c:\\temp": [sent[2]],
        "~": [sent[2]],
        # The names of the fields of the protocol are not searched.
        "is_anonymous": [],
        "timestamp": [],
        "user_": [],
    }
    for text, events in found.items():
        response = poster.post(b"", f"/_sink/events?text={_quoted(text)}", method="GET")
        assert response.json()["events"] == events, text
    response = poster.post(b"", "/_sink/identities?text=song", method="GET")
    assert response.json()["identities"] == [who]


def test_a_field_is_found_by_name_and_value(sink: SinkProcess, poster: Poster) -> None:
    sent = [
        action(key="landed", metadata={"dest": "SFO", "flight": 15, "late": True}),
        action(user_key="SFO", metadata={"origin": "SFO", "flight": 1545, "late": None}),
        action(metadata={"leg": [{"dest": "sfo-2"}, {"dest": "JFK"}], "flight": 1.5}),
        action(metadata={"note": "dest:SFO", "city": "San Francisco", "big": 2**70}),
    ]
    poster.post(actions(*sent))
    found = {
        "dest:SFO": [0, 2, 3],  # the last one has it as text
        "dest: SFO": [0, 2, 3],
        "DEST:sfo": [0, 2, 3],
        "leg.dest:JFK": [2],
        "leg:JFK": [],
        "flight:15": [0],
        "flight:1.5": [2],
        "late:true": [0],
        "late:null": [1],
        f"big:{2**70}": [3],
        "dest:SFO flight:15": [0],
        "flight:15 dest:SFO late:false": [],
        "key:landed": [0],
        "user:SFO": [1],
        'city:"san fran"': [3],
        "san city:francisco": [3],
        '"San F" note:SFO': [3],
        "francisco san": [3],
        "metadata.dest:SFO": [0],
        "anonymous:false late:true": [0],
    }
    for text, places in found.items():
        response = poster.post(b"", f"/_sink/events?text={_quoted(text)}", method="GET")
        assert response.json()["events"] == [sent[place] for place in places], text


def test_a_search_counts_all_matches_unless_that_takes_too_long() -> None:
    database = Database(SinkSettings())
    for delivery in deliveries([[1, 2, 3]] * 500):
        database.write([], [delivery])
    found, matched = database.search(Query(text="2", limit=10))
    assert (len(found), matched) == (10, 500)
    assert database.search(Query(limit=10))[1] == 1500
    assert database.search(Query(text="2", limit=1000))[1] == 500
    database.close()


def test_bodies_of_wrong_requests_are_kept_within_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataart_mp.devsink.store.database._KEEP_BODIES", 10)
    database = Database(SinkSettings())
    for number in range(1, 6):
        one = LoggedRequest(number, time.time(), 1, "POST", "/", [], outcome="rejected")
        one.body = b"1234"
        database.write([one], [])
    kept = {one["number"]: one["body"] for one in database.rejected(10)}
    assert kept == {1: None, 2: None, 3: "1234", 4: "1234", 5: "1234"}
    database.close()


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def test_arrivals_have_their_time_request_and_duplicate_kind(
    sink: SinkProcess, poster: Poster
) -> None:
    start = time.time()
    once, twice = action(), action()
    poster.post(actions(once), headers={"Idempotency-Key": "1"})
    poster.post(actions(once), headers={"Idempotency-Key": "1"})
    poster.post(identity(), IDENTITIES)
    poster.post(actions(twice, twice))
    response = poster.post(b"", "/_sink/arrivals", method="GET")
    arrivals = response.json()["arrivals"]
    assert [(one["kind"], one["number"], one["request"], one["duplicate"]) for one in arrivals] == [
        ("actions", 1, 1, None),
        ("actions", 2, 2, "explained"),
        ("identities", 1, 3, None),
        ("actions", 3, 4, None),
        ("actions", 4, 4, "unexplained"),
    ]
    assert arrivals[0]["item"] == once
    assert start <= arrivals[0]["time"] <= arrivals[-1]["time"] <= time.time()
    response = poster.post(b"", "/_sink/arrivals?kind=identities", method="GET")
    assert response.json()["arrivals"] == [arrivals[2]]


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=6))
def test_a_duplicate_is_an_item_that_arrived_before(requests: list[list[int]]) -> None:
    counter = ItemCounter()
    seen: list[bytes] = []
    for items in requests:
        digests = [str(item).encode() for item in items]
        duplicates = counter.add(digests, repeated=False)
        expected = [at for at, one in enumerate(digests) if one in seen + digests[:at]]
        assert list(duplicates.indices) == expected
        seen += digests
    assert counter.distinct == len(set(seen))
    assert counter.unexplained == len(seen) - len(set(seen))


def test_a_long_search_through_long_items_takes_linear_time() -> None:
    """Each character of the text matches at each place, except for the last one."""
    seconds_of_long_search(100_000)  # the first search also compiles and imports
    assert seconds_of_long_search(8_000_000) < 24 * seconds_of_long_search(1_000_000)


def seconds_of_long_search(size: int) -> float:
    """Search items of so many characters, and return the seconds of CPU that it takes."""
    database = Database(SinkSettings())
    content = b"a" * size
    hard = b'{"metadata":{"t":"%b"},"user_key":"%b"}' % (content, content)
    escaped = b'{"metadata":null,"user_key":"%b"}' % (b'\\"' * (size // 2))
    delivery = Delivery("identities", 2, time.time(), 1, Duplicates(), [hard, escaped])
    database.write([], [delivery])
    started = time.process_time()
    assert database.select(Query(text="a" * 999 + "b")) == []
    assert database.select(Query(user_key="a" * 999 + "b")) == []
    assert [one.number for one in database.select(Query(text='"' * 999))] == [2]
    seconds = time.process_time() - started
    database.close()
    return seconds


@pytest.mark.parametrize(
    "items",
    [[b"a" * 30_000] * 2000, [b"a" * 400_000] * 100],
    ids=["short rows, which SQLite searches", "long rows, which Python searches"],
)
def test_a_search_ends_when_its_time_is_over(items: list[bytes]) -> None:
    database = Database(SinkSettings(search_seconds=0.05))
    for number, item in enumerate(items, start=1):
        encoded = [b'{"metadata":null,"user_key":"%b"}' % item]
        database.write([], [Delivery("identities", number, time.time(), 1, Duplicates(), encoded)])
    for _ in range(2):  # the second one is not affected by the first
        started = time.monotonic()
        with pytest.raises(RejectionError, match=r"query: took longer than 0\.05 seconds"):
            database.select(Query(text="a" * 63 + "b"))
        assert time.monotonic() - started < 2.0
    assert len(database.select(Query(limit=7))) == 7, "only a search has a limit"
    database.close()


def test_long_patterns_are_found_in_short_and_long_rows() -> None:
    database = Database(SinkSettings())
    text = "100%_of ~ it " * 20
    for number, size in enumerate((1, 100_000), start=1):
        item = b'{"metadata":{"t":"%b%b"},"user_key":"u"}' % (text.encode(), b"x" * size)
        delivery = Delivery("identities", number, time.time(), number, Duplicates(), [item])
        database.write([], [delivery])
    assert len(database.select(Query(text=text.upper()))) == 2
    assert database.select(Query(text=f"{text}y")) == []
    database.close()


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_database_restores_items_and_counts_after_a_restart(tmp_path: Path, ending: str) -> None:
    with SinkProcess("--database", str(tmp_path / "sink.db")) as sink:
        poster = Poster(sink.url)
        body, who = actions(action(), action(key="cancelled")), identity()
        poster.post(body, headers={"Idempotency-Key": "1"})
        poster.post(who, IDENTITIES)
        poster.post("wrong")
        events, rejected, before = sink.events(), sink.rejected(), sink.stats()
        getattr(sink, ending)()
        sink.start()
        assert (sink.events(), sink.identities()) == (events, [who])
        assert sink.rejected() == rejected
        after = sink.stats()
        for count in ("actions", "distinct_actions", "identities", "bytes", "by_key"):
            assert after[count] == before[count]
        poster.post(body, headers={"Idempotency-Key": "1"})
        poster.close()
        stats = sink.stats()
        assert (stats["explained_duplicates"], stats["repeated_requests"]) == (2, 1)
        assert len(sink.events()) == 4
        numbers = [request["number"] for request in sink.requests()]
        assert len(set(numbers)) == len(numbers) == 4


def test_a_database_can_be_read_with_sqlite_while_the_sink_runs(tmp_path: Path) -> None:
    file = tmp_path / "sink.db"
    with SinkProcess("--database", str(file)) as sink:
        poster = Poster(sink.url)
        poster.post(actions(action(user_key="ann"), action(key="x", metadata={"a": "\n"})))
        poster.post(identity(user_key="bob"), IDENTITIES)
        poster.close()
        assert len(sink.events()) == 2
        reader = sqlite3.connect(file)
        rows = reader.execute("SELECT number, key, user_key FROM events ORDER BY number").fetchall()
        assert rows == [(1, "departure", "ann"), (2, "x", "N14228")]
        assert reader.execute("SELECT user_key FROM users").fetchall() == [("bob",)]
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        reader.close()


@pytest.mark.parametrize("content", [b"a letter to somebody, and a long one" * 99, None])
def test_a_file_that_is_not_a_sinks_database_is_rejected_and_unchanged(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "other.db"
    if content is None:
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE mine (x)")
        other.close()
        content = file.read_bytes()
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"database: .*other\.db"):
        Database(SinkSettings(database=file))
    assert file.read_bytes() == content


def test_the_error_names_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"database: .*/missing/sink\.db: unable to open"):
        Database(SinkSettings(database=tmp_path / "missing" / "sink.db"))


def test_a_journal_and_a_database_are_mutually_exclusive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="database: the journal"):
        SinkSettings(database=tmp_path / "a", journal=tmp_path / "b")
