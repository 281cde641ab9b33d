"""HTTPOptions accepts what a request can carry, and refuses the rest."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.config import HTTPOptions
from tests.config.refusals import http_refusal


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


@pytest.mark.parametrize("field", ["ca_file", "client_cert", "client_key"])
def test_a_file_may_be_a_path_and_is_kept_as_text(field: str, pem: Path) -> None:
    options: dict[str, Any] = {"client_cert": pem, field: pem}
    assert getattr(HTTPOptions(**options), field) == str(pem)


@pytest.mark.parametrize("field", ["ca_file", "client_cert", "client_key"])
@pytest.mark.parametrize("path", ["no/such/file.pem", "", ".", "a\0b", b"some.pem", 5])
def test_a_file_that_does_not_exist_is_refused(field: str, path: object) -> None:
    error = http_refusal(**{field: path})
    assert error.field == field
    assert str(error).startswith(f"{field}={path!r}: ")


def test_a_file_that_cannot_be_read_is_refused(pem: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The superuser may read anything, so a mode of 0 would prove nothing here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be read" in str(http_refusal(ca_file=pem))


def test_a_client_key_without_a_certificate_is_refused(pem: Path) -> None:
    assert "set client_cert" in str(http_refusal(client_key=pem))


def test_a_password_without_a_certificate_is_refused_without_showing_it() -> None:
    error = http_refusal(client_key_password="hunter2")
    assert error.field == "client_key_password"
    assert "hunter2" not in str(error)


def test_a_password_that_is_not_text_is_refused_without_showing_it(pem: Path) -> None:
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
def test_a_header_that_the_client_writes_is_refused_with_a_fix(name: str) -> None:
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
def test_a_header_that_would_break_a_request_is_refused_without_showing_it(headers: object) -> None:
    error = http_refusal(headers=headers)
    assert error.field is not None
    assert error.field.startswith("headers")
    assert "hunter2" not in str(error)


def test_gzip_is_always_accepted() -> None:
    assert HTTPOptions(compression="gzip").compression == "gzip"


@pytest.mark.parametrize("present", ["_zstd", "backports.zstd"])
def test_zstd_is_accepted_if_either_library_is_installed(
    present: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == present or None)
    assert HTTPOptions(compression="zstd").compression == "zstd"


def test_zstd_is_refused_with_a_fix_if_no_library_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert 'pip install "dataart-mp[zstd]"' in str(http_refusal(compression="zstd"))


@pytest.mark.parametrize("value", ["br", "GZIP", True, ["gzip"]])
def test_another_compression_is_refused(value: object) -> None:
    assert http_refusal(compression=value).field == "compression"


@pytest.mark.parametrize("value", [1, "yes", None])
def test_trust_env_must_be_a_bool(value: object) -> None:
    assert http_refusal(trust_env=value).field == "trust_env"
