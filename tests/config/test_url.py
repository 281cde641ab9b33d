"""URLs are checked, and a refused one does not show its secrets."""

import contextlib
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from dataart_mp.config import ClientConfig, HTTPOptions
from dataart_mp.errors import ConfigError
from tests.config.refusals import KEY, http_refusal, refusal


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
def test_a_path_prefix_is_kept_and_a_trailing_slash_is_not(given: str, kept: str) -> None:
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
def test_a_base_url_that_is_not_an_http_url_is_refused(url: object) -> None:
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
def test_a_secret_in_a_refused_url_is_not_shown(url: object) -> None:
    proxy = f"{url}?hunter2" if isinstance(url, str) else url
    for error in (refusal(base_url=url), http_refusal(proxy=proxy)):
        assert "hunter2" not in str(error)
        assert "hunter2" not in repr(error)
        assert error.__cause__ is None
        assert error.__context__ is None
        assert "***" in str(error)


PIECES = ["ann", ":", "@", "[", "]", "%", "%25", "%zz", "\\", "/", "?", ".", "::1", "fe80::1", "-"]
PIECES += ["1.2.3.4", "80", "0", "065535", "65536", "host", "v1.x", "!", "^", "_", "~", "&"]


@settings(max_examples=500)
@example(["[", "::1", "%25", "host", "]", ":", "80"])
@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_urllib3_can_send_to_every_url_that_is_accepted(pieces: list[str]) -> None:
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


@pytest.mark.parametrize(
    "proxy", ["http://proxy:3128", "https://ann:hunter2@proxy:3128", "http://proxy:3128/"]
)
def test_a_proxy_with_or_without_a_password_is_accepted(proxy: str) -> None:
    assert HTTPOptions(proxy=proxy).proxy == proxy


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://proxy", "http://proxy/path", "", 3128])
def test_a_value_that_is_not_an_http_proxy_is_refused(proxy: object) -> None:
    assert http_refusal(proxy=proxy).field == "proxy"
