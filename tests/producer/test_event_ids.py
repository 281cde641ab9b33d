"""Equal actions have equal ids, whatever encodes them, and an id that is there is kept."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataart_mp import ClientConfig
from dataart_mp.producer.encoder import encode_action
from dataart_mp.producer.event_ids import EventIds
from dataart_mp.testing import RecordingClient

MOMENT = "2021-05-04T10:11:12+00:00"
NAMES = st.sampled_from(["_id", "a", 'quo"ted', "é"])
METADATA = st.one_of(
    st.none(),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        st.one_of(st.none(), st.integers(0, 9), st.just({}), st.just({"_id": 1}), st.just('"_id"')),
        max_size=4,
    ),
)


def record_of(metadata: Any) -> bytes:
    return encode_action("k", "u", False, MOMENT, metadata)


@given(METADATA, NAMES)
def test_an_id_is_added_and_nothing_else_changes(metadata: Any, name: str) -> None:
    record = EventIds(name).with_id(record_of(metadata))
    assert record.count(b"\n") == 1
    event = orjson.loads(record)
    added = event["metadata"]
    if name in (metadata or {}):
        assert added == metadata
        return
    identifier = added.pop(name)
    assert len(identifier) == 32
    assert added == (metadata or {})
    assert EventIds(name).with_id(record_of(metadata)) == record


def test_other_content_has_another_id() -> None:
    ids = EventIds("_id")
    assert ids.with_id(record_of({"a": 1})) != ids.with_id(record_of({"a": 2}))
    first, second = (ids.with_id(record_of({"a": n}), b"order 7")[-38:] for n in (1, 2))
    assert first == second


@pytest.mark.parametrize("how", ["emit_action", "emit_actions", "emit_table"])
def test_every_way_to_emit_an_action_gives_it_the_same_id(how: str) -> None:
    client = RecordingClient(ClientConfig("key", event_id="event"))
    action: dict[str, Any] = {
        "key": "k",
        "user_key": "u",
        "timestamp": MOMENT,
        "metadata": {"a": 1},
    }
    if how == "emit_action":
        client.emit_action(**action)
    elif how == "emit_actions":
        client.emit_actions([action])
    else:
        pyarrow = pytest.importorskip("pyarrow")
        client.emit_table(pyarrow.table({name: [value] for name, value in action.items()}))
    (found,) = client.actions
    assert (
        found.metadata == orjson.loads(EventIds("event").with_id(record_of({"a": 1})))["metadata"]
    )


def test_the_id_is_that_of_what_before_send_returns_and_identities_have_none() -> None:
    def before_send(event: dict[str, Any]) -> dict[str, Any]:
        return {**event, "metadata": {"kept": event["metadata"].get("_id")}}

    client = RecordingClient(ClientConfig("key", event_id="_id", before_send=before_send))
    client.emit_action("k", "u", timestamp=MOMENT, metadata={"_id": 7})
    wanted = orjson.loads(EventIds("_id").with_id(record_of({"kept": 7})))["metadata"]
    assert client.actions[0].metadata == wanted
    client.identify("u", {"plan": "free"})
    assert client.identities[0].metadata == {"kept": None}
