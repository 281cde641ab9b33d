"""Settings from environment variables."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.config.setting import settings_of
from dataart_mp.errors import ConfigError
from tests.config.refusals import KEY

ENVIRONMENT = {
    "DATAART_API_KEY": KEY,
    "DATAART_BASE_URL": "https://host/prefix",
    "DATAART_FLUSH_BUFFER_SIZE": "10",
    "DATAART_FLUSH_NUM_WORKERS": "8",
    "DATAART_FLUSH_NUM_PROCESSES": "2",
    "DATAART_FLUSH_NUM_RETRIES": "0",
    "DATAART_FLUSH_BACKOFF_RATIO": "0.5",
    "DATAART_BACKOFF": "exponential",
    "DATAART_BACKOFF_JITTER": "off",
    "DATAART_DELIVERY_TIMEOUT": "600",
    "DATAART_FLUSH_ACTIONS_BATCH_SIZE": "500",
    "DATAART_FLUSH_INTERVAL": "1",
    "DATAART_MAX_REQUEST_BYTES": "65536",
    "DATAART_OVERFLOW": "block",
    "DATAART_BLOCK_TIMEOUT": "2.5",
    "DATAART_SPOOL_MAX_BYTES": "2000000",
    "DATAART_SPOOL_OVERFLOW": "refuse_new",
    "DATAART_SPOOL_SYNC": "interval",
    "DATAART_FLUSH_MAX_BATCH_SIZE": "500",
    "DATAART_EXIT_TIMEOUT": "0",
    "DATAART_POOL_FACTORY": "a.b:c",
    "DATAART_HTTP_CONNECT_TIMEOUT": "1",
    "DATAART_HTTP_READ_TIMEOUT": "2",
    "DATAART_HTTP_PROXY": "http://proxy:3128",
    "DATAART_HTTP_CA_FILE": "PEM",
    "DATAART_HTTP_CLIENT_CERT": "PEM",
    "DATAART_HTTP_CLIENT_KEY": "PEM",
    "DATAART_HTTP_CLIENT_KEY_PASSWORD": "hunter2",
    "DATAART_HTTP_HEADERS": '{"X-Team": "ads, and more"}',
    "DATAART_HTTP_COMPRESSION": "gzip",
    "DATAART_HTTP_TRUST_ENV": "no",
}


def env_refusal(environ: Mapping[str, str], **overrides: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        ClientConfig.from_env({"DATAART_API_KEY": KEY, **environ}, **overrides)
    return caught.value


def test_every_setting_but_the_callback_has_its_variable(pem: Path) -> None:
    environ = {name: text.replace("PEM", str(pem)) for name, text in ENVIRONMENT.items()}
    assert ClientConfig.from_env(environ) == ClientConfig(
        KEY,
        base_url="https://host/prefix",
        flush_buffer_size=10,
        flush_num_workers=8,
        flush_num_processes=2,
        flush_num_retries=0,
        flush_backoff_ratio=0.5,
        backoff="exponential",
        backoff_jitter=False,
        delivery_timeout=600,
        flush_actions_batch_size=500,
        flush_interval=1,
        max_request_bytes=65536,
        overflow="block",
        block_timeout=2.5,
        spool_max_bytes=2_000_000,
        spool_overflow="refuse_new",
        spool_sync="interval",
        flush_max_batch_size=500,
        exit_timeout=0,
        pool_factory="a.b:c",
        http=HTTPOptions(
            connect_timeout=1,
            read_timeout=2,
            proxy="http://proxy:3128",
            ca_file=pem,
            client_cert=pem,
            client_key=pem,
            client_key_password="hunter2",
            headers={"X-Team": "ads, and more"},
            compression="gzip",
            trust_env=False,
        ),
    )


def test_only_http_and_the_callback_have_no_variable() -> None:
    callbacks = ["on_failure", "before_send"]
    for cls, without in ((ClientConfig, ["http", *callbacks]), (HTTPOptions, [])):
        settings = settings_of(cls).items()
        assert [name for name, setting in settings if setting.parse is None] == without


@pytest.mark.parametrize(
    ("text", "rate"), [("0.25", 0.25), (".5", 0.5), ("1", 1.0), ('{"a": 0.1}', {"a": 0.1})]
)
def test_a_sample_rate_is_a_number_or_a_json_object(text: str, rate: object) -> None:
    config = ClientConfig.from_env({"DATAART_API_KEY": KEY, "DATAART_SAMPLE_RATE": text})
    assert config.sample_rate == rate


@pytest.mark.parametrize("text", ["half", "{0.1}", "[0.1]", "2", '{"a": 2}', '{"a": "0.1"}'])
def test_another_sample_rate_is_refused_by_the_name_of_its_variable(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^DATAART_SAMPLE_RATE"):
        ClientConfig.from_env({"DATAART_API_KEY": KEY, "DATAART_SAMPLE_RATE": text})


def test_default_metadata_is_a_json_object() -> None:
    environ = {"DATAART_API_KEY": KEY, "DATAART_DEFAULT_METADATA": '{"app": "shop"}'}
    assert ClientConfig.from_env(environ).default_metadata == {"app": "shop"}


def test_the_name_of_event_ids_comes_from_the_environment() -> None:
    environ = {"DATAART_API_KEY": KEY, "DATAART_EVENT_ID": "_id"}
    assert ClientConfig.from_env(environ).event_id == "_id"


def test_an_argument_overrides_the_environment_which_overrides_the_default() -> None:
    environ = {"DATAART_FLUSH_INTERVAL": "2", "DATAART_FLUSH_NUM_WORKERS": "8"}
    config = ClientConfig.from_env(environ, api_key=KEY, flush_interval=1.0)
    assert config == ClientConfig(KEY, flush_interval=1.0, flush_num_workers=8)


def test_a_variable_is_not_parsed_if_an_argument_overrides_it() -> None:
    environ = {"DATAART_FLUSH_INTERVAL": "soon", "DATAART_HTTP_TRUST_ENV": "perhaps"}
    config = ClientConfig.from_env(environ, api_key=KEY, flush_interval=1.0, http=HTTPOptions())
    assert config.flush_interval == 1.0


def test_the_argument_http_replaces_all_http_variables() -> None:
    config = ClientConfig.from_env(
        {"DATAART_HTTP_READ_TIMEOUT": "2"}, api_key=KEY, http=HTTPOptions(connect_timeout=1)
    )
    assert config.http == HTTPOptions(connect_timeout=1)


def test_a_callback_can_be_passed_as_an_argument() -> None:
    failures: list[object] = []
    config = ClientConfig.from_env({"DATAART_API_KEY": KEY}, on_failure=failures.append)
    assert config.on_failure == failures.append


def test_the_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAART_API_KEY", KEY)
    monkeypatch.setenv("DATAART_FLUSH_NUM_RETRIES", "9")
    assert ClientConfig.from_env().flush_num_retries == 9


def test_an_empty_variable_counts_as_unset() -> None:
    environ = {"DATAART_API_KEY": KEY, "DATAART_FLUSH_INTERVAL": "", "DATAART_HTTP_PROXY": ""}
    assert ClientConfig.from_env(environ) == ClientConfig(KEY)


@pytest.mark.parametrize("environ", [{}, {"DATAART_API_KEY": ""}])
def test_a_missing_key_is_refused_with_the_name_of_its_variable(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="set DATAART_API_KEY, or pass api_key"):
        ClientConfig.from_env(environ)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATAART_FLUSH_NUM_WORKERS", "many"),
        ("DATAART_FLUSH_NUM_WORKERS", "1.5"),
        ("DATAART_FLUSH_NUM_WORKERS", "0"),
        ("DATAART_FLUSH_INTERVAL", "5s"),
        ("DATAART_FLUSH_INTERVAL", "nan"),
        ("DATAART_FLUSH_INTERVAL", "-1"),
        ("DATAART_OVERFLOW", "explode"),
        ("DATAART_BASE_URL", "host"),
        ("DATAART_POOL_FACTORY", "x"),
        ("DATAART_HTTP_TRUST_ENV", "perhaps"),
        ("DATAART_HTTP_READ_TIMEOUT", "0"),
        ("DATAART_HTTP_READ_TIMEOUT", "long"),
        ("DATAART_HTTP_CA_FILE", "/no/such/file"),
        ("DATAART_HTTP_HEADERS", "X-Team=ads"),
        ("DATAART_HTTP_HEADERS", '["X-Team"]'),
        ("DATAART_HTTP_HEADERS", '{"Host": "x"}'),
        ("DATAART_HTTP_COMPRESSION", "br"),
    ],
)
def test_an_invalid_text_is_refused_with_the_name_of_its_variable(name: str, text: str) -> None:
    error = env_refusal({name: text})
    assert str(error).startswith(name)
    assert "must " in str(error) or "belongs" in str(error) or "no such file" in str(error)
    field = name.removeprefix("DATAART_").removeprefix("HTTP_").lower()
    assert str(error.field).partition("[")[0] == field


def test_an_invalid_argument_is_not_blamed_on_the_environment() -> None:
    error = env_refusal({"DATAART_FLUSH_INTERVAL": "1"}, flush_interval=-1)
    assert str(error).startswith("flush_interval=-1: ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATAART_API_KEY", "hunter2\n"),
        ("DATAART_HTTP_HEADERS", "hunter2"),
        ("DATAART_HTTP_HEADERS", '{"X-A": "hunter2\\n"}'),
        ("DATAART_HTTP_PROXY", "ann:hunter2@proxy"),
        ("DATAART_HTTP_CLIENT_KEY_PASSWORD", "hunter2"),
        ("DATAART_BASE_URL", "https://ann:hunter2@host"),
    ],
)
def test_a_secret_in_a_refused_variable_is_not_shown(name: str, text: str) -> None:
    error = env_refusal({name: text})
    assert str(error).startswith(name)
    assert "hunter2" not in str(error)
    assert error.__cause__ is None


@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on"])
def test_several_words_for_true_are_accepted(text: str) -> None:
    environ = {"DATAART_API_KEY": KEY, "DATAART_HTTP_TRUST_ENV": text}
    assert ClientConfig.from_env(environ).http.trust_env is True


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DATAART_FLUSH_NUM_WORKRES", "did you mean DATAART_FLUSH_NUM_WORKERS?"),
        ("DATAART_PROXY", "did you mean DATAART_HTTP_PROXY?"),
        ("DATAART_ZZZZZZZZZZZZ", "remove it"),
    ],
)
def test_an_unknown_variable_gives_a_warning_without_its_value(name: str, hint: str) -> None:
    with pytest.warns(UserWarning, match="sets nothing") as caught:
        ClientConfig.from_env({"DATAART_API_KEY": KEY, name: "hunter2"})
    (warning,) = caught
    assert str(warning.message) == f"{name} sets nothing; {hint}"
    assert warning.filename == __file__


def test_unrelated_and_internal_variables_give_no_warning() -> None:
    environ = {"DATAART_API_KEY": KEY, "DATAART_MP_ANYTHING": "1", "DATA": "1", "PATH": "/bin"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ClientConfig.from_env(environ)
