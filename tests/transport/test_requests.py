"""What the sender puts on the wire, and over which pool."""

import gzip
import importlib
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.config.zstd import zstd_module
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.transport.sender import Sender
from tests.support import has_ipv6
from tests.transport.posting import PATH
from tests.transport.servers import KEY, SenderTo, Serve

BODY = (
    b'{"timestamp":"2021-05-04T10:11:12+00:00","actions":[{"key":"left","user_key":"bob",'
    b'"is_anonymous_user":false,"timestamp":"2021-05-04T10:11:12Z","metadata":null}]}'
)


def test_a_request_is_what_the_protocol_specifies(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    sender_to(server.url).post(PATH, BODY, "key-1")
    (request,) = server.requests
    assert request.line == "POST /events/send-actions HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept-encoding": "identity",
        "x-api-key": KEY,
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "user-agent": "dataart_mp/test",
        "idempotency-key": "key-1",
    }


def test_the_platform_accepts_a_request(platform: SinkProcess, sender_to: SenderTo) -> None:
    sender = sender_to(platform.url)
    assert sender.post(PATH, BODY, "key-1").status == 200
    identity = b'{"user_key":"ann","metadata":null}'
    assert sender.post("/users/identify", identity, "key-2").status == 200
    stats = platform.stats()
    assert (stats["actions"], stats["identities"], stats["rejected_requests"]) == (1, 1, 0)
    assert [request["idempotency_key"] for request in platform.requests()] == ["key-1", "key-2"]


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/events/send-actions"),
        ("/", "/events/send-actions"),
        ("/prefix", "/prefix/events/send-actions"),
        ("/a/b/", "/a/b/events/send-actions"),
        ("/a%2Fb", "/a%2Fb/events/send-actions"),
        ("/a:1@b", "/a:1@b/events/send-actions"),
    ],
)
def test_a_path_in_the_base_url_precedes_the_endpoint(
    serve: Serve, sender_to: SenderTo, base: str, path: str
) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    sender_to(server.url + base).post(PATH, BODY, "key-1")
    assert server.requests[0].path == path


def test_a_body_written_in_pieces_arrives_as_one_body(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    body = bytes(range(256)) * 1000 + b"end"
    sender = sender_to(server.url)
    assert [sender.post(PATH, body[:size], "k").status for size in (65536, 65537)] == [200, 200]
    assert sender.post(PATH, body, "k").status == 200
    assert [request.body for request in server.requests] == [body[:65536], body[:65537], body]
    assert all("transfer-encoding" not in request.headers for request in server.requests)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_may_be_the_host(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all(), host="::1")
    assert sender_to(server.url).post(PATH, BODY, "k").status == 200
    assert server.requests[0].headers["host"] == f"[::1]:{server.port}"


def test_localhost_reaches_a_server_that_listens_on_ipv4_only(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    url = f"http://localhost:{server.port}"
    assert sender_to(url).post(PATH, BODY, "k").status == 200


# Headers


def test_extra_headers_are_sent_with_each_request(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    sender = sender_to(server.url, headers={"X-Team": "ads ÿ", "Accept": "*/*"})
    sender.post(PATH, BODY, "k")
    sender.post(PATH, BODY, "k")
    sent = [(r.headers["x-team"], r.headers["accept"]) for r in server.requests]
    assert sent == [("ads ÿ", "*/*")] * 2


@pytest.mark.parametrize("name", ["User-Agent", "user-agent", "USER-AGENT"])
def test_a_custom_user_agent_replaces_the_default(
    serve: Serve, sender_to: SenderTo, name: str
) -> None:
    """In any case; the server refuses a duplicate header."""
    server = serve(lambda peer: peer.respond_to_all())
    sender_to(server.url, headers={name: "shop/7"}).post(PATH, BODY, "k")
    assert server.requests[0].headers["user-agent"] == "shop/7"


# Compression


def test_gzip_shrinks_the_body_and_sets_content_encoding(
    serve: Serve, platform: SinkProcess, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    body = BODY * 50
    sender_to(server.url, compression="gzip").post(PATH, body, "k")
    (request,) = server.requests
    assert gzip.decompress(request.body) == body
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-length"] == str(len(request.body))
    assert len(request.body) < len(body) / 5
    assert sender_to(platform.url, compression="gzip").post(PATH, BODY, "k").status == 200
    assert platform.stats()["actions"] == 1


def test_the_same_body_compresses_to_the_same_bytes(serve: Serve, sender_to: SenderTo) -> None:
    """So that a repeated request is identical, byte for byte."""
    server = serve(lambda peer: peer.respond_to_all())
    sender = sender_to(server.url, compression="gzip")
    for _ in range(2):
        sender.post(PATH, BODY, "k")
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.skipif(
    zstd_module() is None, reason="neither Python 3.14 nor backports.zstd is installed"
)
def test_zstd_shrinks_the_body_and_sets_content_encoding(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    sender_to(server.url, compression="zstd").post(PATH, BODY * 50, "k")
    (request,) = server.requests
    assert importlib.import_module(str(zstd_module())).decompress(request.body) == BODY * 50
    assert len(request.body) < len(BODY) * 5
    assert request.headers["content-encoding"] == "zstd"
    assert request.headers["content-length"] == str(len(request.body))


# A custom pool


@pytest.fixture
def custom_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Writes a module of the application."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "custom_pools.py").write_text(text)

    yield write
    sys.modules.pop("custom_pools", None)


def test_a_pool_factory_makes_the_pool_from_the_configuration(
    serve: Serve, sender_to: SenderTo, custom_module: Any
) -> None:
    custom_module(
        "import urllib3\n"
        "class Pool(urllib3.PoolManager):\n"
        "    def urlopen(self, method, url, **options):\n"
        "        options['headers'] = {**options['headers'], 'X-Custom': self.name}\n"
        "        return super().urlopen(method, url, **options)\n"
        "def make(config):\n"
        "    pool = Pool()\n"
        "    pool.name = config.base_url\n"
        "    return pool\n"
    )
    server = serve(lambda peer: peer.respond_to_all())
    sender = sender_to(server.url, settings={"pool_factory": "custom_pools:make"})
    assert [sender.post(PATH, BODY, "k").status for _ in range(3)] == [200] * 3
    assert [request.headers["x-custom"] for request in server.requests] == [server.url] * 3
    assert server.requests[0].headers["x-api-key"] == KEY


def test_a_pool_factory_may_be_a_method(sender_to: SenderTo, custom_module: Any) -> None:
    custom_module(
        "import urllib3\nclass Pools:\n    @staticmethod\n    def make(config):\n"
        "        return urllib3.PoolManager(num_pools=3)\n"
    )
    sender = sender_to("http://127.0.0.1:9", settings={"pool_factory": "custom_pools:Pools.make"})
    assert sender._pool.pools._maxsize == 3


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("import no_such_module", ModuleNotFoundError, "no_such_module"),
        ("", AttributeError, "make"),
        ("make = 7", TypeError, "not callable"),
        ("def make(config): raise RuntimeError('no vault')", RuntimeError, "no vault"),
        ("def make(config): return 'pool'", TypeError, r"custom_pools:make.*PoolManager, not str"),
        ("def make(): pass", TypeError, "argument"),
    ],
)
def test_an_unusable_pool_factory_raises_at_once(
    sender_to: SenderTo, custom_module: Any, text: str, error: type[Exception], match: str
) -> None:
    custom_module(text)
    with pytest.raises(error, match=match):
        sender_to("http://127.0.0.1:9", settings={"pool_factory": "custom_pools:make"})


# Many threads


def test_threads_that_share_a_sender_get_the_responses_to_their_own_requests(
    serve: Serve, sender_to: SenderTo
) -> None:
    def echo(peer: Any) -> None:
        while request := peer.request():
            peer.respond(200, request.headers["idempotency-key"].encode() + b" " + request.body)

    sender = sender_to(serve(echo).url)
    wrong: list[str] = []

    def work(name: str) -> None:
        for number in range(50):
            text = sender.post(PATH, f"body {name} {number}".encode(), f"{name}-{number}").text
            if text != f"{name}-{number} body {name} {number}":
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_http_options_survive_the_way_to_the_worker(sender_to: SenderTo, serve: Serve) -> None:
    """They travel as JSON through a pipe."""
    server = serve(lambda peer: peer.respond_to_all())
    http = HTTPOptions(headers={"X-Team": "ads ÿ"}, compression="gzip", read_timeout=3.0)
    config = ClientConfig(KEY, base_url=server.url, http=http)
    again = ClientConfig.from_wire(json.loads(json.dumps(config.to_wire())))
    sender = Sender(again, 1, "dataart_mp/test")
    assert sender.post(PATH, BODY, "k").status == 200
    sender._pool.clear()
    assert server.requests[0].headers["x-team"] == "ads ÿ"
    assert isinstance(sender._timeout, urllib3.Timeout)
    assert sender._timeout.read_timeout == 3.0
