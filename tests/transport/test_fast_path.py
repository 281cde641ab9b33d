"""The exchange over a kept connection: taken when it may be, and not to be told from urllib3."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from dataart_mp import ClientConfig, HTTPOptions
from dataart_mp.transport.fast_path import FastPath
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from tests.transport.servers import (
    KEY,
    PATIENCE_SECONDS,
    Handle,
    Peer,
    RawServer,
    SenderTo,
    Serve,
    in_use,
    proxy_handler,
)

PATH = "/events/send-actions"
BODY = b'{"timestamp":"2021-05-04T10:11:12+00:00","actions":[]}'
NAME = "platform.example"
S = TypeVar("S", bound=socket.socket)
SenderBy = Callable[[str, RawServer, ssl.SSLContext], Sender]


def post(sender: Sender, body: bytes = BODY) -> Response:
    return sender.post(PATH, body, "key-1")


def pool_of(sender: Sender) -> Any:
    """What urllib3 keeps the connections to the platform in."""
    (key,) = sender._pool.pools.keys()
    return sender._pool.pools[key]


def requests_of_urllib3(sender: Sender) -> int:
    return int(pool_of(sender).num_requests)


# When it is taken


def test_over_a_kept_connection_urllib3_is_not_asked(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all())
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(5)] == [200] * 5
    assert (len(server.requests), requests_of_urllib3(sender)) == (5, 1)


def test_urllib3_is_asked_again_when_the_connection_is_not_kept(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.answer_all(200, b"", "Connection: close"))
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert (server.connections, requests_of_urllib3(sender)) == (3, 3)


def test_a_proxy_that_forwards_hears_all_in_every_request(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.answer_all())
    proxy = serve(proxy_handler({NAME: server.port}))
    url = proxy.url.replace("://", "://ann:secret@")
    sender = sender_to(f"http://{NAME}", proxy=url)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert [request.line.split()[1] for request in proxy.requests] == [f"http://{NAME}{PATH}"] * 3
    assert all("proxy-authorization" in request.headers for request in proxy.requests)
    assert proxy.connections == 1


# What it writes


def heads_into(heads: list[str]) -> Handle:
    """A server that keeps the heads as they came."""

    def handle(peer: Peer) -> None:
        while (head := peer.head()) is not None:
            heads.append(head)
            while len(peer._read) < len(BODY):
                peer._read += peer.socket.recv(65536)
            assert peer._read == BODY
            peer._read = b""
            peer.answer()

    return handle


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", NAME).configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def sender_by(serve: Serve, sender_to: SenderTo, ca_file: Path) -> SenderBy:
    """Makes senders to a server that speaks TLS: directly, or by way of a proxy."""

    def make(way: str, server: RawServer, context: ssl.SSLContext) -> Sender:
        if way == "direct":
            return sender_to(server.url, ca_file=ca_file)
        options = {"tls": context} if "TLS" in way else {}
        proxy = serve(proxy_handler({f"{NAME}:443": server.port}), **options)
        return sender_to(f"https://{NAME}", proxy=proxy.url, ca_file=ca_file)

    return make


@pytest.mark.parametrize(
    ("host", "prefix", "headers"),
    [
        ("127.0.0.1", "", {}),
        ("::1", "", {}),
        ("127.0.0.1", '/a%2fb/%zz|"c/./d', {}),
        ("127.0.0.1", "", {"X-50%s": "100 % ÿ\t", "x-empty": ""}),
        ("127.0.0.1", "", {"accept-encoding": "gzip", "USER-AGENT": "shop/7"}),
    ],
)
def test_a_head_is_what_urllib3_writes(
    serve: Serve, sender_to: SenderTo, host: str, prefix: str, headers: dict[str, str]
) -> None:
    heads: list[str] = []
    sender = sender_to(serve(heads_into(heads), host=host).url + prefix, headers=headers)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert heads == [heads[0]] * 3
    assert requests_of_urllib3(sender) == 1


@pytest.mark.parametrize("way", ["direct", "tunnel", "tunnel through TLS"])
def test_a_head_is_what_urllib3_writes_in_tls_too(
    serve: Serve, sender_by: SenderBy, authority: trustme.CA, way: str
) -> None:
    heads: list[str] = []
    context = server_context(authority)
    server = serve(heads_into(heads), tls=context)
    sender = sender_by(way, server, context)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert heads == [heads[0]] * 3
    assert requests_of_urllib3(sender) == 1


# What it reads

OK = b"HTTP/1.1 200 OK\r\n"
NGINX = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 04 May 2021 10:11:12 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 11\r\n"
    b'Connection: keep-alive\r\n\r\n{"ok":true}'
)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n2;x=y\r\n!!\r\n0\r\n\r\n"
BUSY = b"HTTP/1.1 429 Slow Down\r\nretry-after: 17 \r\ncontent-length: 4\r\n\r\nbusy"
AFTER_100 = b"HTTP/1.1 100 Continue\r\n\r\n" + BUSY
BARE = b"HTTP/1.1 200 OK\nContent-Length: 4\n\nfine"


class Segments(socket.socket):
    """A socket whose next reads give so many bytes, and what there is afterwards."""

    sizes: list[int]

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(self._next(size), flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        return super().recv_into(buffer, self._next(size or len(buffer)), flags)

    def _next(self, size: int) -> int:
        return min(size, self.sizes.pop(0)) if self.sizes else size


def replace_socket(sender: Sender, kind: type[S]) -> S:
    """Make the socket of the one connection that is kept one that does as the test says."""
    (connection,) = filter(None, pool_of(sender).pool.queue)
    connection.sock = sock = kind(fileno=connection.sock.detach())
    return sock


def segmented(sender: Sender) -> Segments:
    sock = replace_socket(sender, Segments)
    sock.sizes = []
    return sock


def one_by_one(*answers: bytes) -> Handle:
    """A server that answers with one after the other, and hangs up after the last."""

    def handle(peer: Peer) -> None:
        for answer in answers:
            if peer.request() is None:
                return
            peer.send(answer)

    return handle


@pytest.mark.parametrize("answer", [NGINX, CHUNKED, BUSY, AFTER_100, BARE])
def test_an_answer_is_the_same_wherever_it_is_cut_in_two(
    serve: Serve, sender_to: SenderTo, answer: bytes
) -> None:
    server = serve(one_by_one(*[answer] * (len(answer) + 1)))
    sender = sender_to(server.url)
    whole = post(sender)
    sock = segmented(sender)
    for size in range(1, len(answer)):
        sock.sizes[:] = [size]
        assert post(sender) == whole, f"cut after {answer[:size]!r}"
        assert not sock.sizes
    assert (server.connections, requests_of_urllib3(sender)) == (1, 1)


def test_an_answer_that_comes_byte_by_byte_is_one(serve: Serve, sender_to: SenderTo) -> None:
    sender = sender_to(serve(one_by_one(NGINX, NGINX)).url)
    whole = post(sender)
    segmented(sender).sizes[:] = [1] * len(NGINX)
    assert post(sender) == whole


@pytest.mark.parametrize(
    "answer",
    [
        NGINX,
        BUSY,
        OK + b"Content-Length: 0\r\nCONNECTION: Keep-Alive\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2048\r\n\r\n" + b"x" * 2048,
    ],
)
def test_an_ordinary_answer_is_read_without_urllib3(
    serve: Serve, sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    sender = sender_to(serve(one_by_one(answer, answer, answer)).url)
    first = post(sender)
    monkeypatch.delattr(FastPath, "_resume")
    assert [post(sender), post(sender)] == [first, first]


def test_the_body_of_an_ordinary_answer_may_come_after_its_head(
    serve: Serve, sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sender_to(serve(one_by_one(NGINX, NGINX)).url)
    first = post(sender)
    monkeypatch.delattr(FastPath, "_resume")
    segmented(sender).sizes[:] = [NGINX.index(b"{"), 1, 2, 3]
    assert post(sender) == first


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"HTTP/1.1 503 Down\r\nRetry-After: 17\r\n", None),
        (b"HTTP/1.1 503 Down\r\nRetry-After: 17\r\nContent-Length: 9\r\n\r\n", (503, "", "17")),
        (b"HTTP/1.1 503 Down\r\nRetry-After: 17\r\nContent-Length: 9\r\n\r\nno", (503, "", "17")),
    ],
)
def test_an_answer_that_stops_is_one_when_its_head_is_whole(
    serve: Serve, sender_to: SenderTo, said: bytes, answer: tuple[int, str, str] | None
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(said)
        peer.head()  # until the client hangs up

    sender = sender_to(serve(in_use(handle)).url, read_timeout=0.1)
    assert post(sender).status == 200
    got = post(sender)
    assert (
        got == Response(*answer)
        if answer
        else (got.status, "timed out" in got.text) == (None, True)
    )


@pytest.mark.parametrize("more", [b"!", NGINX])
def test_a_connection_over_which_more_came_than_an_answer_is_not_kept(
    serve: Serve, sender_to: SenderTo, more: bytes
) -> None:
    server = serve(one_by_one(NGINX, NGINX + more, NGINX))
    sender = sender_to(server.url)
    assert [post(sender).text for _ in range(3)] == ['{"ok":true}'] * 3
    assert server.connections == 2


def test_nor_is_one_when_more_may_wait_in_the_layer_of_tls(
    serve: Serve, sender_to: SenderTo, authority: trustme.CA, ca_file: Path
) -> None:
    """A read gives what was asked for of a record; and no poll tells that there is more of it."""
    fields = b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\nX: "
    answer = fields + b"x" * (8192 - len(fields) - 8) + b"\r\n\r\ndown"
    server = serve(one_by_one(NGINX, answer + NGINX, NGINX), tls=server_context(authority))
    sender = sender_to(server.url, ca_file=ca_file)
    assert [post(sender).status for _ in range(2)] == [200, 503]
    assert post(sender).status == 200
    assert server.connections == 2


# What goes wrong


class HungUp(socket.socket):
    """A socket whose other side answers, and closes, just before it is written to."""

    other: socket.socket

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.other.sendall(BUSY)
        self.other.close()
        super().sendall(data, flags)


def test_an_answer_of_a_server_that_takes_no_body_counts(serve: Serve, sender_to: SenderTo) -> None:
    sender = sender_to(serve(one_by_one(NGINX)).url)
    assert post(sender).status == 200
    (connection,) = filter(None, pool_of(sender).pool.queue)
    connection.sock.close()
    connection.sock, other = socket.socketpair()
    replace_socket(sender, HungUp).other = other
    assert post(sender) == Response(429, "busy", "17 ")


LARGE = b"x" * 12_000_000
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"


@pytest.fixture
def over(serve: Serve) -> Iterator[threading.Event]:
    """Set when the test has ended, before its servers are closed."""
    event = threading.Event()
    yield event
    event.set()


def leaving_unread(answer: bytes, until: threading.Event) -> Handle:
    """A server that says this to a large request over its first connection, and reads no more."""

    def handle(peer: Peer) -> None:
        if peer.number > 1:
            peer.answer_all()
        peer.request()
        peer.answer()
        peer.head()
        peer.send(answer)
        until.wait(PATIENCE_SECONDS)

    return handle


@pytest.mark.parametrize("answer", [TOO_LARGE, TOO_LARGE.replace(b"\r\n", b"\n")])
@pytest.mark.parametrize("secure", [False, True])
def test_an_answer_of_a_server_that_leaves_the_body_unread_counts_when_no_more_can_be_written(
    serve: Serve,
    sender_to: SenderTo,
    authority: trustme.CA,
    ca_file: Path,
    over: threading.Event,
    answer: bytes,
    secure: bool,
) -> None:
    """And the connection is not used again: the rest of that request would be due there."""
    options = {"tls": server_context(authority)} if secure else {}
    server = serve(leaving_unread(answer, until=over), **options)
    sender = sender_to(server.url, ca_file=ca_file, connect_timeout=0.5)
    assert post(sender).status == 200
    assert post(sender, LARGE) == Response(413, "large", None)
    assert post(sender).status == 200
    assert server.connections == 2


def test_a_server_that_neither_reads_nor_answers_costs_one_timeout(
    serve: Serve, sender_to: SenderTo, over: threading.Event
) -> None:
    server = serve(leaving_unread(b"", until=over))
    sender = sender_to(server.url, connect_timeout=0.3, read_timeout=15.0)
    assert post(sender).status == 200
    start = time.monotonic()
    answer = post(sender, LARGE)
    assert time.monotonic() - start < 10
    assert (answer.status, answer.text) == (None, "TimeoutError: timed out")


class Closed(socket.socket):
    """A socket whose other side closes without a word just before it is written to."""

    other: socket.socket

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.other.close()
        super().sendall(data, flags)


def test_what_cannot_be_written_as_the_server_has_closed_goes_over_a_fresh_connection(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(one_by_one(NGINX))
    sender = sender_to(server.url)
    assert post(sender).status == 200
    (connection,) = filter(None, pool_of(sender).pool.queue)
    connection.sock.close()
    connection.sock, other = socket.socketpair()
    replace_socket(sender, Closed).other = other
    assert post(sender).status == 200
    assert server.connections == 2


def hang_up(peer: Peer, how: str) -> None:
    """Close the connection: with an end of file, or with a reset."""
    if how == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


def idle_too_long(how: str, *, until: int) -> Handle:
    """A server that answers once per connection, and hangs up on what it is asked next.

    From connection number `until` on it answers all.
    """

    def handle(peer: Peer) -> None:
        if peer.number >= until:
            peer.answer_all()
        peer.request()
        peer.answer()
        if peer.request():
            hang_up(peer, how)

    return handle


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_request_that_meets_a_closing_connection_goes_over_a_fresh_one_at_once(
    serve: Serve, sender_to: SenderTo, how: str
) -> None:
    """And is the same, so that the platform can tell that it is."""
    server = serve(idle_too_long(how, until=2))
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert server.connections == 2
    assert server.requests == [server.requests[0]] * 4
    assert server.requests[0].headers["idempotency-key"] == "key-1"


@pytest.mark.parametrize("way", ["direct", "tunnel", "tunnel through TLS"])
def test_so_does_one_in_tls(
    serve: Serve, sender_by: SenderBy, authority: trustme.CA, way: str
) -> None:
    context = server_context(authority)
    server = serve(idle_too_long("end", until=2), tls=context)
    sender = sender_by(way, server, context)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert (server.connections, len(server.requests)) == (2, 4)


def test_the_fresh_one_is_no_other_that_was_kept_and_may_be_closing_too(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(idle_too_long("end", until=3))
    sender = sender_to(server.url)
    assert post(sender).status == 200
    pool = pool_of(sender).pool
    first = pool.get()
    assert post(sender).status == 200
    second = pool.get()
    pool.put(first)
    pool.put(second)
    assert post(sender).status == 200
    assert server.connections == 3


def test_a_fresh_connection_that_the_server_closes_unanswered_is_a_failure(
    serve: Serve, sender_to: SenderTo
) -> None:
    """One request more, and no other: that costs a try, as it does without a kept connection."""

    def handle(peer: Peer) -> None:
        peer.request()

    server = serve(in_use(handle))
    sender = sender_to(server.url)
    assert post(sender).status == 200
    answer = post(sender)
    assert answer.status is None
    assert "RemoteDisconnected" in answer.text
    assert (server.connections, len(server.requests)) == (2, 2)


class Counting(socket.socket):
    """A socket that remembers how much it was given at once."""

    sizes: list[int]

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.sizes.append(len(data))
        super().sendall(data, flags)


def test_a_request_is_written_at_once_and_a_large_one_in_pieces(
    serve: Serve, sender_to: SenderTo
) -> None:
    """Each with a time-out of its own."""
    server = serve(lambda peer: peer.answer_all())
    sender = sender_to(server.url)
    assert post(sender).status == 200
    sizes = replace_socket(sender, Counting).sizes = []
    assert post(sender).status == 200
    assert len(sizes) == 1
    assert len(BODY) < sizes[0] < len(BODY) + 300
    assert post(sender, b"x" * 200_000).status == 200
    assert sizes[1:4] == [65536] * 3
    assert len(server.requests[2].body) == 200_000


# Any answer

FIELDS = [
    b"Content-Length: 4",
    b"content-length:4",
    b"Content-Length: \t 4",
    b"Content-Length: 4 ",
    b"Content-Length : 4",
    b"Content-Length: +4",
    b"Content-Length: 4, 4",
    b"Content-Length: 0_4",
    b"Content-Length: 3",
    b"Content-Length: 0",
    b"Content-Length: -1",
    b"Content-Length:",
    b"Content-Length: " + b"9" * 5000,
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Connection: keep-alive",
    b"connection: close",
    b"Connection: Close",
    b"Connection: TE, close",
    b"Connection: Keep-Alive, Upgrade",
    b"Connection:",
    b"Retry-After: 17",
    b"Retry-After:  17 ",
    b"RETRY-AFTER: Tue, 04 May 2021 10:11:12 GMT",
    b"Retry-After:",
    b"Retry-After: \xfc",
    b"Server: x:y",
    b"X-\xff: y",
    b"X y: z",
    b"X: \xff\x85y",
    b"X: a\x00b",
    b"X: a\rb",
    b"X: a\nContent-Length: 3",
    b"X: a\r\r\nContent-Length: 3",
    b"X: a\x0bContent-Length: 3",
    b" folded: Content-Length: 3",
    b"\tContent-Length: 3",
    b": no name",
    b"no colon",
    b"From here on",
    b"X: " + b"y" * 9000,
    b"a: b\r\n" * 60 + b"a: b",
    b"a: b\r\n" * 110 + b"a: b",
    b"",
]
STATUS_LINES = [
    *[b"HTTP/1.1 %d Whatever" % status for status in (100, 102, 202, 204, 301, 304, 413, 503)],
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1\t200 OK",
    b"HTTP/1.1 200 \xfc",
    b"HTTP/1.1 200\x0b\x0c",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.2 200 OK",
    b"HTTP/2 200 OK",
    b"http/1.1 200 OK",
    b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 20\xb2 OK",
    b" HTTP/1.1 200 OK",
]
BODIES = [b"", b"fin", b"fine", b"fine!", b"4\r\nfine\r\n0\r\n\r\n", b"0\r\n\r\n", NGINX]


def lines(*them: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in them)


ODD_ANSWERS = [
    *[lines(status, FIELDS[0], b"") + body for status in STATUS_LINES for body in BODIES[2:4]],
    *[lines(OK[:-2], field, b"") + body for field in FIELDS for body in BODIES[3:5]],
    *[lines(OK[:-2], field, FIELDS[0], b"") + b"fine!" for field in FIELDS],
    *[lines(OK[:-2], FIELDS[0], field, b"") + b"fine" for field in FIELDS],
]
LINE_ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"\x0b\r\n"])
ANSWERS = st.builds(
    lambda status, fields, end, body: b"".join([status, *fields, end, body]),
    st.builds(bytes.__add__, st.sampled_from(STATUS_LINES), LINE_ENDS),
    st.lists(st.builds(bytes.__add__, st.sampled_from(FIELDS), LINE_ENDS), max_size=5),
    LINE_ENDS,
    st.sampled_from(BODIES) | st.binary(max_size=6),
)


class Compared:
    """Two senders to a server that says what the test wants: one may exchange, one may not."""

    def __init__(self, serve: Serve) -> None:
        self.said = b""
        server = serve(self._handle)
        self._config = ClientConfig(KEY, base_url=server.url, http=HTTPOptions(read_timeout=5.0))

    def _handle(self, peer: Peer) -> None:
        peer.request()
        peer.answer()
        peer.request()
        peer.send(self.said)

    def check(self, answer: bytes, sizes: list[int]) -> None:
        self.said = answer
        got, is_kept = self._outcome(sizes, may_exchange=True)
        expected, may_be_kept = self._outcome(sizes, may_exchange=False)
        assert got == expected
        assert may_be_kept or not is_kept

    def _outcome(self, sizes: list[int], *, may_exchange: bool) -> tuple[Response, bool]:
        """The answer over a used connection, and whether that is kept for another."""
        sender = Sender(self._config, 1, "dataart_mp/test")
        sender._may_take_fast_path = may_exchange
        assert post(sender).status == 200
        sock = segmented(sender)
        sock.sizes += sizes
        answer = post(sender)
        is_kept = sock.fileno() >= 0
        sock.close()
        sender._pool.clear()
        text = "" if answer.status is None else answer.text
        # How a line that goes on is joined differs between versions of urllib3.
        retry_after = answer.retry_after and " ".join(answer.retry_after.split())
        return Response(answer.status, text, retry_after), is_kept


def test_an_odd_answer_is_read_as_urllib3_reads_it(serve: Serve) -> None:
    compared = Compared(serve)
    for answer in ODD_ANSWERS:
        compared.check(answer, [])


def test_no_answer_is_read_otherwise_than_urllib3_reads_it(serve: Serve) -> None:
    compared = Compared(serve)

    @settings(max_examples=60, deadline=None)
    @given(ANSWERS, st.lists(st.integers(1, 200), max_size=3))
    def check(answer: bytes, sizes: list[int]) -> None:
        compared.check(answer, sizes)

    check()
