"""A configuration is either right or refused, by field, value and remedy; and it keeps secrets."""

import contextlib
import copy
import dataclasses
import importlib.util
import inspect
import json
import math
import os
import pickle
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from dataart_mp.config import ClientConfig, HTTPOptions, environment
from dataart_mp.config import client_config as client_config_module
from dataart_mp.config.cpus import available_cpus
from dataart_mp.errors import ConfigError

KEY = "sk-very-secret-key"


def refusal(**settings: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        ClientConfig(**{"api_key": KEY, **settings})
    return caught.value


def http_refusal(**options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        HTTPOptions(**options)
    return caught.value


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "some.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    return path


# --- what is right -----------------------------------------------------------------------------


def test_only_the_api_key_is_needed_and_the_rest_has_the_documented_defaults() -> None:
    assert vars(ClientConfig(KEY)) == {
        "api_key": KEY,
        "base_url": "https://src.datartproject.com",
        "flush_buffer_size": 1000,
        "flush_num_workers": 16,
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
        "flush_max_batch_size": None,
        "exit_timeout": 5.0,
        "http": HTTPOptions(),
        "on_failure": None,
        "pool_factory": None,
    }


def test_the_http_options_have_the_documented_defaults() -> None:
    assert vars(HTTPOptions()) == {
        "connect_timeout": 5.0,
        "read_timeout": 30.0,
        "proxy": None,
        "ca_file": None,
        "client_cert": None,
        "client_key": None,
        "client_key_password": None,
        "headers": {},
        "compression": None,
        "trust_env": True,
    }


def test_all_but_the_key_must_be_named() -> None:
    with pytest.raises(TypeError):
        ClientConfig(KEY, "https://host")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        HTTPOptions(5.0)  # type: ignore[call-arg]


def test_the_configuration_of_the_go_client_s_readme_is_accepted() -> None:
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


@pytest.mark.parametrize(
    "field", ["flush_backoff_ratio", "flush_interval", "block_timeout", "exit_timeout"]
)
def test_a_span_of_time_may_be_a_timedelta_and_is_kept_in_float_seconds(field: str) -> None:
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
def test_an_interval_or_ratio_below_go_s_minimum_is_accepted(seconds: float) -> None:
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
        {"pool_factory": "package.module:factory"},
        {"pool_factory": "module:Class.method"},
        {"on_failure": print},
    ],
    ids=str,
)
def test_a_value_at_the_edge_of_what_is_right_is_accepted(settings: dict[str, Any]) -> None:
    ((field, value),) = settings.items()
    assert getattr(ClientConfig(KEY, **settings), field) == value


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


# --- what is wrong -----------------------------------------------------------------------------

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
def test_what_is_no_whole_number_in_range_is_refused_by_name_and_value(
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
def test_what_is_no_span_of_time_is_refused_by_name(field: str, value: object) -> None:
    error = refusal(**{field: value})
    assert error.field == field
    assert str(error).startswith(f"{field}={error.shown}: must be ")


@pytest.mark.parametrize("field", ["connect_timeout", "read_timeout"])
@pytest.mark.parametrize("value", [*NOT_A_SPAN, 0, None], ids=lambda value: str(value)[:20])
def test_what_is_no_http_timeout_is_refused_by_name(field: str, value: object) -> None:
    assert http_refusal(**{field: value}).field == field


@pytest.mark.parametrize("field", ["flush_backoff_ratio", "flush_interval"])
@pytest.mark.parametrize("value", [0, 0.0, timedelta(0)])
def test_an_interval_or_ratio_of_zero_is_refused(field: str, value: object) -> None:
    assert refusal(**{field: value}).field == field


def test_more_processes_than_workers_are_refused() -> None:
    error = refusal(flush_num_workers=2, flush_num_processes=3)
    assert str(error) == (
        "flush_num_processes=3: must be flush_num_workers=2 or less: each process sends something"
    )


@pytest.mark.parametrize("overflow", ["drop", "raise"])
def test_a_block_timeout_without_blocking_is_refused_with_both_remedies(overflow: str) -> None:
    error = refusal(overflow=overflow, block_timeout=1.0)
    assert error.field == "block_timeout"
    assert 'set overflow="block", or leave it out' in str(error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backoff", "Linear"),
        ("backoff", None),
        ("backoff", ["linear"]),
        ("backoff_jitter", 1),
        ("spool_max_bytes", 1000),
        ("spool_overflow", "refuse"),
        ("flush_max_batch_size", 19),
        ("delivery_timeout", 0),
        ("overflow", "Block"),
        ("overflow", None),
        ("overflow", ["block"]),
        ("on_failure", "print"),
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


@pytest.mark.parametrize(
    "key", ["", " ", "\n", f"{KEY}\n", f" {KEY}", "a\r\nb", "a\0b", "a\x7fb", "ключ", "a€b"]
)
def test_an_api_key_that_does_not_fit_a_header_is_refused_unseen(key: str) -> None:
    error = refusal(api_key=key)
    assert (error.field, error.shown) == ("api_key", "***")
    assert not key.strip() or key.strip() not in str(error)


@pytest.mark.parametrize("key", [None, KEY.encode(), 5, [KEY]])
def test_an_api_key_that_is_no_text_is_refused_unseen(key: object) -> None:
    error = refusal(api_key=key)
    assert "must be text" in str(error)
    assert "secret" not in str(error)


def test_an_api_key_in_latin_1_is_accepted() -> None:
    assert ClientConfig("clé").api_key == "clé"


# --- the platform's address --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://host", "https://host"),
        ("https://host/", "https://host"),
        ("https://host/prefix", "https://host/prefix"),
        ("https://host/prefix//", "https://host/prefix"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/a/b/", "http://[::1]:8080/a/b"),
        ("HTTPS://Host", "HTTPS://Host"),
    ],
)
def test_a_path_prefix_is_kept_and_a_slash_at_the_end_is_not(given: str, kept: str) -> None:
    assert ClientConfig(KEY, base_url=given).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host",
        "host:443",
        "//host",
        "ftp://host",
        "https://",
        "https:///path",
        "https://:443",
        "https://host:port",
        "https://host:99999",
        "https://[::1",
        "https://ho st",
        "https://host\n",
        "https://host/\tx",
        "https://hôst",
        "https://h%zz",
        "https://h%41",
        "https://ho\\st",
        "https://[1.2.3.4]",
        "https://[v1.x]",
        "https://[::1%]",
        "https://[::1]x",
        "https://host?",
        "https://host?a=b",
        "https://host#",
        "https://host#x",
        b"https://host",
        None,
    ],
)
def test_what_is_no_address_of_a_platform_is_refused(url: object) -> None:
    assert refusal(base_url=url).field == "base_url"


@pytest.mark.parametrize(
    "url",
    [
        "https://ann:hunter2@host",
        "https://ann:hunter2@host:port",
        "https://ann:hun@hunter2/hunter2@host",
        "ftp://hunter2@host",
        "ann:hunter2@host",
        "https://host?token=hunter2",
        "https://host#hunter2",
        "https://ann:hunter2\n@host",
        "https://ann:hunter2@h%zz",
        "https://ann:\\hunter2@host",
        b"https://ann:hunter2@host",
        ["https://ann:hunter2@host"],
    ],
)
def test_a_secret_in_a_refused_address_is_not_shown(url: object) -> None:
    proxy = f"{url}?hunter2" if isinstance(url, str) else url
    for error in (refusal(base_url=url), http_refusal(proxy=proxy)):
        assert "hunter2" not in str(error)
        assert "hunter2" not in repr(error)
        assert error.__cause__ is None
        assert error.__context__ is None
        assert "***" in str(error)


PIECES = ["ann", ":", "@", "[", "]", "%", "%25", "%zz", "\\", "/", "?", ".", "::1", "fe80::1", "-"]
PIECES += ["1.2.3.4", "80", "0", "065535", "65536", "host", "v1.x", "!", "^", "_", "~", "&"]


@settings(max_examples=500, deadline=None)
@example(["[", "::1", "%25", "host", "]", ":", "80"])
@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_what_is_accepted_as_an_address_can_be_sent_to(pieces: list[str]) -> None:
    """Or else no worker could start."""
    url = "http://" + "".join(pieces)
    with contextlib.suppress(ConfigError):
        ClientConfig(KEY, base_url=url)
        assert parse_url(url).host == urllib3_host(url)
    with contextlib.suppress(ConfigError):
        HTTPOptions(proxy=url)
        assert parse_url(url).host == urllib3_host(url)


def urllib3_host(url: str) -> str:
    """The host that the configuration sees, as urllib3 writes it."""
    host = urlsplit(url).hostname or ""
    return f"[{host.replace('%25', '%')}]" if ":" in host else host


# --- how requests travel -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "proxy", ["http://proxy:3128", "https://ann:hunter2@proxy:3128", "http://proxy:3128/"]
)
def test_a_proxy_with_or_without_a_password_is_accepted(proxy: str) -> None:
    assert HTTPOptions(proxy=proxy).proxy == proxy


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://proxy/path", "", 3128])
def test_what_is_no_http_proxy_is_refused(proxy: object) -> None:
    assert http_refusal(proxy=proxy).field == "proxy"


@pytest.mark.parametrize("field", ["ca_file", "client_cert", "client_key"])
def test_a_file_may_be_a_path_and_is_kept_as_text(field: str, pem: Path) -> None:
    options: dict[str, Any] = {"client_cert": pem, field: pem}
    assert getattr(HTTPOptions(**options), field) == str(pem)


@pytest.mark.parametrize("field", ["ca_file", "client_cert", "client_key"])
@pytest.mark.parametrize("path", ["no/such/file.pem", "", ".", "a\0b", b"some.pem", 5])
def test_a_file_that_is_not_there_is_refused(field: str, path: object) -> None:
    error = http_refusal(**{field: path})
    assert error.field == field
    assert str(error).startswith(f"{field}={path!r}: ")


def test_a_file_that_cannot_be_read_is_refused(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser may read anything, so a mode of 0 would prove nothing here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be read" in str(http_refusal(ca_file=pem))


def test_a_client_key_without_a_certificate_is_refused(pem: Path) -> None:
    assert "set client_cert" in str(http_refusal(client_key=pem))


def test_a_password_without_a_certificate_is_refused_unseen() -> None:
    error = http_refusal(client_key_password="hunter2")
    assert error.field == "client_key_password"
    assert "hunter2" not in str(error)


def test_a_password_that_is_no_text_is_refused_unseen(pem: Path) -> None:
    error = http_refusal(client_cert=pem, client_key_password=b"hunter2")
    assert "hunter2" not in str(error)


def test_extra_headers_are_copied() -> None:
    headers = {"X-Team": "ads", "User-Agent": "mine/1"}
    options = HTTPOptions(headers=headers)
    headers["X-Team"] = "changed"
    assert options.headers == {"X-Team": "ads", "User-Agent": "mine/1"}


@pytest.mark.parametrize(
    "name",
    [
        "X-API-Key",
        "x-api-key",
        "Content-Type",
        "Content-Length",
        "Content-Encoding",
        "Host",
        "Transfer-Encoding",
        "Connection",
        "Idempotency-Key",
    ],
)
def test_a_header_that_the_client_writes_is_refused_with_a_remedy(name: str) -> None:
    error = http_refusal(headers={name: "hunter2"})
    assert f"headers[{name!r}]=***: belongs to the client; " in str(error)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "hunter2\r\nX-B: 1"},
        {"X-A": "hunter2\n"},
        {"X-A": "hunter2\0"},
        {"X-A": "hunter2 €"},
        {"X-A": b"hunter2"},
        {"X-A": None},
        {"X A": "hunter2"},
        {"X-A:": "hunter2"},
        {"": "hunter2"},
        {"X-A\n": "hunter2"},
        {b"X-A": "hunter2"},
        {"X-A": "hunter2", "x-a": "hunter2"},
        [("X-A", "hunter2")],
        "X-A: hunter2",
        None,
    ],
    ids=repr,
)
def test_a_header_that_would_break_a_request_is_refused_unseen(headers: object) -> None:
    error = http_refusal(headers=headers)
    assert error.field is not None
    assert error.field.startswith("headers")
    assert "hunter2" not in str(error)


def test_gzip_needs_nothing_else() -> None:
    assert HTTPOptions(compression="gzip").compression == "gzip"


@pytest.mark.parametrize("present", ["_zstd", "backports.zstd"])
def test_zstd_is_accepted_where_either_library_is(
    present: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == present or None)
    assert HTTPOptions(compression="zstd").compression == "zstd"


def test_zstd_is_refused_with_a_remedy_where_no_library_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert 'pip install "dataart-mp[zstd]"' in str(http_refusal(compression="zstd"))


@pytest.mark.parametrize("value", ["br", "GZIP", True, ["gzip"]])
def test_another_compression_is_refused(value: object) -> None:
    assert http_refusal(compression=value).field == "compression"


@pytest.mark.parametrize("value", [1, "yes", None])
def test_trust_env_must_be_a_bool(value: object) -> None:
    assert http_refusal(trust_env=value).field == "trust_env"


# --- secrets -----------------------------------------------------------------------------------


@pytest.fixture
def secretive(pem: Path) -> ClientConfig:
    http = HTTPOptions(
        proxy="http://ann:hunter2@proxy:3128",
        client_cert=pem,
        client_key_password="hunter2",
        headers={"Authorization": "Bearer hunter2"},
    )
    return ClientConfig("hunter2", http=http)


@pytest.mark.parametrize("show", [repr, str, "{}".format], ids=["repr", "str", "format"])
def test_no_secret_is_shown(show: Callable[[object], str], secretive: ClientConfig) -> None:
    assert "hunter2" not in show(secretive)
    assert "hunter2" not in show(secretive.http)


def test_the_repr_shows_all_that_is_no_secret(secretive: ClientConfig) -> None:
    text = repr(secretive)
    assert text.startswith("ClientConfig(api_key='***', base_url='https://src.datartproject.com',")
    assert "proxy='http://***@proxy:3128'" in text
    assert "headers={'Authorization': '***'}" in text
    assert "client_key_password='***'" in text


def test_what_is_not_set_is_not_masked() -> None:
    assert "proxy=None" in repr(HTTPOptions())
    assert "client_key_password=None" in repr(HTTPOptions())


def test_a_refused_sibling_does_not_show_the_key() -> None:
    assert KEY not in str(refusal(flush_interval=-1))


def test_the_help_on_from_env_does_not_show_the_environment() -> None:
    assert "environ({" not in str(inspect.signature(ClientConfig.from_env))


# --- to another process ------------------------------------------------------------------------


def test_a_configuration_survives_pickling_and_copying(secretive: ClientConfig) -> None:
    assert pickle.loads(pickle.dumps(secretive)) == secretive
    assert copy.deepcopy(secretive) == secretive


def test_a_configuration_survives_plain_json(secretive: ClientConfig) -> None:
    data = json.loads(json.dumps(secretive.to_wire()))
    assert ClientConfig.from_wire(data) == secretive


def test_the_wire_form_leaves_the_callback_at_home() -> None:
    config = ClientConfig(KEY, on_failure=lambda failure: None)
    assert "on_failure" not in config.to_wire()
    assert ClientConfig.from_wire(config.to_wire()) == config.without_callbacks()


def test_a_configuration_without_callbacks_can_be_pickled() -> None:
    config = ClientConfig(KEY, flush_interval=1.5, on_failure=lambda failure: None)
    rest = pickle.loads(pickle.dumps(config.without_callbacks()))
    assert rest == ClientConfig(KEY, flush_interval=1.5)


def test_changing_the_wire_form_does_not_change_the_configuration() -> None:
    config = ClientConfig(KEY, http=HTTPOptions(headers={"X-A": "1"}))
    config.to_wire()["http"]["headers"]["X-A"] = "2"
    assert config.http.headers == {"X-A": "1"}


# --- how many processes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpus", "workers", "expected"), [(1, 16, 2), (2, 16, 2), (64, 16, 4), (64, 3, 3), (64, 1, 1)]
)
def test_processes_are_chosen_from_cpus_and_workers_and_are_two_to_four(
    cpus: int, workers: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_config_module, "available_cpus", lambda: cpus)
    assert ClientConfig(KEY, flush_num_workers=workers).num_processes == expected


def test_a_number_of_processes_that_is_given_is_kept() -> None:
    assert ClientConfig(KEY, flush_num_processes=7).num_processes == 7


def test_the_cpus_of_the_affinity_mask_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert available_cpus() == 3


def test_a_newer_python_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 5, raising=False)
    assert available_cpus() == 5


def test_at_least_one_cpu_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1


# --- from the environment ----------------------------------------------------------------------

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


def test_no_setting_is_forgotten_in_the_table_of_variables() -> None:
    fields = {field.name for field in dataclasses.fields(ClientConfig)}
    assert fields - set(environment.CLIENT_PARSERS) == {"http", "on_failure"}
    http_fields = {field.name for field in dataclasses.fields(HTTPOptions)}
    assert http_fields == set(environment.HTTP_PARSERS)


def test_an_argument_beats_the_environment_which_beats_the_default() -> None:
    environ = {"DATAART_FLUSH_INTERVAL": "2", "DATAART_FLUSH_NUM_WORKERS": "8"}
    config = ClientConfig.from_env(environ, api_key=KEY, flush_interval=1.0)
    assert config == ClientConfig(KEY, flush_interval=1.0, flush_num_workers=8)


def test_a_variable_that_an_argument_beats_is_not_even_read() -> None:
    environ = {"DATAART_FLUSH_INTERVAL": "soon", "DATAART_HTTP_TRUST_ENV": "perhaps"}
    config = ClientConfig.from_env(environ, api_key=KEY, flush_interval=1.0, http=HTTPOptions())
    assert config.flush_interval == 1.0


def test_an_argument_http_replaces_all_variables_of_http() -> None:
    config = ClientConfig.from_env(
        {"DATAART_HTTP_READ_TIMEOUT": "2"}, api_key=KEY, http=HTTPOptions(connect_timeout=1)
    )
    assert config.http == HTTPOptions(connect_timeout=1)


def test_a_callback_is_given_as_an_argument() -> None:
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
def test_a_bad_text_is_refused_with_the_name_of_its_variable(name: str, text: str) -> None:
    error = env_refusal({name: text})
    assert str(error).startswith(name)
    assert "must " in str(error) or "belongs" in str(error) or "no such file" in str(error)
    field = name.removeprefix("DATAART_").removeprefix("HTTP_").lower()
    assert str(error.field).partition("[")[0] == field


def test_a_bad_argument_is_not_blamed_on_the_environment() -> None:
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
def test_the_environment_s_words_for_true(text: str) -> None:
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


def test_variables_of_others_and_our_own_between_processes_are_let_be() -> None:
    environ = {"DATAART_API_KEY": KEY, "DATAART_MP_ANYTHING": "1", "DATA": "1", "PATH": "/bin"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ClientConfig.from_env(environ)
