"""The fast path is taken whenever it may be, and reads every response as urllib3 reads it."""

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
from dataart_mp.transport import fast_path
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from tests.support import wait_until
from tests.transport.posting import (
    BODY,
    NAME,
    PATH,
    idle_connection,
    idle_pool,
    post,
    server_context,
)
from tests.transport.servers import (
    KEY,
    TIMEOUT_SECONDS,
    Handle,
    Peer,
    RawServer,
    SenderTo,
    Serve,
    in_use,
    proxy_handler,
)

S = TypeVar("S", bound=socket.socket)
SenderThrough = Callable[[str, RawServer, ssl.SSLContext], Sender]


def requests_through_urllib3(sender: Sender) -> int:
    return int(idle_pool(sender).num_requests)


# When the fast path is taken


def test_a_request_over_a_kept_connection_does_not_pass_through_urllib3(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(5)] == [200] * 5
    assert (len(server.requests), requests_through_urllib3(sender)) == (5, 1)


def test_a_request_passes_through_urllib3_if_the_connection_was_not_kept(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.respond_to_all(200, b"", "Connection: close"))
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert (server.connections, requests_through_urllib3(sender)) == (3, 3)


def test_a_proxy_that_forwards_receives_its_headers_with_every_request(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    proxy = serve(proxy_handler({NAME: server.port}))
    url = proxy.url.replace("://", "://ann:secret@")
    sender = sender_to(f"http://{NAME}", proxy=url)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert [request.line.split()[1] for request in proxy.requests] == [f"http://{NAME}{PATH}"] * 3
    assert all("proxy-authorization" in request.headers for request in proxy.requests)
    assert proxy.connections == 1


# What is written


def heads_into(heads: list[str]) -> Handle:
    """Return a server that appends each head, as it arrived, to a list."""

    def handle(peer: Peer) -> None:
        while (head := peer.head()) is not None:
            heads.append(head)
            while len(peer._read) < len(BODY):
                peer._read += peer.socket.recv(65536)
            assert peer._read == BODY
            peer._read = b""
            peer.respond()

    return handle


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of the platform, and of a proxy on this machine."""
    return server_context(authority.issue_cert("127.0.0.1", NAME))


@pytest.fixture
def sender_through(serve: Serve, sender_to: SenderTo, ca_file: Path) -> SenderThrough:
    """Makes senders to a server with TLS, directly or through a proxy."""

    def make(route: str, server: RawServer, context: ssl.SSLContext) -> Sender:
        if route == "direct":
            return sender_to(server.url, ca_file=ca_file)
        options = {"tls": context} if "TLS" in route else {}
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
    assert requests_through_urllib3(sender) == 1


@pytest.mark.parametrize("route", ["direct", "tunnel", "tunnel through TLS"])
def test_a_head_through_tls_is_what_urllib3_writes(
    serve: Serve, sender_through: SenderThrough, context: ssl.SSLContext, route: str
) -> None:
    heads: list[str] = []
    server = serve(heads_into(heads), tls=context)
    sender = sender_through(route, server, context)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert heads == [heads[0]] * 3
    assert requests_through_urllib3(sender) == 1


# What is read

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
    """A socket whose next reads return at most `sizes` bytes each, and later ones everything."""

    sizes: list[int]

    def recv(self, size: int, flags: int = 0) -> bytes:
        return super().recv(self._next(size), flags)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        return super().recv_into(buffer, self._next(size or len(buffer)), flags)

    def _next(self, size: int) -> int:
        return min(size, self.sizes.pop(0)) if self.sizes else size


def replace_socket(sender: Sender, kind: type[S]) -> S:
    """Replace the socket of the one idle connection by one of this class."""
    connection = idle_connection(sender)
    connection.sock = sock = kind(fileno=connection.sock.detach())
    return sock


def segmented(sender: Sender) -> Segments:
    sock = replace_socket(sender, Segments)
    sock.sizes = []
    return sock


def one_by_one(*responses: bytes) -> Handle:
    """Return a server that sends these responses one by one, and disconnects after the last."""

    def handle(peer: Peer) -> None:
        for response in responses:
            if peer.request() is None:
                return
            peer.send(response)

    return handle


@pytest.mark.parametrize("response", [NGINX, CHUNKED, BUSY, AFTER_100, BARE])
def test_a_response_that_arrives_in_two_pieces_is_the_same_wherever_it_is_cut(
    serve: Serve, sender_to: SenderTo, response: bytes
) -> None:
    server = serve(one_by_one(*[response] * (len(response) + 1)))
    sender = sender_to(server.url)
    whole = post(sender)
    sock = segmented(sender)
    for size in range(1, len(response)):
        sock.sizes[:] = [size]
        assert post(sender) == whole, f"cut after {response[:size]!r}"
        assert not sock.sizes
    assert (server.connections, requests_through_urllib3(sender)) == (1, 1)


def test_a_response_may_arrive_byte_by_byte(serve: Serve, sender_to: SenderTo) -> None:
    sender = sender_to(serve(one_by_one(NGINX, NGINX)).url)
    whole = post(sender)
    segmented(sender).sizes[:] = [1] * len(NGINX)
    assert post(sender) == whole


@pytest.mark.parametrize(
    "response",
    [
        NGINX,
        BUSY,
        OK + b"Content-Length: 0\r\nCONNECTION: Keep-Alive\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 2048\r\n\r\n" + b"x" * 2048,
    ],
)
def test_an_ordinary_response_is_read_without_urllib3(
    serve: Serve, sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch, response: bytes
) -> None:
    sender = sender_to(serve(one_by_one(response, response, response)).url)
    first = post(sender)
    monkeypatch.delattr(fast_path, "resumed_response")
    assert [post(sender), post(sender)] == [first, first]


def test_the_body_of_an_ordinary_response_may_arrive_after_its_head(
    serve: Serve, sender_to: SenderTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = sender_to(serve(one_by_one(NGINX, NGINX)).url)
    first = post(sender)
    monkeypatch.delattr(fast_path, "resumed_response")
    segmented(sender).sizes[:] = [NGINX.index(b"{"), 1, 2, 3]
    assert post(sender) == first


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"HTTP/1.1 503 Down\r\nRetry-After: 17\r\n", None),
        (b"HTTP/1.1 503 Down\r\nRetry-After: 17\r\nContent-Length: 9\r\n\r\n", (503, "", "17")),
        (b"HTTP/1.1 503 Down\r\nRetry-After: 17\r\nContent-Length: 9\r\n\r\nno", (503, "", "17")),
    ],
)
def test_an_incomplete_response_counts_if_its_head_is_complete(
    serve: Serve, sender_to: SenderTo, sent: bytes, expected: tuple[int, str, str] | None
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        peer.head()  # until the client disconnects

    sender = sender_to(serve(in_use(handle)).url, read_timeout=0.5)
    wait_until(lambda: post(sender).status == 200)
    got = post(sender)
    assert (
        got == Response(*expected)
        if expected
        else (got.status, "timed out" in got.text) == (None, True)
    )


@pytest.mark.parametrize("more", [b"!", NGINX])
def test_a_connection_with_data_after_the_response_is_not_kept(
    serve: Serve, sender_to: SenderTo, more: bytes
) -> None:
    server = serve(one_by_one(NGINX, NGINX + more, NGINX))
    sender = sender_to(server.url)
    assert [post(sender).text for _ in range(3)] == ['{"ok":true}'] * 3
    assert server.connections == 2


def test_a_connection_is_not_kept_if_tls_may_hold_data_after_the_response(
    serve: Serve, sender_to: SenderTo, context: ssl.SSLContext, ca_file: Path
) -> None:
    """A read may return a part of a TLS record, and no poll reports that more of it is buffered."""
    fields = b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\nX: "
    response = fields + b"x" * (8192 - len(fields) - 8) + b"\r\n\r\ndown"
    server = serve(one_by_one(NGINX, response + NGINX, NGINX), tls=context)
    sender = sender_to(server.url, ca_file=ca_file)
    assert [post(sender).status for _ in range(2)] == [200, 503]
    assert post(sender).status == 200
    assert server.connections == 2


# Failures


class RespondedAndClosed(socket.socket):
    """A socket whose other side responds and closes just before it is written to."""

    other: socket.socket

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._respond()
        super().sendall(data, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        self._respond()
        return super().send(data, flags)

    def _respond(self) -> None:
        self.other.sendall(BUSY)
        self.other.close()


def test_a_response_from_a_server_that_closes_before_the_body_counts(
    serve: Serve, sender_to: SenderTo
) -> None:
    sender = sender_to(serve(one_by_one(NGINX)).url)
    assert post(sender).status == 200
    connection = idle_connection(sender)
    connection.sock.close()
    connection.sock, other = socket.socketpair()
    replace_socket(sender, RespondedAndClosed).other = other
    assert post(sender) == Response(429, "busy", "17 ")


LARGE = b"x" * 12_000_000
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge"


@pytest.fixture
def over(serve: Serve) -> Iterator[threading.Event]:
    """Set when the test has ended, before its servers are closed."""
    event = threading.Event()
    yield event
    event.set()


def leaving_unread(response: bytes, until: threading.Event) -> Handle:
    """Return a server that responds to a large request without reading it, on one connection."""

    def handle(peer: Peer) -> None:
        if peer.number > 1:
            peer.respond_to_all()
        peer.request()
        peer.respond()
        peer.head()
        peer.send(response)
        until.wait(TIMEOUT_SECONDS)

    return handle


@pytest.mark.parametrize("response", [TOO_LARGE, TOO_LARGE.replace(b"\r\n", b"\n")])
@pytest.mark.parametrize("secure", [False, True])
def test_a_response_counts_if_the_server_stops_reading_the_body(
    serve: Serve,
    sender_to: SenderTo,
    context: ssl.SSLContext,
    ca_file: Path,
    over: threading.Event,
    response: bytes,
    secure: bool,
) -> None:
    """And the connection is not reused, because the rest of that request is missing."""
    options = {"tls": context} if secure else {}
    server = serve(leaving_unread(response, until=over), **options)
    sender = sender_to(server.url, ca_file=ca_file, connect_timeout=0.5)
    assert post(sender).status == 200
    assert post(sender, LARGE) == Response(413, "large", None)
    assert post(sender).status == 200
    assert server.connections == 2


def test_a_server_that_neither_reads_nor_responds_takes_one_timeout(
    serve: Serve, sender_to: SenderTo, over: threading.Event
) -> None:
    server = serve(leaving_unread(b"", until=over))
    sender = sender_to(server.url, connect_timeout=0.3, read_timeout=15.0)
    assert post(sender).status == 200
    start = time.monotonic()
    response = post(sender, LARGE)
    assert time.monotonic() - start < 10
    assert (response.status, response.text) == (None, "TimeoutError: timed out")


class Closed(socket.socket):
    """A socket whose other side closes without a response just before it is written to."""

    other: socket.socket

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.other.close()
        super().sendall(data, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        self.other.close()
        return super().send(data, flags)


def test_a_request_that_cannot_be_written_is_sent_over_a_new_connection(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(one_by_one(NGINX))
    sender = sender_to(server.url)
    assert post(sender).status == 200
    connection = idle_connection(sender)
    connection.sock.close()
    connection.sock, other = socket.socketpair()
    replace_socket(sender, Closed).other = other
    assert post(sender).status == 200
    assert server.connections == 2


def disconnect(peer: Peer, how: str) -> None:
    """Close the connection with an end of file or with a reset."""
    if how == "reset":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


def idle_too_long(how: str, *, until: int) -> Handle:
    """Return a server that responds once per connection, and disconnects at the next request.

    From connection number `until` on it responds to all.
    """

    def handle(peer: Peer) -> None:
        if peer.number >= until:
            peer.respond_to_all()
        peer.request()
        peer.respond()
        if peer.request():
            disconnect(peer, how)

    return handle


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_request_that_meets_a_closing_connection_is_repeated_over_a_new_one_at_once(
    serve: Serve, sender_to: SenderTo, how: str
) -> None:
    """The repeated request is identical, so that the platform can recognize it."""
    server = serve(idle_too_long(how, until=2))
    sender = sender_to(server.url)
    responses = [post(sender) for _ in range(3)]
    assert [response.status for response in responses] == [200] * 3
    assert [response.is_second for response in responses] == [False, True, False]
    assert server.connections == 2
    assert server.requests == [server.requests[0]] * 4
    assert server.requests[0].headers["idempotency-key"] == "key-1"


def test_a_request_that_is_repeated_without_success_says_that_it_was_sent_twice(
    serve: Serve, sender_to: SenderTo
) -> None:
    """The platform may have processed both."""

    def handle(peer: Peer) -> None:
        if peer.request() and peer.number == 1:
            peer.respond()
            peer.request()

    server = serve(handle)
    sender = sender_to(server.url)
    first, second = post(sender), post(sender)
    assert (first.status, first.is_second) == (200, False)
    assert (second.status, second.is_second) == (None, True)
    assert len(server.requests) == 3


@pytest.mark.parametrize("route", ["direct", "tunnel", "tunnel through TLS"])
def test_a_request_through_tls_that_meets_a_closing_connection_is_repeated_too(
    serve: Serve, sender_through: SenderThrough, context: ssl.SSLContext, route: str
) -> None:
    server = serve(idle_too_long("end", until=2), tls=context)
    sender = sender_through(route, server, context)
    assert [post(sender).status for _ in range(3)] == [200] * 3
    assert (server.connections, len(server.requests)) == (2, 4)


def test_a_repeated_request_does_not_use_another_idle_connection(
    serve: Serve, sender_to: SenderTo
) -> None:
    server = serve(idle_too_long("end", until=3))
    sender = sender_to(server.url)
    assert post(sender).status == 200
    pool = idle_pool(sender).pool
    first = pool.get()
    assert post(sender).status == 200
    second = pool.get()
    pool.put(first)
    pool.put(second)
    assert post(sender).status == 200
    assert server.connections == 3


def test_a_new_connection_closed_without_a_response_is_a_failure(
    serve: Serve, sender_to: SenderTo
) -> None:
    """The request is repeated once only: then it costs an attempt, as on a new connection."""

    def handle(peer: Peer) -> None:
        peer.request()

    server = serve(in_use(handle))
    sender = sender_to(server.url)
    assert post(sender).status == 200
    response = post(sender)
    assert response.status is None
    assert "RemoteDisconnected" in response.text
    assert (server.connections, len(server.requests)) == (2, 2)


class Counting(socket.socket):
    """A socket that remembers the size of each write."""

    sizes: list[int]

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.sizes.append(len(data))
        super().sendall(data, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        self.sizes.append(len(data))
        return super().send(data, flags)


def test_a_request_is_written_in_one_piece_and_a_large_one_in_several(
    serve: Serve, sender_to: SenderTo
) -> None:
    """Each piece has the full timeout."""
    server = serve(lambda peer: peer.respond_to_all())
    sender = sender_to(server.url)
    assert post(sender).status == 200
    sizes = replace_socket(sender, Counting).sizes = []
    assert post(sender).status == 200
    assert len(sizes) == 1
    assert len(BODY) < sizes[0] < len(BODY) + 300
    assert post(sender, b"x" * 200_000).status == 200
    assert sizes[1:4] == [65536] * 3
    assert len(server.requests[2].body) == 200_000


# Any response

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


ODD_RESPONSES = [
    *[lines(status, FIELDS[0], b"") + body for status in STATUS_LINES for body in BODIES[2:4]],
    *[lines(OK[:-2], field, b"") + body for field in FIELDS for body in BODIES[3:5]],
    *[lines(OK[:-2], field, FIELDS[0], b"") + b"fine!" for field in FIELDS],
    *[lines(OK[:-2], FIELDS[0], field, b"") + b"fine" for field in FIELDS],
]
LINE_ENDS = st.sampled_from([b"\r\n"] * 20 + [b"\n", b"\r", b"\r\r\n", b"\x0b\r\n"])
RESPONSES = st.builds(
    lambda status, fields, end, body: b"".join([status, *fields, end, body]),
    st.builds(bytes.__add__, st.sampled_from(STATUS_LINES), LINE_ENDS),
    st.lists(st.builds(bytes.__add__, st.sampled_from(FIELDS), LINE_ENDS), max_size=5),
    LINE_ENDS,
    st.sampled_from(BODIES) | st.binary(max_size=6),
)


class Compared:
    """Two senders to a server that sends `sent`; only one takes the fast path."""

    def __init__(self, serve: Serve, sender_class: type[Sender]) -> None:
        self._sender_class = sender_class
        self.sent = b""
        server = serve(self._handle)
        self._config = ClientConfig(KEY, base_url=server.url, http=HTTPOptions(read_timeout=5.0))

    def _handle(self, peer: Peer) -> None:
        peer.request()
        peer.respond()
        peer.request()
        peer.send(self.sent)

    def check(self, response: bytes, sizes: list[int]) -> None:
        self.sent = response
        got, is_kept = self._outcome(sizes, may_take_fast_path=True)
        expected, may_be_kept = self._outcome(sizes, may_take_fast_path=False)
        assert got == expected
        assert may_be_kept or not is_kept

    def _outcome(self, sizes: list[int], *, may_take_fast_path: bool) -> tuple[Response, bool]:
        """Return the response over a used connection, and whether the connection is kept."""
        sender = self._sender_class(self._config, 1, "dataart_mp/test")
        sender._may_take_fast_path = may_take_fast_path
        assert post(sender).status == 200
        sock = segmented(sender)
        sock.sizes += sizes
        response = post(sender)
        is_kept = sock.fileno() >= 0
        sock.close()
        sender._pool.clear()
        text = "" if response.status is None else response.text
        # Versions of urllib3 differ in how they join a folded line.
        retry_after = response.retry_after and " ".join(response.retry_after.split())
        return Response(response.status, text, retry_after), is_kept


def test_an_odd_response_is_read_as_urllib3_reads_it(
    serve: Serve, sender_class: type[Sender]
) -> None:
    compared = Compared(serve, sender_class)
    for response in ODD_RESPONSES:
        compared.check(response, [])


def test_every_response_is_read_as_urllib3_reads_it(
    serve: Serve, sender_class: type[Sender]
) -> None:
    compared = Compared(serve, sender_class)

    @settings(max_examples=60)
    @given(RESPONSES, st.lists(st.integers(1, 200), max_size=3))
    def check(response: bytes, sizes: list[int]) -> None:
        compared.check(response, sizes)

    check()
