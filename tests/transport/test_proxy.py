"""A proxy from the configuration or the environment sees no more than it needs."""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from dataart_mp import Client, ClientConfig, ConfigError, HTTPOptions
from dataart_mp.delivery.verdict import Retry, judge
from dataart_mp.transport.proxy import credentials, proxy_for
from tests.transport.posting import NAME, post, server_context
from tests.transport.servers import (
    KEY,
    Peer,
    RawServer,
    SenderTo,
    Serve,
    proxy_handler,
    refused_port,
)

VARIABLES = ["http_proxy", "https_proxy", "no_proxy", "all_proxy", "request_method"]


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets variables in an environment that names no other proxy."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def set_variables(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.fixture
def platform_server(serve: Serve) -> RawServer:
    return serve(lambda peer: peer.respond_to_all(200, b"platform"))


@pytest.fixture
def secure_server(serve: Serve, authority: trustme.CA) -> RawServer:
    context = server_context(authority.issue_cert(NAME))
    return serve(lambda peer: peer.respond_to_all(200, b"platform"), tls=context)


@pytest.fixture
def proxy(serve: Serve, platform_server: RawServer, secure_server: RawServer) -> RawServer:
    """A proxy; only it can resolve the name of the platform."""
    return serve(proxy_handler({NAME: platform_server.port, f"{NAME}:443": secure_server.port}))


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


def test_https_goes_through_a_tunnel_and_the_proxy_does_not_see_the_key(
    proxy: RawServer, secure_server: RawServer, sender_to: SenderTo, ca_file: Path
) -> None:
    sender = sender_to(f"https://{NAME}", proxy=proxy.url, ca_file=ca_file)
    assert [post(sender).text for _ in range(3)] == ["platform"] * 3
    (request,) = proxy.requests
    assert request.line.startswith(f"CONNECT {NAME}:443 ")
    assert "x-api-key" not in request.headers
    assert len(secure_server.requests) == 3


def test_the_certificate_of_the_platform_is_checked_through_a_tunnel_too(
    proxy: RawServer, secure_server: RawServer, sender_to: SenderTo
) -> None:
    response = post(sender_to(f"https://{NAME}", proxy=proxy.url))
    assert response.status is None
    assert "certificate verify failed" in response.text
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
def test_a_proxy_receives_its_password_decoded(
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


def test_ca_file_applies_to_a_proxy_with_tls(
    serve: Serve,
    authority: trustme.CA,
    platform_server: RawServer,
    sender_to: SenderTo,
    ca_file: Path,
) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    proxy = serve(proxy_handler({NAME: platform_server.port}), tls=context)
    sender = sender_to(f"http://{NAME}", proxy=proxy.url, ca_file=ca_file)
    assert post(sender).text == "platform"


# What goes wrong


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", [407, 502, 503])
def test_a_request_that_a_proxy_refuses_is_retried(
    serve: Serve, sender_to: SenderTo, scheme: str, status: int
) -> None:
    """Its password may be corrected or its upstream restored; no event may be lost meanwhile."""
    proxy = serve(lambda peer: peer.respond_to_all(status, b"not through me"))
    url = proxy.url.replace("://", "://ann:proxy-password@")
    response = post(sender_to(f"{scheme}://{NAME}", proxy=url))
    assert isinstance(judge(response, datetime.now(UTC), is_divisible=True), Retry)
    assert response.status == (status if scheme == "http" else None)
    assert str(status) in response.text or response.status
    assert "proxy-password" not in response.text


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named_without_its_password(
    sender_to: SenderTo, scheme: str
) -> None:
    url = f"http://ann:proxy-password@127.0.0.1:{refused_port()}"
    response = post(sender_to(f"{scheme}://{NAME}", proxy=url))
    assert response.status is None
    assert response.text.startswith("ProxyError")
    assert "127.0.0.1" in response.text
    assert "proxy-password" not in response.text


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_hangs_takes_one_timeout(
    serve: Serve, sender_to: SenderTo, scheme: str
) -> None:
    def handle(peer: Peer) -> None:
        while peer.request():
            pass

    url = serve(handle).url.replace("://", "://ann:proxy-password@")
    sender = sender_to(f"{scheme}://{NAME}", proxy=url, connect_timeout=0.3, read_timeout=0.3)
    response = post(sender)
    assert response.status is None
    assert "timed out" in response.text
    assert "proxy-password" not in response.text


# Which proxy


def test_the_proxy_of_the_environment_is_used(
    proxy: RawServer, sender_to: SenderTo, ca_file: Path, environ: Callable[..., None]
) -> None:
    environ(HTTP_PROXY=proxy.url, HTTPS_PROXY=proxy.url)
    assert post(sender_to(f"http://{NAME}")).text == "platform"
    assert post(sender_to(f"https://{NAME}", ca_file=ca_file)).text == "platform"
    assert [request.line.split()[0] for request in proxy.requests] == ["POST", "CONNECT"]


def test_the_proxy_of_the_environment_is_ignored_without_trust_env(
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
        # As in Go: this machine is reached without a proxy.
        ("http://localhost:8000", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://127.0.0.1:8000", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://127.8.9.1", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://[::1]:8000", {"HTTP_PROXY": OF_ENVIRON}, None),
        ("http://10.0.0.1", {"HTTP_PROXY": OF_ENVIRON}, OF_ENVIRON),
        # In a CGI script, the variable may come from a request's header `Proxy:`.
        ("http://h", {"HTTP_PROXY": OF_ENVIRON, "REQUEST_METHOD": "GET"}, None),
    ],
)
def test_the_environment_is_read_as_other_http_clients_read_it(
    url: str, variables: dict[str, str], proxy: str | None, environ: Callable[..., None]
) -> None:
    environ(**variables)
    assert proxy_for(url, HTTPOptions()) == proxy
    assert proxy_for(url, HTTPOptions(trust_env=False)) is None


@pytest.mark.parametrize("trust_env", [True, False])
def test_the_proxy_of_the_configuration_overrides_the_environment(
    environ: Callable[..., None], trust_env: bool
) -> None:
    environ(HTTPS_PROXY=OF_ENVIRON, NO_PROXY="*")
    http = HTTPOptions(proxy="http://mine:1", trust_env=trust_env)
    assert proxy_for("https://h", http) == "http://mine:1"
    assert proxy_for("http://127.0.0.1", http) == "http://mine:1"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "Https_Proxy"])
@pytest.mark.parametrize(
    ("proxy", "expected"),
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
def test_an_unusable_proxy_of_the_environment_is_refused_before_any_event(
    environ: Callable[..., None], variable: str, proxy: str, expected: str
) -> None:
    """The message names the variable and a remedy, and neither user nor password."""
    environ(**{variable: proxy})
    with pytest.raises(ConfigError) as caught:
        Client(ClientConfig(KEY, base_url=f"https://{NAME}"))
    message = str(caught.value)
    assert message.startswith(f"{variable}: proxy=")
    assert expected in message
    assert "or trust_env=False" in message
    assert not {"ann", "hunter"} & {*re.split(r"\W", message)}
    assert caught.value.__suppress_context__


def test_a_worker_refuses_an_unusable_proxy_with_the_same_message(
    sender_to: SenderTo, environ: Callable[..., None]
) -> None:
    """The variable may have been set after the client was made."""
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
        ("https://h", {"pool_factory": "my_pools:make"}),
    ],
)
@pytest.mark.filterwarnings("ignore:base_url")
def test_a_proxy_that_would_not_be_used_is_not_checked(
    environ: Callable[..., None], url: str, settings: dict[str, Any]
) -> None:
    environ(HTTPS_PROXY="socks5://h:1")
    Client(ClientConfig(KEY, base_url=url, **settings)).close()


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://h:1", None),
        ("http://ann:secret@h:1", "ann:secret"),
        ("http://a%40b:c%3Ad@h:1", "a@b:c:d"),
        ("http://ann@h:1", "ann"),
    ],
)
def test_credentials_are_the_part_before_the_host(proxy: str, expected: str | None) -> None:
    assert credentials(proxy) == expected
