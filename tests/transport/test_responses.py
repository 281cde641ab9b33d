"""Whatever a server does, the sender returns a short response in time, and without the key."""

import contextlib
import gzip
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp.delivery.verdict import Delivered, Retry, Split, judge
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from tests.support import wait_until
from tests.transport.posting import post
from tests.transport.servers import (
    KEY,
    Handle,
    Peer,
    RawServer,
    SenderTo,
    Serve,
    in_use,
    refused_port,
)


@pytest.fixture(params=["new", "kept"])
def connection(request: pytest.FixtureRequest) -> str:
    """The connection that each test posts over: a new one, or one that was used before."""
    name: str = request.param
    return name


only_new = pytest.mark.parametrize("connection", ["new"], indirect=True)


@pytest.fixture
def serve(serve: Serve, connection: str) -> Serve:
    def start(handle: Handle, **options: Any) -> RawServer:
        return serve(in_use(handle) if connection == "kept" else handle, **options)

    return start


@pytest.fixture
def sender_to(sender_to: SenderTo, connection: str) -> SenderTo:
    def make(url: str, **options: Any) -> Sender:
        sender = sender_to(url, **options)
        if connection == "kept":
            wait_until(lambda: post(sender).status == 200)
        return sender

    return make


def is_retried(response: Response) -> bool:
    return (
        response.status is None and judge(response, datetime.now(UTC), is_divisible=True) == Retry()
    )


def sends(*response: bytes) -> Handle:
    """Return a server that reads a request, sends these bytes, and disconnects."""

    def handle(peer: Peer) -> None:
        peer.request()
        for piece in response:
            peer.send(piece)

    return handle


# Connections


def test_a_connection_is_kept_and_reused(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all(200, b'{"ok":true}'))
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(5)] == [200] * 5
    assert (server.connections, len(server.requests)) == (1, 5)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n2\r\n!!\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["no body", "chunked", "an error", "after 100"],
)
def test_a_connection_is_kept_after_every_complete_response(
    serve: Serve, sender_to: SenderTo, response: bytes
) -> None:
    def handle(peer: Peer) -> None:
        while peer.request():
            peer.send(response)

    server = serve(handle)
    sender = sender_to(server.url)
    statuses = {post(sender).status for _ in range(3)}
    assert len(statuses) == 1
    assert server.connections == 1


def test_as_many_connections_as_senders_are_kept(serve: Serve, sender_to: SenderTo) -> None:
    together = threading.Barrier(4)

    def handle(peer: Peer) -> None:
        while peer.request():
            together.wait(10)
            peer.respond()

    server = serve(handle)
    sender = sender_to(server.url)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            responses = threads.map(lambda _: post(sender), range(4))
            assert [response.status for response in responses] == [200] * 4
    assert server.connections == 4


def test_a_connection_closed_while_idle_costs_no_attempt(serve: Serve, sender_to: SenderTo) -> None:
    closed = threading.Event()

    def handle(peer: Peer) -> None:
        peer.request()
        peer.respond(200, b"ok")
        peer.socket.shutdown(socket.SHUT_RDWR)
        closed.set()

    server = serve(handle)
    sender = sender_to(server.url)
    for _ in range(5):
        assert post(sender).status == 200
        assert closed.wait(10)
        closed.clear()
        time.sleep(0.02)  # the FIN is on its way, and no call reports its arrival
    assert server.connections == 5


@only_new
def test_a_new_connection_closed_during_the_request_is_a_retry(
    serve: Serve, sender_to: SenderTo
) -> None:
    """The platform may have accepted the request: it is repeated with the same key."""

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number > 1:
            peer.respond(200)

    server = serve(handle)
    sender = sender_to(server.url)
    assert is_retried(post(sender))
    assert post(sender).status == 200


@pytest.mark.parametrize("together", [True, False])
def test_data_that_was_not_requested_is_not_taken_for_a_response(
    serve: Serve, sender_to: SenderTo, together: bool
) -> None:
    """The second request does not receive the 200 that was left over from the first."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number == 1:
            peer.send(one + one if together else one)
            if not together:
                peer.send(one)
            sent.set()
            peer.request()
        else:
            peer.respond(503)

    sent = threading.Event()
    sender = sender_to(serve(handle).url)
    assert post(sender).status == 200
    sent.wait(10)
    assert post(sender).status in (503, None)


# Interim responses

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": EARLY_HINTS,
    "199": b"HTTP/1.1 199 Whatever\r\nContent-Length: 10\r\nno field\r\n\r\n",
    "several": EARLY_HINTS * 20 + b"HTTP/1.1 102 Processing\r\n\r\n" * 20,
    "bare": b"HTTP/1.1 103 Early Hints\n\n",
}


@pytest.mark.parametrize("interim", INTERIM)
@pytest.mark.parametrize("together", [True, False])
def test_interim_responses_before_the_final_one_are_skipped(
    serve: Serve, sender_to: SenderTo, interim: str, together: bool
) -> None:
    """The final response counts, and the connection is kept."""
    final = b"HTTP/1.1 400 No\r\nContent-Length: 5\r\n\r\nfinal"

    def handle(peer: Peer) -> None:
        while peer.request():
            if together:
                peer.send(INTERIM[interim] + final)
                continue
            peer.send(INTERIM[interim])
            time.sleep(0.02)
            peer.send(final)

    server = serve(handle)
    sender = sender_to(server.url)
    assert [post(sender) for _ in range(3)] == [Response(400, "final")] * 3
    assert (server.connections, len(server.requests)) == (1, 3)


def test_an_interim_response_without_a_final_one_counts_as_none(
    serve: Serve, sender_to: SenderTo
) -> None:
    assert is_retried(post(sender_to(serve(sends(EARLY_HINTS)).url)))


def test_switching_protocols_is_an_error_and_the_connection_is_not_reused(
    serve: Serve, sender_to: SenderTo
) -> None:
    """What follows is not HTTP, whatever it looks like, and nothing asked for it."""

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number == 1:
            peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                peer.respond(200, b"the rest")
                peer.request()
        else:
            peer.respond(503)

    sender = sender_to(serve(handle).url)
    response = post(sender)
    assert response.status == 101
    assert judge(response, datetime.now(UTC), is_divisible=False) == Retry()
    assert post(sender).status == 503


# Fields that cannot be parsed

UNREADABLE = [
    b"Two Words: 1",
    b"no colon in this line",
    b": no name",
    b" folded from nothing",
    b"\tfolded from nothing",
    b"From here on",
    b"From here: on",
    b"X-\xff: y",
    b"X-\x00: y",
    b"X: a\x00b",
    b"X: a\rb",
    b"X: a\rContent-Length: 9",
    b"X: \xff\x85\x1c\x0by",
    b"X: y\r\n folded\r\n\tand again",
    b"Two Words: 1\r\n folded: as well",
    b"(comment): 1",
    b"{}: 1",
    b"\xef\xbb\xbfServer: with a byte order mark",
]


@pytest.mark.parametrize("field", UNREADABLE)
@pytest.mark.parametrize("status", [200, 400])
def test_a_field_that_cannot_be_parsed_hides_no_other_field(
    serve: Serve, sender_to: SenderTo, field: bytes, status: int
) -> None:
    """In particular not the length of the body: without it, each response takes read_timeout."""
    head = b"HTTP/1.1 %d Whatever\r\n%b\r\nContent-Length: 5\r\nRetry-After: 7\r\n\r\n"

    def handle(peer: Peer) -> None:
        while peer.request():
            peer.send(head % (status, field) + b"whole")

    server = serve(handle)
    sender = sender_to(server.url)
    assert [post(sender) for _ in range(2)] == [Response(status, "whole", "7")] * 2
    assert server.connections == 1


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length : 5", b"Content-Length\t:5", b"content-length:\r\n 5", b"CONTENT-LENGTH: 5"],
)
def test_an_oddly_written_length_is_understood(
    serve: Serve, sender_to: SenderTo, framing: bytes
) -> None:
    def handle(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 400 No\r\n" + framing + b"\r\n\r\nwhole")

    server = serve(handle)
    sender = sender_to(server.url)
    assert [post(sender) for _ in range(2)] == [Response(400, "whole")] * 2
    assert server.connections == 1


@pytest.mark.parametrize("field", ["Content-Length: abc", "Content-Length", "X: y", "Length: 2"])
def test_a_success_without_a_known_length_is_not_waited_for(
    serve: Serve, sender_to: SenderTo, field: str
) -> None:
    """Its body has no meaning, and the server may never close the connection."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n".encode() + b"{}")
        peer.head()  # until the client disconnects

    sender = sender_to(serve(handle).url, read_timeout=60.0)
    started = time.monotonic()
    assert post(sender).status == 200
    assert time.monotonic() - started < 3


# No response


@only_new
def test_a_refused_connection_counts_as_none(sender_to: SenderTo) -> None:
    response = post(sender_to(f"http://127.0.0.1:{refused_port()}"))
    assert is_retried(response)
    assert "refused" in response.text


@only_new
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", f"{'x' * 64}.invalid"])
def test_a_host_name_that_cannot_be_resolved_counts_as_none(sender_to: SenderTo, host: str) -> None:
    response = post(sender_to(f"http://{host}:9"))
    assert is_retried(response)
    assert response.text


def test_a_server_that_never_responds_takes_the_read_timeout(
    serve: Serve, sender_to: SenderTo
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.head()

    sender = sender_to(serve(handle).url, read_timeout=0.3)
    started = time.monotonic()
    response = post(sender)
    assert is_retried(response)
    assert "timed out" in response.text
    assert 0.25 < time.monotonic() - started < 3


@only_new
def test_a_server_that_never_accepts_takes_the_connect_timeout(sender_to: SenderTo) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(4):  # until the queue of connections is full
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", port))
            started = time.monotonic()
            response = post(sender_to(f"http://127.0.0.1:{port}", connect_timeout=0.3))
    assert is_retried(response)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\r\n",
        b"\0" * 1000,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 Too Low\r\n\r\n",
        b"HTTP/1.1 1000 Too High\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300,
        b"HTTP/2 200" + b"x" * 70_000,
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
    ],
    ids=range(13),
)
def test_garbage_counts_as_none(serve: Serve, sender_to: SenderTo, garbage: bytes) -> None:
    server = serve(sends(garbage))
    sender = sender_to(server.url)
    assert is_retried(post(sender))
    assert is_retried(post(sender)), "nor is it a response to the next request"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("Content-Length: abc", b"fine"),
        ("Content-Length: -5", b"fine"),
        ("Transfer-Encoding: chunked", b"zz\r\nfine"),
        ("Transfer-Encoding: chunked", b"4\r\nfi"),
        ("Content-Length: 10", b"fine"),
        ("no colon in this line", b""),
        ("Content-Type: \xff\xfe", b""),
        ("Set-Cookie: \x01\x02", b"\xff\xfe\x00"),
    ],
)
def test_the_status_decides_even_if_the_rest_is_broken(
    serve: Serve, sender_to: SenderTo, fields: str, body: bytes
) -> None:
    server = serve(sends(b"HTTP/1.1 200 OK\r\n" + fields.encode("latin-1") + b"\r\n\r\n" + body))
    response = post(sender_to(server.url))
    assert judge(response, datetime.now(UTC), is_divisible=False) == Delivered()


def test_a_connection_that_the_server_resets_counts_as_none(
    serve: Serve, sender_to: SenderTo
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert is_retried(post(sender_to(serve(handle).url)))


# Unusual responses


def test_a_response_sent_before_the_body_was_read_counts(serve: Serve, sender_to: SenderTo) -> None:
    """A server may refuse a request by its head, and read no more."""

    def handle(peer: Peer) -> None:
        peer.head()
        peer.respond(413, b"too large")
        peer.socket.shutdown(socket.SHUT_WR)
        while peer.socket.recv(65536):
            pass

    response = post(sender_to(serve(handle).url), b"x" * 1_000_000)
    assert (response.status, response.text) == (413, "too large")
    assert judge(response, datetime.now(UTC), is_divisible=True) == Split()


def test_an_early_response_from_a_server_that_disconnects_counts_or_is_a_retry(
    serve: Serve, sender_to: SenderTo
) -> None:
    """TCP may discard the response if the server closes before it has read the body."""

    def handle(peer: Peer) -> None:
        peer.head()
        peer.respond(413, b"too large")

    response = post(sender_to(serve(handle).url), b"x" * 1_000_000)
    assert response.status == 413 or is_retried(response)


def test_only_the_start_of_a_huge_response_is_read(serve: Serve, sender_to: SenderTo) -> None:
    sent = 0

    def handle(peer: Peer) -> None:
        nonlocal sent
        peer.request()
        if peer.number == 1:
            peer.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                peer.send(b"x" * 65536)
                sent += 65536
        peer.respond(200)

    server = serve(handle)
    sender = sender_to(server.url)
    response = post(sender)
    assert (response.status, response.text) == (500, "x" * 500)
    assert post(sender).status == 200
    server.close()
    assert sent < 20_000_000


@pytest.mark.parametrize(("size", "connections"), [(2047, 1), (2048, 1), (2050, 3)])
def test_a_connection_is_kept_unless_the_response_is_too_long(
    serve: Serve, sender_to: SenderTo, size: int, connections: int
) -> None:
    server = serve(lambda peer: peer.respond_to_all(200, b"x" * size))
    sender = sender_to(server.url)
    for _ in range(3):
        assert post(sender).text == "x" * 500
    assert server.connections == connections


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_a_response_that_arrives_byte_by_byte_does_not_hold_up_a_sender(
    serve: Serve, sender_to: SenderTo, framing: str
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(200):
            peer.send(b"1\r\nx\r\n" if "chunked" in framing else b"x")
            time.sleep(0.05)

    sender = sender_to(serve(handle).url, read_timeout=0.2)
    for _ in range(10):
        started = time.monotonic()
        response = post(sender)
        assert time.monotonic() - started < 3
        if response.status is not None:  # else a loaded machine has run the server too late
            break
    assert response.status == 200


@only_new
def test_a_server_that_reads_slowly_receives_the_whole_body(
    serve: Serve, sender_to: SenderTo
) -> None:
    """The timeout applies to each piece that is written, not to a large body as a whole."""

    def handle(peer: Peer) -> None:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        for _ in range(12):
            peer._read += peer.socket.recv(100_000)
            time.sleep(0.1)
        peer.request()
        peer.respond(200)

    server = serve(handle)
    body = b"x" * 6_000_000
    assert post(sender_to(server.url, connect_timeout=0.6), body).status == 200
    assert server.requests[0].body == body


def test_a_server_that_stops_reading_does_not_hold_up_a_sender(
    serve: Serve, sender_to: SenderTo
) -> None:
    enough = threading.Event()

    def handle(peer: Peer) -> None:
        peer.head()
        enough.wait(10)

    sender = sender_to(serve(handle).url, connect_timeout=0.3, read_timeout=60.0)
    started = time.monotonic()
    response = post(sender, b"x" * 10_000_000)
    enough.set()
    assert is_retried(response)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_that_the_key_is_not_disclosed(
    serve: Serve, sender_to: SenderTo, status: int
) -> None:
    elsewhere = serve(lambda peer: peer.respond_to_all())
    target = f"{elsewhere.url}/in"
    server = serve(lambda peer: peer.respond_to_all(status, b"moved", f"Location: {target}"))
    assert post(sender_to(server.url)) == Response(status, f"redirect to {target}: moved")
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://elsewhere.example/in", "https://elsewhere.example/in"),
        ("/login", "/login"),
        ("//elsewhere.example:8443/in", "//elsewhere.example:8443/in"),
        ("https://elsewhere.example/@ann", "https://elsewhere.example/@ann"),
        ("https://ann:secret@elsewhere.example/in", "https://***@elsewhere.example/in"),
        ("//ann:secret@elsewhere.example/in", "***@elsewhere.example/in"),
        ("https://ann:se/cret@elsewhere.example/in", "https://***@elsewhere.example/in"),
        ("https://ann:se?cret@elsewhere.example/in", "https://***@elsewhere.example/in"),
        ("https://ann:s@ecret@elsewhere.example/in", "https://***@elsewhere.example/in"),
        ("ann:secret@elsewhere.example/in", "***@elsewhere.example/in"),
        ("https:\\\\ann:secret@elsewhere.example", "***@elsewhere.example"),
        ("https://elsewhere.example/in?token=secret#secret", "https://elsewhere.example/in***"),
        ("https://elsewhere.example/?to=a@b", "https://elsewhere.example/***"),
        (f"https://elsewhere.example/{KEY}/in", "https://elsewhere.example/***/in"),
    ],
)
def test_the_text_of_a_redirect_says_where_to_without_secrets(
    serve: Serve, sender_to: SenderTo, location: str, shown: str
) -> None:
    server = serve(lambda peer: peer.respond_to_all(308, b"", f"Location: {location}"))
    assert post(sender_to(server.url)).text == f"redirect to {shown}"


def test_retry_after_is_returned_as_it_was_sent(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all(503, b"", "retry-after: 17"))
    assert post(sender_to(server.url)).retry_after == "17"


def test_the_text_of_a_response_is_its_body(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all(400, "actions[3].key: leer ü".encode()))
    assert post(sender_to(server.url)).text == "actions[3].key: leer ü"


REASON = b'{"error":"no such project"}'


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(REASON)),
        ("GZIP", gzip.compress(REASON)),
        ("x-gzip", gzip.compress(REASON)),
        ("deflate", zlib.compress(REASON)),
        ("deflate", zlib.compress(REASON)[2:-4]),
        ("identity", REASON),
    ],
)
def test_a_compressed_body_is_shown_as_text(
    serve: Serve, sender_to: SenderTo, encoding: str, body: bytes, chunked: bool
) -> None:
    """Though no request asks for compression, some servers and proxies always compress."""

    def handle(peer: Peer) -> None:
        while peer.request():
            fields = f"HTTP/1.1 400 No\r\nContent-Encoding: {encoding}\r\n".encode()
            if chunked:
                peer.send(fields + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body))
                peer.send(body + b"\r\n0\r\n\r\n")
            else:
                peer.send(fields + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert post(sender_to(serve(handle).url)).text == REASON.decode()


@pytest.mark.parametrize(
    ("encoding", "body"), [("br", b"\x0b\x02\x80"), ("gzip", b"not so"), ("gzip, br", b"\x1f\x8b")]
)
def test_a_body_that_cannot_be_decoded_is_described(
    serve: Serve, sender_to: SenderTo, encoding: str, body: bytes
) -> None:
    server = serve(lambda peer: peer.respond_to_all(400, body, f"Content-Encoding: {encoding}"))
    text = post(sender_to(server.url)).text
    assert text == f"a body of {len(body)} bytes with Content-Encoding '{encoding}'"


def test_a_small_body_that_expands_without_end_is_cut(serve: Serve, sender_to: SenderTo) -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    assert len(bomb) < 2048
    server = serve(lambda peer: peer.respond_to_all(400, bomb, "Content-Encoding: gzip"))
    assert post(sender_to(server.url)).text == "x" * 500


def test_a_body_that_is_not_text_is_still_shown(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.respond_to_all(400, b"\xff\x00ok"))
    assert post(sender_to(server.url)).text == "�\0ok"


# The API key


@pytest.mark.parametrize("key", [KEY, "schlüssel-ÿ-geheim", 'a"b\\c d'])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_key_that_the_server_quotes_is_not_shown(
    serve: Serve, sender_to: SenderTo, key: str, encoding: str
) -> None:
    sent = f"unknown API key '{key}', or was it {key}{key}?".encode(encoding)
    server = serve(lambda peer: peer.respond_to_all(401, sent))
    sender = sender_to(server.url, settings={"api_key": key})
    assert post(sender).text == "unknown API key '***', or was it ******?"


def test_a_part_of_the_key_is_not_shown_if_a_response_is_cut_off(
    serve: Serve, sender_to: SenderTo
) -> None:
    head = b"HTTP/1.1 401 No\r\nContent-Length: 1000\r\n\r\n"
    server = serve(sends(head + b"unknown API key " + KEY[:-3].encode()))
    assert post(sender_to(server.url)) == Response(401, "")


@pytest.mark.parametrize(
    "sent",
    [
        KEY.encode(),
        b"HTTP/1.1 " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + KEY.encode() + b"\r\n",
    ],
)
def test_a_key_in_garbage_is_not_shown(serve: Serve, sender_to: SenderTo, sent: bytes) -> None:
    assert KEY not in repr(post(sender_to(serve(sends(sent)).url)))


@only_new
def test_a_key_is_not_in_the_text_of_any_failure(serve: Serve, sender_to: SenderTo) -> None:
    urls = [
        f"http://127.0.0.1:{refused_port()}",
        "http://no-such-host.invalid",
        serve(sends(b"")).url,
        serve(lambda peer: peer.respond_to_all()).url.replace("http:", "https:"),
    ]
    responses = [post(sender_to(url, connect_timeout=2.0)) for url in urls]
    assert all(is_retried(response) for response in responses)
    assert not any(KEY in repr(response) for response in responses)
