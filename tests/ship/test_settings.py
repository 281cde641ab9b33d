"""Settings are checked at once, show no secret, and reach executors."""

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp import ClientConfig, ConfigError, HTTPOptions, TableError, lit
from dataart_mp.ship import ShipSettings, check_schema
from dataart_mp.ship.settings import check_part
from dataart_mp.table.column_map import MetadataColumn
from dataart_mp.table.terms import Terms
from tests.ship.visits import SENT_AT, settings_for, visits

pyarrow = pytest.importorskip("pyarrow")

CONFIG = ClientConfig("very-secret", http=HTTPOptions(headers={"X-Token": "secret-too"}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"source": "my job"}, "source='my job': must have 1 to 100 letters"),
        ({"source": ".."}, "source='..': must have 1 to 100"),
        ({"batch_size": 0}, "batch_size=0: must be 1 or more"),
        ({"in_flight": "4"}, "in_flight='4': must be a whole number"),
        ({"on_bad_row": "ignore"}, 'on_bad_row=\'ignore\': must be "fail" or "skip"'),
        ({"on_rejected": None}, 'on_rejected=None: must be "fail" or "skip"'),
        ({"rate_limit": 0}, "rate_limit=0: must be requests per second, more than zero"),
        ({"sent_at": SENT_AT.replace(tzinfo=None)}, "must be a datetime with a UTC offset"),
        ({"metadata": [], "metadata_json_column": "m"}, "mutually exclusive; leave one out"),
        ({"event_id_columns": ["a"]}, r"event_id_columns=\('a',\): has no effect without event_id"),
        ({"event_id": ""}, "event_id='': must be a name in the metadata, such as"),
        ({"config": "very-secret"}, r"config=<class 'str'>: must be ClientConfig\(...\)"),
        ({"config": ClientConfig("k", sample_rate=0.5)}, "config.sample_rate=0.5: is a hook"),
        (
            {"config": ClientConfig("k", before_send=dict)},
            "config.before_send=<class",
        ),
    ],
)
def test_a_refused_value_is_named_with_the_fix(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_for(**{"config": CONFIG, **given})


def test_the_name_of_a_part_is_checked() -> None:
    assert check_part("17-3") == "17-3"
    with pytest.raises(ConfigError, match="part='a/b': must have 1 to 60 letters"):
        check_part("a/b")


def test_settings_survive_pickling_with_the_key_and_show_no_secret() -> None:
    def on_failure(failure: object) -> None:
        """Be a function that does not survive pickling."""

    config = ClientConfig("very-secret", http=CONFIG.http, on_failure=on_failure)
    settings = settings_for(config, metadata={"p": "page", "from": lit("import")})
    copy: ShipSettings = pickle.loads(pickle.dumps(settings))
    assert copy == settings
    assert copy.config.api_key == "very-secret"
    assert "secret" not in repr(copy)
    assert "secret" not in str(copy)


def test_the_outer_timestamp_is_fixed_when_the_settings_are_made() -> None:
    before = datetime.now(UTC)
    settings = ShipSettings(config=CONFIG, source="job")
    assert settings.sent_at is not None
    assert before <= settings.sent_at <= datetime.now(UTC)
    assert pickle.loads(pickle.dumps(settings)).sent_at == settings.sent_at


SPARK_LIKE = Terms(
    fields={
        "key": "key_column",
        "user_key": "user_key_column",
        "timestamp": "timestamp_column",
        "is_anonymous_user": "anonymous_column",
    },
    choose='set {option}, or .option("{name}", VALUE)',
    or_constant="",
)


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"user_key": "usr"}, "user_key", "user_key: no column 'usr' in user_key, timestamp"),
        ({"key": None}, "key", "no column 'key' in .*; pass key=COLUMN, or key=lit"),
        ({"key": "_i"}, "key", "key: no column '_i' in .*; did you mean '_id'"),
        ({"metadata": ["pages"]}, "metadata", "metadata: no column 'pages' in .* mean 'page'"),
        ({"timestamp": "page"}, None, ""),
        ({"timestamp": "_id"}, "timestamp", "'_id' has the type int64, but needs timestamps or"),
        ({"event_id": "i", "event_id_columns": ["a"]}, "event_id_columns", "no column 'a' in"),
        ({"metadata_json_column": "json"}, "metadata_json_column", "no column 'json' in"),
        ({"metadata_json_column": "_id"}, "metadata_json_column", "int64, but needs JSON text"),
        ({"timestamp": lit("yesterday")}, "timestamp", "timestamp: .*'yesterday'.* is "),
        ({"timestamp": SENT_AT.replace(tzinfo=None)}, "timestamp", "no UTC offset; set timezone"),
        ({"timezone": "Viena"}, "timezone", "timezone: 'Viena' is not a time zone"),
        ({"terms": SPARK_LIKE, "user_key": "u"}, "user_key", "user_key_column: no column 'u' in"),
        ({"metadata": [MetadataColumn("p", "page", "text")]}, None, ""),
        ({"metadata": [MetadataColumn("p", "page", "str")]}, "metadata", "'str', the type of 'p'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_at_once(
    given: dict[str, Any], field: str | None, message: str
) -> None:
    settings = settings_for(CONFIG, **given)
    if field is None:
        check_schema(visits(3).schema, settings)
        return
    with pytest.raises(TableError, match=message) as caught:
        check_schema(visits(3).schema, settings)
    assert caught.value.field == field


def test_a_timestamp_is_required_with_a_zone() -> None:
    schema = pyarrow.schema({"user_key": pyarrow.string()})
    with pytest.raises(TableError, match="timestamp: no column 'timestamp' in user_key; pass time"):
        check_schema(schema, settings_for(CONFIG))
    check_schema(schema, settings_for(CONFIG, timestamp=SENT_AT))
    naive = schema.append(pyarrow.field("timestamp", pyarrow.timestamp("us")))
    with pytest.raises(TableError, match=r"timestamp\[us\], without a zone; set timezone, for"):
        check_schema(naive, settings_for(CONFIG))
    check_schema(naive, settings_for(CONFIG, timezone="Europe/Vienna"))
