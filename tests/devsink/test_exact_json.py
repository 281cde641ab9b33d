"""Integers keep all their digits, from the request to the interface, journal and database."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp.devsink import SinkProcess
from dataart_mp.devsink.protocol.exact_json import canonical, dumps, loads
from tests.devsink.poster import IDENTITIES, Poster, action, actions, identity

if TYPE_CHECKING:
    from pathlib import Path

BEYOND = [2**64, 2**64 + 1, -(2**63) - 1, 10**19, -(10**19), 12345678901234567890123, 10**300]
WITHIN = [2**53 + 1, 2**63, 2**64 - 1, -(2**63), 1234567890123456789]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**300), 10**300) | st.text() | st.floats(0, 1),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_with_integers_of_any_size_is_read_and_written_as_python_does(value: Any) -> None:
    text = json.dumps(value).encode()
    assert json.dumps(loads(text)) == json.dumps(value)
    assert json.loads(dumps(loads(text))) == value


def test_what_python_reads_besides_json_is_refused_also_near_long_integers() -> None:
    for text in (b"NaN", b"Infinity", b'"\\ud800"', b'"\n"', b"\xff", b"01", b"1" + b"0" * 310):
        with pytest.raises(orjson.JSONDecodeError):
            loads(b"[%b, %d]" % (text, 2**64))


def test_equal_items_have_equal_bytes_whatever_is_beside_them() -> None:
    item = b'{"b":1.50,"a":[1e25,-0,1234567890123456789]}'
    [alone], [beside, _] = loads(b"[%b]" % item), loads(b"[%b,%d]" % (item, 2**64))
    assert canonical(alone) == canonical(beside) == b'{"a":[1e+25,0,1234567890123456789],"b":1.5}'


def test_integers_stay_exact_in_every_answer_of_the_sink(sink: SinkProcess, poster: Poster) -> None:
    numbers = [*BEYOND, *WITHIN]
    sent = action(metadata={"_id": 2**64 + 1, "numbers": numbers, "deep": [{"x": 2**70}]})
    assert poster.post(actions(sent)).status == 200
    assert poster.post(who := identity(metadata={"n": numbers}), IDENTITIES).status == 200
    assert sink.events() == [sent]
    assert sink.events(id=2**64 + 1) == [sent]
    assert sink.events(id=2**64) == []
    assert sink.identities() == [who]
    assert sink.ids() == {2**64 + 1: 1}
    for path in ("arrivals", f"events?text={2**70}", f"arrivals?id={2**64 + 1}"):
        assert str(2**70).encode() in poster.post(b"", f"/_sink/{path}", method="GET").data


def test_events_that_differ_in_one_of_many_digits_are_not_duplicates(
    sink: SinkProcess, poster: Poster
) -> None:
    for number in (2**64, 2**64 + 1, 2**64 + 1):
        poster.post(actions(action(metadata={"n": number})))
    stats = sink.stats()
    assert (stats["distinct_actions"], stats["unexplained_duplicates"]) == (2, 1)


def test_a_fault_matches_integers_exactly(sink: SinkProcess, poster: Poster) -> None:
    sink.set_faults({"kind": "refuse", "match": {"metadata": {"n": 2**64 + 1}}})
    [rule] = sink.faults()
    assert rule["match"] == {"metadata": {"n": 2**64 + 1}}
    assert poster.post(actions(action(metadata={"n": 2**64}))).status == 200
    assert poster.post(actions(action(metadata={"n": 2**64 + 1}))).status == 400


@pytest.mark.parametrize("option", ["--journal", "--database"])
def test_integers_stay_exact_over_a_restart(tmp_path: Path, option: str) -> None:
    file = tmp_path / "kept"
    with SinkProcess(option, str(file)) as sink:
        poster = Poster(sink.url)
        sent = action(metadata={"_id": 2**64 + 1, "numbers": BEYOND})
        poster.post(actions(sent), headers={"Idempotency-Key": "1"})
        sink.restart()
        assert (sink.events(), sink.ids()) == ([sent], {2**64 + 1: 1})
        poster.post(actions(sent), headers={"Idempotency-Key": "1"})
        poster.close()
        assert sink.stats()["explained_duplicates"] == 1
    if option == "--database":
        with sqlite3.connect(file) as database:
            [metadata, *_] = database.execute("SELECT metadata FROM events").fetchone()
        database.close()
        assert json.loads(metadata) == sent["metadata"]
