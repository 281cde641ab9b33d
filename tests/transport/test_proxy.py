"""A proxy, of the configuration or of the environment, sees what it must and no more."""

import base64
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from dataart_mp import Client, ClientConfig, ConfigError, HTTPOptions
from dataart_mp.transport.proxy import credentials, proxy_for
from dataart_mp.transport.response import Response
from dataart_mp.worker.verdict import Retry, judge
from tests.transport.servers import (
    KEY,
    Peer,
    RawServer,
    SenderTo,
    Serve,
    proxy_handler,
    refused_port,
)

NAME = "platform.example"
VARIABLES = ["http_proxy", "https_proxy", "no_proxy", "all_proxy", "request_method"]


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """An environment that names no proxy but those of the test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def set_variables(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.fixture
def platform_server(serve: Serve) -> RawServer:
    return serve(lambda peer: peer.answer_all(200, b"platform"))


@pytest.fixture
def secure_server(serve: Serve, authority: trustme.CA) -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    return serve(lambda peer: peer.answer_all(200, b"platform"), tls=context)


@pytest.fixture
def proxy(serve: Serve, platform_server: RawServer, secure_server: RawServer) -> RawServer:
    """A proxy that alone knows where the platform is."""
    return serve(proxy_handler({NAME: platform_server.port, f"{NAME}:443": secure_server.port}))


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def post(sender: Any) -> Response:
    answer: Response = sender.post("/events/send-actions", b"{}", "k")
    return answer


def authorization(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# On the wire


def test_plain_http_goes_through_the_proxy_in_absolute_form(
    proxy: RawServer, platform_server: RawServer, sender_to: SenderTo
) -> None:
    sender = sender_to(f"http://{NAME}/prefix", proxy=proxy.url)
    assert [post(sender).text for _ in range(2)] == ["platform"] * 2
    assert proxy.requests[0].line == f"POST http://{NAME}/prefix/events/send-actions HTTP/1.1"
    assert platform_server.requests[0].path == "/prefix/events/send-actions"
    assert platform_server.requests[0].headers["host"] == NAME
    assert platform_server.requests[0].headers["x-api-key"] == KEY
    assert proxy.connections == 1


def test_https_goes_through_a_tunnel_and_the_proxy_never_sees_the_key(
    proxy: RawServer, secure_server: RawServer, sender_to: SenderTo, ca_file: Path
) -> None:
    sender = sender_to(f"https://{NAME}", proxy=proxy.url, ca_file=ca_file)
    assert [post(sender).text for _ in range(3)] == ["platform"] * 3
    (request,) = proxy.requests
    assert request.line.startswith(f"CONNECT {NAME}:443 ")
    assert "x-api-key" not in request.headers
    assert len(secure_server.requests) == 3


def test_the_platform_must_prove_who_it_is_through_a_tunnel_too(
    proxy: RawServer, secure_server: RawServer, sender_to: SenderTo
) -> None:
    answer = post(sender_to(f"https://{NAME}", proxy=proxy.url))
    assert answer.status is None
    assert "certificate verify failed" in answer.text
    assert not secure_server.requests


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        ("ann:secret", "ann", "secret"),
        ("ann:p%40ss%3Aw%2Frd", "ann", "p@ss:w/rd"),
        ("ann:gr%C3%BC%C3%9Fe", "ann", "grüße"),
        ("ann:", "ann", ""),
    ],
)
def test_a_proxy_hears_its_password_as_it_is_and_not_as_a_url_writes_it(
    proxy: RawServer,
    sender_to: SenderTo,
    ca_file: Path,
    userinfo: str,
    user: str,
    password: str,
) -> None:
    url = proxy.url.replace("://", f"://{userinfo}@")
    for target in (f"http://{NAME}", f"https://{NAME}"):
        assert post(sender_to(target, proxy=url, ca_file=ca_file)).status == 200
    sent = [request.headers["proxy-authorization"] for request in proxy.requests]
    assert sent == [authorization(user, password)] * 2


def test_the_password_of_the_proxy_does_not_reach_the_platform(
    proxy: RawServer, secure_server: RawServer, sender_to: SenderTo, ca_file: Path
) -> None:
    url = proxy.url.replace("://", "://ann:secret@")
    assert post(sender_to(f"https://{NAME}", proxy=url, ca_file=ca_file)).status == 200
    assert "proxy-authorization" not in secure_server.requests[0].headers


def test_a_proxy_behind_tls_is_trusted_by_the_same_authority(
    serve: Serve,
    authority: trustme.CA,
    platform_server: RawServer,
    sender_to: SenderTo,
    ca_file: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    proxy = serve(proxy_handler({NAME: platform_server.port}), tls=context)
    sender = sender_to(f"http://{NAME}", proxy=proxy.url, ca_file=ca_file)
    assert post(sender).text == "platform"


# What goes wrong


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", [407, 502, 503])
def test_what_a_proxy_refuses_is_tried_again(
    serve: Serve, sender_to: SenderTo, scheme: str, status: int
) -> None:
    """Its password may be changed, its upstream come back; no event must be lost meanwhile."""
    proxy = serve(lambda peer: peer.answer_all(status, b"not through me"))
    url = proxy.url.replace("://", "://ann:proxy-password@")
    answer = post(sender_to(f"{scheme}://{NAME}", proxy=url))
    assert isinstance(judge(answer, 20, datetime.now(UTC)), Retry)
    assert answer.status == (status if scheme == "http" else None)
    assert str(status) in answer.text or answer.status
    assert "proxy-password" not in answer.text


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named_but_not_its_password(
    sender_to: SenderTo, scheme: str
) -> None:
    url = f"http://ann:proxy-password@127.0.0.1:{refused_port()}"
    answer = post(sender_to(f"{scheme}://{NAME}", proxy=url))
    assert answer.status is None
    assert answer.text.startswith("ProxyError")
    assert "127.0.0.1" in answer.text
    assert "proxy-password" not in answer.text


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_hangs_costs_a_timeout(serve: Serve, sender_to: SenderTo, scheme: str) -> None:
    def handle(peer: Peer) -> None:
        while peer.request():
            pass

    url = serve(handle).url.replace("://", "://ann:proxy-password@")
    sender = sender_to(f"{scheme}://{NAME}", proxy=url, connect_timeout=0.3, read_timeout=0.3)
    answer = post(sender)
    assert answer.status is None
    assert "timed out" in answer.text
    assert "proxy-password" not in answer.text


# Which proxy


def test_the_environments_proxy_is_used(
    proxy: RawServer, sender_to: SenderTo, ca_file: Path, environ: Callable[..., None]
) -> None:
    environ(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url)
    assert post(sender_to(f"http://{NAME}")).text == "platform"
    assert post(sender_to(f"https://{NAME}", ca_file=ca_file)).text == "platform"
    assert [request.line.split()[0] for request in proxy.requests] == ["POST", "CONNECT"]


def test_the_environment_is_left_alone_when_it_is_not_trusted(
    proxy: RawServer, sender_to: SenderTo, environ: Callable[..., None]
) -> None:
    environ(HTTP_PROXY=proxy.url)
    sender = sender_to(f"http://{NAME}", trust_env=False)
    assert sender._pool.proxy is None
    assert not proxy.requests


OF_ENVIRON = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("http://h", {}, None),
        ("http://h", {"HTTP_PROXY": OF_ENVIRON}, OF_ENVIRON),
        ("http://h", {"http_proxy": OF_ENVIRON}, OF_ENVIRON),
        ("http://h", {"http_proxy": OF_ENVIRON, "HTTP_PROXY": "http://other"}, OF_ENVIRON),
        ("http://h", {"http_proxy": "", "HTTP_PROXY": OF_ENVIRON}, None),
        ("http://h", {"HTTP_PROXY": ""}, None),
        ("http://h", {"HTTPS_PROXY": OF_ENVIRON}, None),
        ("https://h", {"HTTPS_PROXY": OF_ENVIRON}, OF_ENVIRON),
        ("https://h", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("HTTPS://h", {"HTTPS_PROXY": OF_ENVIRON}, OF_ENVIRON),
        ("https://h", {"HTTPS_PROXY": "proxy.example:3128"}, OF_ENVIRON),
        ("https://h", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "*"}, None),
        ("https://h", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "h"}, None),
        ("https://h", {"HTTPS_PROXY": OF_ENVIRON, "no_proxy": "a, h ,b"}, None),
        ("https://h:8443", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "h"}, None),
        ("https://h:8443", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "h:8443"}, None),
        ("https://h:8443", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "h:443"}, OF_ENVIRON),
        ("https://a.h", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "h"}, None),
        ("https://a.h", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": ".h"}, None),
        ("https://ah", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "h"}, OF_ENVIRON),
        ("https://h", {"HTTPS_PROXY": OF_ENVIRON, "NO_PROXY": "other"}, OF_ENVIRON),
        # As in Go, which the seed is written in: this machine is reached without a proxy.
        ("http://localhost:8000", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://127.0.0.1:8000", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://127.8.9.1", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://[::1]:8000", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://10.0.0.1", {"HTTP_PROXY": OF_ENVIRON}, OF_ENVIRON),
        # A CGI script must not be led astray by a request's header `Proxy:`.
        ("http://h", {"HTTP_PROXY": OF_ENVIRON, "REQUEST_METHOD": "GET"}, None),
    ],
)
def test_the_environment_is_read_as_everybody_reads_it(
    url: str, variables: dict[str, str], proxy: str | None, environ: Callable[..., None]
) -> None:
    environ(**variables)
    assert proxy_for(url, HTTPOptions()) == proxy
    assert proxy_for(url, HTTPOptions(trust_env=False)) is None


@pytest.mark.parametrize("trust_env", [True, False])
def test_a_proxy_of_the_configuration_beats_the_environment(
    environ: Callable[..., None], trust_env: bool
) -> None:
    environ(HTTPS_PROXY=OF_ENVIRON, NO_PROXY="*")
    http = HTTPOptions(proxy="http://mine:1", trust_env=trust_env)
    assert proxy_for("https://h", http) == "http://mine:1"
    assert proxy_for("http://127.0.0.1", http) == "http://mine:1"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "Https_Proxy"])
@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("socks5://ann:hunter2@h:1", "must begin with http:// or https://"),
        ("http://ann:hunter2@127.0.0.1:99999", "check host, brackets and port"),
        ("ann:hunter2@127.0.0.1:99999", "check host, brackets and port"),
        ("http://ann:hunter#2@127.0.0.1:9", "check host, brackets and port"),
        ("http://ann:hunter/2@127.0.0.1:9", "check host, brackets and port"),
        ("http://ann:1/hunter2@127.0.0.1:9", "leave out path and query"),
        ("http://ann:hunter[2@127.0.0.1:9", "check host, brackets and port"),
        ("http://ann:hunter\\2@127.0.0.1:9", "percent-encode a password"),
        ("http://ann:hunter2@h%zz:9", "without percent signs"),
    ],
)
def test_a_proxy_of_the_environment_that_cannot_be_used_is_refused_before_any_event(
    environ: Callable[..., None], variable: str, proxy: str, said: str
) -> None:
    """By the name of its variable, with a remedy, and without user or password."""
    environ(**{variable: proxy})
    with pytest.raises(ConfigError) as caught:
        Client(ClientConfig(KEY, base_url=f"https://{NAME}"))
    message = str(caught.value)
    assert message.startswith(f"{variable}: proxy=")
    assert said in message
    assert "or trust_env=False" in message
    assert not {"ann", "hunter"} & {*re.split(r"\W", message)}
    assert caught.value.__suppress_context__


def test_a_worker_refuses_it_in_the_same_words(
    sender_to: SenderTo, environ: Callable[..., None]
) -> None:
    """It may have been set after the client was made."""
    environ(HTTPS_PROXY="http://ann:hunter2@127.0.0.1:99999")
    with pytest.raises(ConfigError, match="HTTPS_PROXY: ") as caught:
        sender_to(f"https://{NAME}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://h", {}),
        ("https://127.0.0.1:9", {}),
        ("https://h", {"http": HTTPOptions(trust_env=False)}),
        ("https://h", {"http": HTTPOptions(proxy="http://mine:1")}),
        ("https://h", {"pool_factory": "of_my:own"}),
    ],
)
@pytest.mark.filterwarnings("ignore:base_url")
def test_one_that_would_not_be_used_may_be_whatever_it_is(
    environ: Callable[..., None], url: str, settings: dict[str, Any]
) -> None:
    environ(HTTPS_PROXY="socks5://h:1")
    Client(ClientConfig(KEY, base_url=url, **settings)).close()


@pytest.mark.parametrize(
    ("proxy", "heard"),
    [
        ("http://h:1", None),
        ("http://ann:secret@h:1", "ann:secret"),
        ("http://a%40b:c%3Ad@h:1", "a@b:c:d"),
        ("http://ann@h:1", "ann"),
    ],
)
def test_credentials_are_what_stands_before_the_host(proxy: str, heard: str | None) -> None:
    assert credentials(proxy) == heard
