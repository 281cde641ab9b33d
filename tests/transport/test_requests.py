"""What the sender puts on the wire, and over which pool."""

import gzip
import importlib.util
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.transport.sender import Sender
from tests.transport.servers import KEY, SenderTo, Serve

ACTIONS = "/events/send-actions"
BODY = (
    b'{"timestamp":"2021-05-04T10:11:12+00:00","actions":[{"key":"left","user_key":"bob",'
    b'"is_anonymous_user":false,"timestamp":"2021-05-04T10:11:12Z","metadata":null}]}'
)


def test_a_request_is_what_the_protocol_says(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all())
    sender_to(server.url).post(ACTIONS, BODY, "key-1")
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


def test_the_platform_accepts_it(platform: SinkProcess, sender_to: SenderTo) -> None:
    sender = sender_to(platform.url)
    assert sender.post(ACTIONS, BODY, "key-1").status == 200
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
def test_a_path_in_the_base_url_stays_in_front(
    serve: Serve, sender_to: SenderTo, base: str, path: str
) -> None:
    server = serve(lambda peer: peer.answer_all())
    sender_to(server.url + base).post(ACTIONS, BODY, "key-1")
    assert server.requests[0].path == path


def test_a_body_of_many_pieces_is_one_body(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all())
    body = bytes(range(256)) * 1000 + b"end"
    sender = sender_to(server.url)
    assert [sender.post(ACTIONS, body[:size], "k").status for size in (65536, 65537)] == [200, 200]
    assert sender.post(ACTIONS, body, "k").status == 200
    assert [request.body for request in server.requests] == [body[:65536], body[:65537], body]
    assert all("transfer-encoding" not in request.headers for request in server.requests)


def test_ipv6_loopback_is_a_host_like_any_other(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all(), host="::1")
    assert sender_to(server.url).post(ACTIONS, BODY, "k").status == 200
    assert server.requests[0].headers["host"] == f"[::1]:{server.port}"


def test_localhost_reaches_a_server_that_listens_on_ipv4_only(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.answer_all())
    url = f"http://localhost:{server.port}"
    assert sender_to(url).post(ACTIONS, BODY, "k").status == 200


# Headers


def test_extra_headers_travel_with_each_request(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all())
    sender = sender_to(server.url, headers={"X-Team": "ads ÿ", "Accept": "*/*"})
    sender.post(ACTIONS, BODY, "k")
    sender.post(ACTIONS, BODY, "k")
    sent = [(r.headers["x-team"], r.headers["accept"]) for r in server.requests]
    assert sent == [("ads ÿ", "*/*")] * 2


@pytest.mark.parametrize("name", ["User-Agent", "user-agent", "USER-AGENT"])
def test_a_user_agent_of_ones_own_replaces_ours(
    serve: Serve, sender_to: SenderTo, name: str
) -> None:
    """However it is spelled; the server refuses a header that comes twice."""
    server = serve(lambda peer: peer.answer_all())
    sender_to(server.url, headers={name: "shop/7"}).post(ACTIONS, BODY, "k")
    assert server.requests[0].headers["user-agent"] == "shop/7"


# Compression


def test_gzip_makes_the_body_small_and_says_so(
    serve: Serve, platform: SinkProcess, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.answer_all())
    body = BODY * 50
    sender_to(server.url, compression="gzip").post(ACTIONS, body, "k")
    (request,) = server.requests
    assert gzip.decompress(request.body) == body
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-length"] == str(len(request.body))
    assert len(request.body) < len(body) / 5
    assert sender_to(platform.url, compression="gzip").post(ACTIONS, BODY, "k").status == 200
    assert platform.stats()["actions"] == 1


def test_the_same_body_compresses_to_the_same_bytes(serve: Serve, sender_to: SenderTo) -> None:
    """A repeated request is a repeated request, byte for byte."""
    server = serve(lambda peer: peer.answer_all())
    sender = sender_to(server.url, compression="gzip")
    for _ in range(2):
        sender.post(ACTIONS, BODY, "k")
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.skipif(
    not (importlib.util.find_spec("backports.zstd") or importlib.util.find_spec("_zstd")),
    reason="no zstd here",
)
def test_zstd_makes_the_body_small_and_says_so(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all())
    sender_to(server.url, compression="zstd").post(ACTIONS, BODY * 50, "k")
    (request,) = server.requests
    name = "compression.zstd" if importlib.util.find_spec("_zstd") else "backports.zstd"
    assert importlib.import_module(name).decompress(request.body) == BODY * 50
    assert len(request.body) < len(BODY) * 5
    assert request.headers["content-encoding"] == "zstd"
    assert request.headers["content-length"] == str(len(request.body))


# A pool of one's own


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Writes a module of the application."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "own_pools.py").write_text(text)

    yield write
    sys.modules.pop("own_pools", None)


def test_a_pool_factory_makes_the_pool_from_the_configuration(
    serve: Serve, sender_to: SenderTo, own_module: Any
) -> None:
    own_module(
        "import urllib3\n"
        "class Pool(urllib3.PoolManager):\n"
        "    def urlopen(self, method, url, **options):\n"
        "        options['headers'] = {**options['headers'], 'X-Own': self.own}\n"
        "        return super().urlopen(method, url, **options)\n"
        "def make(config):\n"
        "    pool = Pool()\n"
        "    pool.own = config.base_url\n"
        "    return pool\n"
    )
    server = serve(lambda peer: peer.answer_all())
    sender = sender_to(server.url, settings={"pool_factory": "own_pools:make"})
    assert [sender.post(ACTIONS, BODY, "k").status for _ in range(3)] == [200] * 3
    assert [request.headers["x-own"] for request in server.requests] == [server.url] * 3
    assert server.requests[0].headers["x-api-key"] == KEY


def test_a_pool_factory_may_be_a_method(sender_to: SenderTo, own_module: Any) -> None:
    own_module(
        "import urllib3\nclass Pools:\n    @staticmethod\n    def make(config):\n"
        "        return urllib3.PoolManager(num_pools=3)\n"
    )
    sender = sender_to("http://127.0.0.1:9", settings={"pool_factory": "own_pools:Pools.make"})
    assert sender._pool.pools._maxsize == 3


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("import no_such_module", ModuleNotFoundError, "no_such_module"),
        ("", AttributeError, "make"),
        ("make = 7", TypeError, "not callable"),
        ("def make(config): raise RuntimeError('no vault')", RuntimeError, "no vault"),
        ("def make(config): return 'pool'", TypeError, r"own_pools:make.*PoolManager, not str"),
        ("def make(): pass", TypeError, "argument"),
    ],
)
def test_what_is_wrong_with_a_pool_factory_is_said_at_once(
    sender_to: SenderTo, own_module: Any, text: str, error: type[Exception], match: str
) -> None:
    own_module(text)
    with pytest.raises(error, match=match):
        sender_to("http://127.0.0.1:9", settings={"pool_factory": "own_pools:make"})


# From many threads


def test_a_sender_serves_many_threads_and_mixes_nothing_up(
    serve: Serve, sender_to: SenderTo
) -> None:
    def echo(peer: Any) -> None:
        while request := peer.request():
            peer.answer(200, request.headers["idempotency-key"].encode() + b" " + request.body)

    sender = sender_to(serve(echo).url)
    wrong: list[str] = []

    def work(name: str) -> None:
        for number in range(50):
            text = sender.post(ACTIONS, f"body {name} {number}".encode(), f"{name}-{number}").text
            if text != f"{name}-{number} body {name} {number}":
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_options_reach_the_worker_unharmed(sender_to: SenderTo, serve: Serve) -> None:
    """As JSON through a pipe."""
    server = serve(lambda peer: peer.answer_all())
    http = HTTPOptions(headers={"X-Team": "ads ÿ"}, compression="gzip", read_timeout=3.0)
    config = ClientConfig(KEY, base_url=server.url, http=http)
    again = ClientConfig.from_wire(json.loads(json.dumps(config.to_wire())))
    sender = Sender(again, 1, "dataart_mp/test")
    assert sender.post(ACTIONS, BODY, "k").status == 200
    sender._pool.clear()
    assert server.requests[0].headers["x-team"] == "ads ÿ"
    assert isinstance(sender._timeout, urllib3.Timeout)
    assert sender._timeout.read_timeout == 3.0
