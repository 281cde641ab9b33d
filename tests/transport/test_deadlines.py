"""One deadline holds for all that a server, a proxy or something in between can make last."""

import itertools
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from dataart_mp.transport.bounded_response import MAX_BYTES
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from tests.support import wait_until
from tests.transport.posting import BODY, NAME, post, server_context
from tests.transport.servers import Handle, Peer, SenderTo, Serve, in_use

READ_TIMEOUT = 0.2
SOON = 3.0
"""Seconds that no post may take here; without a deadline, each takes much longer."""

Meet = Callable[..., tuple[Response, float]]


@pytest.fixture(params=["new", "kept"])
def meet(request: pytest.FixtureRequest, serve: Serve, sender_to: SenderTo) -> Meet:
    """Post once, over a new connection or a kept one, and return the response and the seconds."""

    def post_to(handle: Handle, body: bytes = BODY, **options: Any) -> tuple[Response, float]:
        is_kept = request.param == "kept"
        tls = options.pop("tls", None)
        server = serve(in_use(handle) if is_kept else handle, tls=tls)
        sender = sender_to(server.url, **{"read_timeout": READ_TIMEOUT, **options})
        if is_kept:
            # The server is a thread, which a loaded machine may run too late for this one, too.
            wait_until(lambda: post(sender).status == 200)
        return timed_post(sender, body)

    return post_to


def timed_post(sender: Sender, body: bytes = BODY) -> tuple[Response, float]:
    start = time.monotonic()
    response = post(sender, body)
    return response, time.monotonic() - start


def drips(start: bytes, drop: bytes, pause: float = 0.05) -> Handle:
    """Return a server that sends the start of a response, and then drops without end."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        while True:
            time.sleep(pause)
            peer.send(drop)

    return handle


def floods(start: bytes, drop: bytes) -> Handle:
    """Return a server that sends the start of a response, and then drops as fast as it can."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        while True:
            peer.send(drop * 1000)

    return handle


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HEADS: dict[str, tuple[bytes, bytes]] = {
    "status line": (b"HTTP/1.1 200 O", b"K"),
    "before the status line": (b"", b"H"),
    "header name": (OK + b"X", b"x"),
    "header value": (OK + b"X: ", b"x"),
    "header lines": (OK, b"X: y\r\n"),
    "unreadable lines": (OK, b"not a header\r\n"),
    "folded lines": (OK + b"X: y\r\n", b" more\r\n"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "headers of a 102": (b"HTTP/1.1 102 Processing\r\n", b"X: y\r\n"),
}
BODIES: dict[str, tuple[bytes, bytes]] = {
    "body": (OK + b"Content-Length: 9999\r\n\r\n", b"x"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "chunk extensions": (CHUNKED + b"1;", b"x"),
    "chunk size": (CHUNKED, b"0"),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n"),
    "trailer": (CHUNKED + b"0\r\nX: ", b"y"),
    "endless body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
}


@pytest.mark.parametrize("part", HEADS)
@pytest.mark.parametrize("send", [drips, floods])
def test_a_head_without_end_counts_as_none_in_time(
    meet: Meet, send: Callable[[bytes, bytes], Handle], part: str
) -> None:
    response, seconds = meet(send(*HEADS[part]))
    assert response.status is None
    assert response.text
    assert seconds < SOON


@pytest.mark.parametrize("part", BODIES)
@pytest.mark.parametrize("send", [drips, floods])
def test_the_status_decides_in_time_if_the_body_has_no_end(
    meet: Meet, send: Callable[[bytes, bytes], Handle], part: str
) -> None:
    for _ in range(10):
        response, seconds = meet(send(*BODIES[part]))
        assert seconds < SOON
        if response.status is not None:  # else a loaded machine has run the server too late
            break
    assert response.status == 200


@pytest.mark.parametrize("part", ["header value", "100 Continue", "trailers"])
def test_the_deadline_holds_through_tls(
    meet: Meet, authority: trustme.CA, ca_file: Path, part: str
) -> None:
    context = server_context(authority.issue_cert("127.0.0.1"))
    _, seconds = meet(drips(*{**HEADS, **BODIES}[part]), tls=context, ca_file=ca_file)
    assert seconds < SOON


def test_the_deadline_is_one_for_head_and_body(meet: Meet) -> None:
    """A head that takes half of the time does not give the body the full time again."""

    def handle(peer: Peer) -> None:
        peer.request()
        time.sleep(0.8)
        peer.send(OK + b"Content-Length: 100\r\n")
        time.sleep(0.2)
        peer.send(b"\r\n")
        for _ in range(60):
            time.sleep(0.05)
            peer.send(b"x")

    response, seconds = meet(handle, read_timeout=2.0)
    assert response == Response(200)
    assert seconds < 2.9, "a second deadline would end after 3 s"


def test_a_response_may_be_slow_within_the_deadline(meet: Meet) -> None:
    whole = b"HTTP/1.1 400 No\r\nContent-Length: 4\r\n\r\nslow"

    def handle(peer: Peer) -> None:
        peer.request()
        for at in range(len(whole)):
            time.sleep(0.01)
            peer.send(whole[at : at + 1])

    assert meet(handle, read_timeout=10.0)[0] == Response(400, "slow")


def test_a_flood_is_read_only_up_to_a_bound(meet: Meet) -> None:
    """It does not occupy a processor until the deadline."""
    response, seconds = meet(floods(*HEADS["100 Continue"]), read_timeout=60.0)
    assert response.status is None
    assert f"{MAX_BYTES:,} bytes" in response.text
    assert seconds < SOON


def test_a_refusal_without_a_known_length_is_shown_without_waiting_for_its_end(meet: Meet) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 400 No\r\n\r\nno such project")
        peer.head()  # until the client disconnects

    response, seconds = meet(handle, read_timeout=30.0)
    assert response == Response(400, "no such project")
    assert seconds < SOON


# The request

LARGE = b"x" * 12_000_000


@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_reads_byte_by_byte_does_not_hold_up_a_sender(
    meet: Meet, authority: trustme.CA, ca_file: Path, secure: bool
) -> None:
    def handle(peer: Peer) -> None:
        peer.head()
        for _ in range(20):
            peer.socket.recv(1)
            time.sleep(0.1)

    options: dict[str, Any] = {}
    if secure:
        options["tls"] = server_context(authority.issue_cert("127.0.0.1"))
        options["ca_file"] = ca_file
    response, seconds = meet(handle, LARGE, connect_timeout=0.3, **options)
    assert response.status is None
    assert seconds < SOON


# The connection


def dripping_raw(data: Iterator[bytes]) -> Handle:
    """Return a server that sends bytes of TLS, or of anything, before a request is read."""

    def handle(peer: Peer) -> None:
        peer.socket.recv(65536)
        for piece in data:
            time.sleep(0.1)
            peer.send(piece)

    return handle


def test_a_tls_handshake_that_drips_takes_the_connect_timeout(
    serve: Serve, sender_to: SenderTo, ca_file: Path
) -> None:
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + b"\0" * 200
    server = serve(dripping_raw(record[at : at + 1] for at in range(len(record))))
    url = server.url.replace("http:", "https:")
    response, seconds = timed_post(sender_to(url, ca_file=ca_file, connect_timeout=0.3))
    assert response.status is None
    assert seconds < SOON


@pytest.mark.parametrize("part", ["status line", "header value", "header lines", "100 Continue"])
@pytest.mark.parametrize("secure", [False, True])
def test_a_proxy_whose_response_to_connect_drips_takes_the_connect_timeout(
    serve: Serve,
    sender_to: SenderTo,
    authority: trustme.CA,
    ca_file: Path,
    part: str,
    secure: bool,
) -> None:
    context = server_context(authority.issue_cert("127.0.0.1")) if secure else None
    proxy = serve(drips(*HEADS[part]), tls=context)
    sender = sender_to(
        f"https://{NAME}",
        proxy=proxy.url,
        ca_file=ca_file,
        connect_timeout=0.3,
        read_timeout=READ_TIMEOUT,
    )
    response, seconds = timed_post(sender)
    assert response.status is None
    assert seconds < SOON


def tunnelled(inside: Handle) -> Handle:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        inside(peer)

    return handle


def test_a_tls_handshake_inside_a_tunnel_through_tls_takes_the_connect_timeout(
    serve: Serve, sender_to: SenderTo, authority: trustme.CA, ca_file: Path
) -> None:
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + b"\0" * 200
    pieces = (record[at : at + 1] for at in range(len(record)))
    proxy = serve(
        tunnelled(dripping_raw(pieces)), tls=server_context(authority.issue_cert("127.0.0.1"))
    )
    sender = sender_to(f"https://{NAME}", proxy=proxy.url, ca_file=ca_file, connect_timeout=0.3)
    response, seconds = timed_post(sender)
    assert response.status is None
    assert seconds < SOON


class TlsInside:
    """The platform's side of TLS inside a tunnel, which sends byte by byte if it is slow."""

    def __init__(self, peer: Peer, context: ssl.SSLContext) -> None:
        self._peer = peer
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._sent, server_side=True)
        self._complete(self._tls.do_handshake)

    def request(self) -> None:
        read = b""
        while BODY not in read:
            read += self._complete(lambda: self._tls.read(65536))

    def send(self, data: bytes, *, slow: bool = False) -> None:
        self._tls.write(data)
        sent = self._sent.read()
        for piece in [sent[at : at + 1] for at in range(len(sent))] if slow else [sent]:
            self._peer.send(piece)
            time.sleep(0.1 * slow)

    def _complete(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                result = None
            if sent := self._sent.read():
                self._peer.send(sent)
            if result is not None or (step == self._tls.do_handshake and self._tls.cipher()):
                return result
            self._received.write(self._peer.socket.recv(65536) or b"")


@pytest.mark.parametrize("kept", [False, True])
def test_a_response_in_tls_inside_tls_that_drips_takes_the_read_timeout(
    serve: Serve, sender_to: SenderTo, authority: trustme.CA, ca_file: Path, kept: bool
) -> None:
    context = server_context(authority.issue_cert("127.0.0.1", NAME))
    whole = OK + b"Content-Length: 100\r\n\r\n" + b"x" * 100

    def platform(peer: Peer) -> None:
        tls = TlsInside(peer, context)
        if kept:
            tls.request()
            tls.send(whole)
        tls.request()
        tls.send(whole, slow=True)

    proxy = serve(tunnelled(platform), tls=context)
    sender = sender_to(
        f"https://{NAME}", proxy=proxy.url, ca_file=ca_file, read_timeout=READ_TIMEOUT
    )
    if kept:
        assert post(sender).status == 200
    response, seconds = timed_post(sender)
    assert response.status is None
    assert seconds < SOON


def test_a_custom_pool_has_the_same_deadline(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(drips(*HEADS["header value"]))
    sender = sender_to(
        server.url,
        settings={"pool_factory": "tests.transport.test_deadlines:custom_pool"},
        read_timeout=READ_TIMEOUT,
    )
    response, seconds = timed_post(sender)
    assert response.status is None
    assert seconds < SOON


def custom_pool(_config: Any) -> Any:
    import urllib3

    return urllib3.PoolManager()


# What is late

LATE = OK + b"Content-Length: 4\r\n\r\nlate"


@pytest.mark.parametrize(
    ("framing", "first"),
    [
        ("Content-Length: 100", b"no"),
        ("Content-Length: 1000", b""),
        ("Transfer-Encoding: chunked", b"64\r\nno"),
        ("Transfer-Encoding: chunked", b"2\r\nno\r\n"),
        ("X: length unknown", b"no"),
    ],
)
@pytest.mark.parametrize("when", ["at once", "before the next request", "after the next request"])
def test_the_late_rest_of_a_response_is_never_read_as_the_next_response(
    serve: Serve, sender_to: SenderTo, framing: str, first: bytes, when: str
) -> None:
    """The rest contains what looks like a response, and the next request gets its own."""
    count = itertools.count()

    def handle(peer: Peer) -> None:
        while peer.request():
            number = next(count)
            if number != 1:
                peer.respond(503 if number else 200)
                continue
            peer.send(f"HTTP/1.1 500 Oops\r\n{framing}\r\n\r\n".encode() + first)
            if when == "before the next request":
                time.sleep(2 * READ_TIMEOUT)
            elif when == "after the next request":
                peer.head()
            peer.send(LATE * 2)

    server = serve(handle)
    sender = sender_to(server.url, read_timeout=READ_TIMEOUT)
    assert post(sender).status == 200
    assert post(sender).status == 500
    if when == "before the next request":
        time.sleep(2 * READ_TIMEOUT)
    # The time-out is short: on a busy machine it may be over before the server has responded.
    responses = (post(sender) for _ in range(5))
    assert next(each for each in responses if each.status is not None) == Response(503)
    assert server.connections == 2


def test_a_response_to_a_request_that_timed_out_is_never_read_as_the_next_response(
    serve: Serve, sender_to: SenderTo
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number == 1:
            time.sleep(2 * READ_TIMEOUT)
            peer.send(LATE)
            peer.socket.shutdown(socket.SHUT_WR)
        else:
            peer.respond(503)

    sender = sender_to(serve(handle).url, read_timeout=READ_TIMEOUT)
    assert post(sender).status is None
    time.sleep(2 * READ_TIMEOUT)
    assert post(sender).status == 503
