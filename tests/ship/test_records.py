"""Records of a part are those that `emit_action` makes, with the same ids."""

import datetime
import itertools
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from dataart_mp import ClientConfig, lit
from dataart_mp.producer.encoder import encode_action
from dataart_mp.producer.event_ids import EventIds
from dataart_mp.ship.records import Recorder
from dataart_mp.ship.schema import columns_of
from tests.ship.visits import settings_for

pyarrow = pytest.importorskip("pyarrow")

CONFIG = ClientConfig("key")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MOMENTS = st.datetimes(
    datetime.datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime.datetime(9999, 1, 1),  # noqa: DTZ001
    timezones=st.just(datetime.UTC),
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "user_key": st.one_of(TEXT, st.none()),
            "timestamp": MOMENTS,
            "price": st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.none()),
            "note": st.one_of(TEXT, st.none()),
        }
    ),
    max_size=12,
)
SCHEMA = pyarrow.schema(
    {
        "user_key": pyarrow.string(),
        "timestamp": pyarrow.timestamp("us", "UTC"),
        "price": pyarrow.float64(),
        "note": pyarrow.string(),
    }
)


def records_of(table: Any, rows_in_a_batch: int = 1000, **given: Any) -> tuple[list[bytes], Any]:
    """Return the records of a table, and what encoded them."""
    settings = settings_for(CONFIG, **{"on_bad_row": "skip", **given})
    columns = columns_of(table.schema, settings)
    recorder = Recorder(columns, table.schema.names, settings, "0")
    content = b""
    for batch in table.to_batches(max_chunksize=rows_in_a_batch):
        for records in recorder.encode(batch.select(recorder.names)):
            content += bytes(records.memory[records.ends[0] : records.ends[-1]])
            assert records.ends[-1] - records.ends[0] == sum(map(len, lines(records)))
    return content.splitlines(keepends=True), recorder


def lines(records: Any) -> list[bytes]:
    ends = records.ends
    pairs = itertools.pairwise(ends)
    found = [bytes(records.memory[start:end]) for start, end in pairs]
    assert all(line.count(b"\n") == 1 for line in found)
    return found


@given(ROWS, st.integers(1, 5))
def test_records_are_those_of_emit_action_however_rows_are_divided(
    rows: list[dict[str, Any]], rows_in_a_batch: int
) -> None:
    table = pyarrow.Table.from_pylist(rows, SCHEMA)
    found, recorder = records_of(table, rows_in_a_batch, event_id="_id")
    ids = EventIds("_id")
    wanted = [
        ids.with_id(
            encode_action(
                "visit",
                row["user_key"],
                False,
                row["timestamp"],
                {"price": row["price"], "note": row["note"]},
            )
        )
        for row in rows
        if row["user_key"]
    ]
    assert found == wanted
    assert recorder.bad_rows == len(rows) - len(wanted)
    bad = [number for number, row in enumerate(rows) if not row["user_key"]]
    assert [one.row for one in recorder.bad_samples] == bad[:10]


def test_columns_decide_about_the_id_if_they_are_named() -> None:
    rows: list[dict[str, Any]] = [
        {"user_key": "ann", "order": 1, "line": "a", "price": 2.5},
        {"user_key": "ann", "order": 1, "line": None, "price": 2.5},
        {"user_key": None, "order": 1, "line": "a", "price": 9.0},
        {"user_key": "bob", "order": 1, "line": "a", "price": 9.0},
    ]
    table = pyarrow.Table.from_pylist(rows)
    moment = datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)
    found, recorder = records_of(
        table,
        timestamp=moment,
        event_id="order_line",
        event_id_columns=["order", "line"],
        metadata=["price"],
    )
    ids = [record.split(b'"order_line":')[1][:34] for record in found]
    assert ids[0] == ids[2] != ids[1]
    assert recorder.bad_rows == 1
    assert b'"order":' not in found[0]


def test_json_text_is_metadata_as_it_is() -> None:
    texts = ['{"a":1.0,"b":[ "x" ]}', "{}", None, '{"a":NaN}', '{"a":"NaN"}', "[1]", '{"a":\n1}']
    texts += ['{"a":1}},{"key":"forged","metadata":{}', '{"a":1', '{"a":[{}', "{}]}", "{},{}"]
    table = pyarrow.table({"json": texts, "user_key": ["u"] * len(texts), "other": texts})
    moment = datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)
    given: dict[str, Any] = {"timestamp": moment, "metadata_json_column": "json"}
    found, recorder = records_of(table, **given)
    metadata = [record.split(b'"metadata":')[1][:-2].decode() for record in found]
    # Line breaks are refused by no parser of JSON: that row is encoded again.
    assert metadata == [*texts[:2], "null", texts[4], '{"a":1}']
    assert recorder.bad_rows == len(texts) - 5
    with_ids, _ = records_of(table, event_id="i", **given)
    assert [bool(b',"i":' in record) for record in with_ids] == [True, False, False, True, True]
    one_by_one, _ = records_of(table, 1, **given)
    assert one_by_one == found


def test_a_constant_key_needs_no_column() -> None:
    table = pyarrow.table({"user_key": [17]})
    moment = datetime.datetime(2021, 5, 4, tzinfo=datetime.UTC)
    (record,), _ = records_of(table, timestamp=lit(moment), key=lit("k"), event_id="_id")
    assert record.startswith(b'{"key":"k","user_key":"17","is_anonymous_user":false,')
    assert b'"metadata":{"_id":"' in record
