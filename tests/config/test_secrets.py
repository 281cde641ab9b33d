"""A configuration never shows its secrets."""

from collections.abc import Callable

import pytest

from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.config.setting import settings_of
from tests.config.refusals import KEY, refusal


@pytest.mark.parametrize("show", [repr, str, "{}".format], ids=["repr", "str", "format"])
def test_no_secret_is_shown(show: Callable[[object], str], secretive: ClientConfig) -> None:
    assert "hunter2" not in show(secretive)
    assert "hunter2" not in show(secretive.http)


def test_the_repr_shows_everything_but_secrets(secretive: ClientConfig) -> None:
    text = repr(secretive)
    assert text.startswith("ClientConfig(api_key='***', base_url='https://src.datartproject.com',")
    assert "proxy='http://***@proxy:3128'" in text
    assert "headers={'Authorization': '***'}" in text
    assert "client_key_password='***'" in text


def test_a_secret_that_is_not_set_is_shown_as_none() -> None:
    assert "proxy=None" in repr(HTTPOptions())
    assert "client_key_password=None" in repr(HTTPOptions())


def test_the_error_of_another_field_does_not_show_the_key() -> None:
    assert KEY not in str(refusal(flush_interval=-1))


@pytest.mark.parametrize(
    "key", ["", " ", "\n", f"{KEY}\n", f" {KEY}", "a\r\nb", "a\0b", "a\x7fb", "ключ", "a€b"]
)
def test_an_api_key_that_cannot_be_sent_in_a_header_is_refused_without_showing_it(key: str) -> None:
    error = refusal(api_key=key)
    assert (error.field, error.shown) == ("api_key", "***")
    assert not key.strip() or key.strip() not in str(error)


@pytest.mark.parametrize("key", [None, KEY.encode(), 5, [KEY]])
def test_an_api_key_that_is_not_text_is_refused_without_showing_it(key: object) -> None:
    error = refusal(api_key=key)
    assert "must be text" in str(error)
    assert "secret" not in str(error)


def test_settings_that_may_contain_a_secret_are_marked() -> None:
    """The text of their variables is not quoted in errors."""
    for cls, secrets in (
        (ClientConfig, ["api_key"]),
        (HTTPOptions, ["proxy", "client_key_password", "headers"]),
    ):
        settings = settings_of(cls).items()
        assert [name for name, setting in settings if setting.is_secret] == secrets
