"""A value that breaks its rule is refused, by field and value."""

import math
from datetime import timedelta
from typing import Any

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions
from tests.config.refusals import KEY, http_refusal, refusal

NOT_WHOLE = [True, 1.5, "16", None, math.nan, timedelta(1), [1]]
WHOLE_FIELDS = {
    "flush_buffer_size": (0, 1_000_001),
    "flush_num_workers": (0, 4097),
    "flush_num_processes": (0, 4097),
    "flush_num_retries": (-1, 1_000_001),
    "flush_actions_batch_size": (0, 1_000_001),
    "max_request_bytes": (1023, 16_777_216),
}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field in WHOLE_FIELDS for value in NOT_WHOLE]
    + [(field, value) for field, values in WHOLE_FIELDS.items() for value in values]
    + [(field, -(10**30)) for field in WHOLE_FIELDS],
)
def test_a_value_that_is_not_a_whole_number_in_range_is_refused_by_name_and_value(
    field: str, value: object
) -> None:
    if (field, value) == ("flush_num_processes", None):
        return  # chosen from the CPUs
    error = refusal(**{field: value})
    assert error.field == field
    assert str(error).startswith(f"{field}={value!r}: must be ")


SPANS = ["flush_backoff_ratio", "flush_interval", "block_timeout", "exit_timeout"]
NOT_A_SPAN = [-1, -0.5, math.nan, math.inf, -math.inf, 1e300, 10**400, True, "5", timedelta(-1)]


@pytest.mark.parametrize("field", SPANS)
@pytest.mark.parametrize("value", [*NOT_A_SPAN, timedelta.max], ids=lambda value: str(value)[:20])
def test_a_value_that_is_not_a_duration_is_refused_by_name(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert error.field == field
    assert str(error).startswith(f"{field}={error.shown}: must be ")


@pytest.mark.parametrize("field", ["connect_timeout", "read_timeout"])
@pytest.mark.parametrize("value", [*NOT_A_SPAN, 0, None], ids=lambda value: str(value)[:20])
def test_a_value_that_is_not_an_http_timeout_is_refused_by_name(field: str, value: object) -> None:
    assert http_refusal(**{field: value}).field == field


@pytest.mark.parametrize("field", ["flush_backoff_ratio", "flush_interval"])
@pytest.mark.parametrize("value", [0, 0.0, timedelta(0)])
def test_an_interval_or_ratio_of_zero_is_refused(field: str, value: object) -> None:
    assert refusal(**{field: value}).field == field


@pytest.mark.parametrize(
    "field", ["flush_backoff_ratio", "flush_interval", "block_timeout", "exit_timeout"]
)
def test_a_duration_may_be_a_timedelta_and_is_kept_in_float_seconds(field: str) -> None:
    settings: dict[str, Any] = {field: timedelta(milliseconds=1500)}
    assert getattr(ClientConfig(KEY, **settings), field) == 1.5
    settings = {field: 2}
    whole = getattr(ClientConfig(KEY, **settings), field)
    assert (whole, type(whole)) == (2.0, float)


@pytest.mark.parametrize("field", ["connect_timeout", "read_timeout"])
def test_an_http_timeout_may_be_a_timedelta_and_is_kept_in_float_seconds(field: str) -> None:
    options: dict[str, Any] = {field: timedelta(milliseconds=1500)}
    assert getattr(HTTPOptions(**options), field) == 1.5


@pytest.mark.parametrize("seconds", [1e-6, 0.001, 4.999])
def test_an_interval_or_ratio_below_the_go_clients_minimum_is_accepted(seconds: float) -> None:
    config = ClientConfig(KEY, flush_interval=seconds, flush_backoff_ratio=seconds)
    assert (config.flush_interval, config.flush_backoff_ratio) == (seconds, seconds)


@pytest.mark.parametrize(
    "settings",
    [
        {"flush_buffer_size": 1},
        {"flush_buffer_size": 1_000_000},
        {"flush_num_workers": 1},
        {"flush_num_workers": 4096},
        {"flush_num_processes": 1},
        {"flush_num_processes": 16},
        {"flush_num_retries": 0},
        {"flush_actions_batch_size": 1},
        {"flush_actions_batch_size": 1_000_000},
        {"max_request_bytes": 1024},
        {"max_request_bytes": 16_777_215},
        {"block_timeout": 0},
        {"exit_timeout": 0},
        {"overflow": "drop"},
        {"overflow": "raise"},
        {"spool_sync": "none"},
        {"spool_sync": "interval"},
        {"spool_sync": "batch"},
        {"pool_factory": "package.module:factory"},
        {"pool_factory": "module:Class.method"},
        {"on_failure": print},
        {"before_send": dict},
        {"sample_rate": 0},
        {"sample_rate": 1},
        {"sample_rate": {"a": 0, "b": 1}},
        {"default_metadata": {}},
        {"default_metadata": dict},
        {"event_id": "_id"},
        {"event_id": None},
    ],
    ids=str,
)
def test_a_value_at_the_limit_is_accepted(settings: dict[str, Any]) -> None:
    ((field, value),) = settings.items()
    assert getattr(ClientConfig(KEY, **settings), field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backoff", "Linear"),
        ("backoff", None),
        ("backoff", ["linear"]),
        ("backoff_jitter", 1),
        ("spool_max_bytes", 1000),
        ("spool_overflow", "refuse"),
        ("spool_sync", "always"),
        ("spool_sync", True),
        ("spool_sync", None),
        ("flush_max_batch_size", 19),
        ("delivery_timeout", 0),
        ("overflow", "Block"),
        ("overflow", None),
        ("overflow", ["block"]),
        ("on_failure", "print"),
        ("before_send", "module:hook"),
        ("before_send", {}),
        ("sample_rate", -0.01),
        ("sample_rate", 1.01),
        ("sample_rate", float("nan")),
        ("sample_rate", True),
        ("sample_rate", None),
        ("sample_rate", "0.5"),
        ("sample_rate", {1: 0.5}),
        ("event_id", ""),
        ("event_id", 7),
        ("event_id", "\ud800"),
        ("default_metadata", []),
        ("default_metadata", "app"),
        ("http", None),
        ("http", {}),
        ("pool_factory", "module"),
        ("pool_factory", "module:"),
        ("pool_factory", ":factory"),
        ("pool_factory", "module:factory()"),
        ("pool_factory", "a..b:factory"),
        ("pool_factory", "a b:factory"),
        ("pool_factory", "a:b:c"),
        ("pool_factory", "class:factory"),
        ("pool_factory", ""),
        ("pool_factory", print),
    ],
)
def test_a_wrong_choice_is_refused_by_name_and_value(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert error.field == field
    assert str(error).startswith(f"{field}={value!r}: must ")
