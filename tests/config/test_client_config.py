"""ClientConfig has the documented defaults and rules."""

import dataclasses
from datetime import timedelta

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.config import client_config as client_config_module
from dataart_mp.errors import ConfigError
from tests.config.refusals import KEY, refusal


def test_only_the_api_key_is_needed_and_the_rest_has_the_documented_defaults() -> None:
    assert vars(ClientConfig(KEY)) == {
        "api_key": KEY,
        "base_url": "https://src.datartproject.com",
        "flush_buffer_size": 1000,
        "flush_num_workers": 32,
        "adaptive": True,
        "flush_num_processes": None,
        "flush_num_retries": 3,
        "flush_backoff_ratio": 5.0,
        "backoff": "linear",
        "backoff_jitter": True,
        "delivery_timeout": None,
        "flush_actions_batch_size": 20,
        "flush_interval": 5.0,
        "max_request_bytes": 128 * 1024,
        "overflow": "block",
        "block_timeout": None,
        "spool_dir": None,
        "spool_max_bytes": 1 << 30,
        "spool_overflow": "drop_oldest",
        "spool_sync": "none",
        "flush_max_batch_size": 500,
        "exit_timeout": 5.0,
        "http": HTTPOptions(),
        "on_failure": None,
        "before_send": None,
        "sample_rate": 1.0,
        "default_metadata": None,
        "pool_factory": None,
        "api_key_file": None,
        "event_id": None,
    }


def test_the_default_of_flush_max_batch_size_refuses_no_larger_batches() -> None:
    assert ClientConfig(KEY, flush_actions_batch_size=501).flush_max_batch_size == 500
    error = refusal(flush_actions_batch_size=501, flush_max_batch_size=499)
    assert "must be flush_actions_batch_size=501 or more, or None" in str(error)


def test_all_but_the_key_must_be_named() -> None:
    with pytest.raises(TypeError):
        ClientConfig(KEY, "https://host")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        HTTPOptions(5.0)  # type: ignore[call-arg]


def test_the_configuration_from_the_go_clients_readme_is_accepted() -> None:
    config = ClientConfig(
        api_key="your-api-key",
        flush_buffer_size=100,
        flush_num_workers=16,
        flush_num_retries=3,
        flush_backoff_ratio=5,
        flush_actions_batch_size=20,
        flush_interval=timedelta(seconds=5),
    )
    assert config.flush_backoff_ratio == 5.0


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ClientConfig(KEY).flush_interval = 1.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        HTTPOptions().proxy = None  # type: ignore[misc]


def test_a_changed_copy_is_checked_again() -> None:
    config = ClientConfig(KEY, block_timeout=1)
    assert dataclasses.replace(config, flush_interval=timedelta(1)).flush_interval == 86400.0
    with pytest.raises(ConfigError, match="flush_interval=0"):
        dataclasses.replace(config, flush_interval=0)


def test_equal_settings_make_equal_configurations_with_one_hash() -> None:
    one, other = (ClientConfig(KEY, http=HTTPOptions(headers={"X-A": "1"})) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)


def test_hooks_of_mutable_values_leave_a_configuration_hashable() -> None:
    one, other = (
        ClientConfig(KEY, sample_rate={"a": 0.5}, default_metadata={"app": "shop"})
        for _ in range(2)
    )
    assert one == other
    assert hash(one) == hash(other)


def test_mappings_of_hooks_are_copied() -> None:
    rates, metadata = {"a": 0.5}, {"app": "shop"}
    config = ClientConfig(KEY, sample_rate=rates, default_metadata=metadata)
    rates.clear()
    metadata.clear()
    assert (config.sample_rate, config.default_metadata) == ({"a": 0.5}, {"app": "shop"})


class AsyncHook:
    async def __call__(self, *_: object) -> None: ...


async def _async_hook(*_: object) -> None: ...


@pytest.mark.parametrize("field", ["before_send", "default_metadata"])
@pytest.mark.parametrize("hook", [_async_hook, AsyncHook()], ids=["function", "object"])
def test_an_async_hook_is_refused(field: str, hook: object) -> None:
    assert "must not be async" in str(refusal(**{field: hook}))


def test_more_processes_than_workers_are_refused() -> None:
    error = refusal(flush_num_workers=2, flush_num_processes=3)
    assert str(error) == (
        "flush_num_processes=3: must be flush_num_workers=2 or less, because each process sends "
        "requests"
    )


@pytest.mark.parametrize("overflow", ["drop", "raise"])
def test_a_block_timeout_without_blocking_is_refused_with_both_fixes(overflow: str) -> None:
    error = refusal(overflow=overflow, block_timeout=1.0)
    assert error.field == "block_timeout"
    assert f"has no effect when overflow='{overflow}'" in str(error)
    assert 'set overflow="block", or leave it out' in str(error)


def test_an_api_key_in_latin_1_is_accepted() -> None:
    assert ClientConfig("clé").api_key == "clé"


@pytest.mark.parametrize(
    ("cpus", "workers", "expected"), [(1, 16, 2), (2, 16, 2), (64, 16, 4), (64, 3, 3), (64, 1, 1)]
)
def test_processes_are_chosen_from_cpus_and_workers_and_are_two_to_four(
    cpus: int, workers: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_config_module, "available_cpus", lambda: cpus)
    assert ClientConfig(KEY, flush_num_workers=workers).num_processes == expected


def test_a_given_number_of_processes_is_used() -> None:
    assert ClientConfig(KEY, flush_num_processes=7).num_processes == 7
