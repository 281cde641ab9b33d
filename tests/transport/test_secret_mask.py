"""No secret of the configuration is kept or logged, however a server quotes it."""

import base64
import html
import json
from typing import Any
from urllib.parse import quote

import pytest

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.transport.response import MAX_BODY_BYTES
from dataart_mp.transport.secret_mask import SecretMask
from tests.transport.posting import post
from tests.transport.servers import SenderTo, Serve


def masked(text: str | bytes, api_key: str = "the-key-0", **http: Any) -> str:
    config = ClientConfig(
        api_key, base_url="https://platform.example", http=HTTPOptions(trust_env=False, **http)
    )
    content = text.encode() if isinstance(text, str) else text
    return SecretMask(config).masked(content).decode()


@pytest.mark.parametrize(
    ("name", "value", "quoted"),
    [
        ("Authorization", "Bearer abc.def-123", "Bearer abc.def-123"),
        ("Authorization", "Bearer abc.def-123", "abc.def-123"),
        ("authorization", "abc", "abc"),
        ("Authorization", "Basic YW5uOmh1bnRlcjI=", "YW5uOmh1bnRlcjI="),
        ("Authorization", "Basic YW5uOmh1bnRlcjI=", "ann:hunter2"),
        ("Authorization", "Basic YW5uOmh1bnRlcjI=", "hunter2"),
        ("Proxy-Authorization", "Basic YW5uOmh1bnRlcjI=", "hunter2"),
        ("Authorization", 'Digest username="ann", response="0a4f11"', "0a4f11"),
        ("Cookie", "session=s3cr3t; theme=dark-blue", "session=s3cr3t; theme=dark-blue"),
        ("Cookie", "session=s3cr3t; theme=dark-blue", "s3cr3t"),
        ("X-Auth-Token", "t0k", "t0k"),
        ("X-Client-Secret", "hush", "hush"),
        ("X-Whatever", "0123456789", "0123456789"),
        ("X-Team", "ads-eu", "ads-eu"),
    ],
)
def test_the_value_of_a_header_is_masked(name: str, value: str, quoted: str) -> None:
    text = masked(f"refused: '{quoted}', again {quoted}", headers={name: value})
    assert text == "refused: '***', again ***"


def test_a_short_value_is_masked_only_as_a_word() -> None:
    headers = {"X-Stage": "prod", "X-Version": "1", "User-Agent": "shop/1.0 (prod)"}
    text = "prod: no product 1 of shop/1.0"
    assert masked(text, headers=headers) == "***: no product 1 of shop/1.0"


@pytest.mark.parametrize(
    "quoted",
    ["ann:p%40ss", "ann:p@ss", "p@ss", "p%40ss", base64.b64encode(b"ann:p@ss").decode()],
)
def test_the_password_of_a_proxy_is_masked(monkeypatch: pytest.MonkeyPatch, quoted: str) -> None:
    proxy = "http://ann:p%40ss@proxy.example:3128"
    assert masked(f"407 for {quoted}", proxy=proxy) == "407 for ***"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    config = ClientConfig("the-key-0", base_url="https://platform.example")
    assert SecretMask(config).masked(f"407 for {quoted}".encode()) == b"407 for ***"


SECRET = 'gehe"im<ü&%\\x'


@pytest.mark.parametrize("setting", ["api_key", "header"])
@pytest.mark.parametrize(
    "quoted",
    [
        SECRET.encode(),
        SECRET.encode("latin-1"),
        json.dumps(SECRET)[1:-1].encode(),
        json.dumps(SECRET, ensure_ascii=False)[1:-1].encode(),
        html.escape(SECRET).encode(),
        quote(SECRET, safe="").encode(),
        quote(SECRET, safe="", encoding="latin-1").encode(),
        repr(SECRET.encode("latin-1"))[2:-1].encode(),
    ],
)
def test_a_secret_is_masked_in_every_form(setting: str, quoted: bytes) -> None:
    given: dict[str, Any] = (
        {"api_key": SECRET} if setting == "api_key" else {"headers": {"Authorization": SECRET}}
    )
    assert masked(b"no '" + quoted + b"' here", **given) == "no '***' here"


def test_one_secret_within_another_is_masked_with_it() -> None:
    assert masked("the-key-0-and-more", headers={"Cookie": "the-key-0-and-more"}) == "***"


@pytest.mark.parametrize("status", [400, 401, 407, 422, 500])
def test_the_text_of_a_response_shows_no_secret(
    serve: Serve, sender_to: SenderTo, status: int
) -> None:
    headers = {"Authorization": "Bearer abc.def-123", "Cookie": "session=s3cr3t"}
    server = serve(lambda peer: peer.respond_to_all(status, b"not abc.def-123, not s3cr3t"))
    response = post(sender_to(server.url, headers=headers))
    assert response.text == "not ***, not ***"


@pytest.mark.parametrize("before", range(MAX_BODY_BYTES - 30, MAX_BODY_BYTES + 1, 3))
def test_the_beginning_of_a_secret_is_not_shown_where_a_text_is_cut(
    serve: Serve, sender_to: SenderTo, before: int
) -> None:
    secret = "Bearer 0123456789abcdef"
    # Secrets before it, which the mask shortens, bring the end of what was read into view.
    filler = (secret * 100)[: before // len(secret) * len(secret)]
    body = filler + "." * (before - len(filler)) + secret + "!" * 5000
    server = serve(lambda peer: peer.respond_to_all(401, body.encode()))
    text = post(sender_to(server.url, headers={"Authorization": secret})).text
    assert text.strip("*.!") == ""
