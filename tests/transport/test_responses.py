"""Whatever a server does, the sender returns an answer: in time, bounded, and without the key."""

import contextlib
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.verdict import Delivered, Retry, Split, judge
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

PATH = "/events/send-actions"
BODY = b'{"timestamp":"2021-05-04T10:11:12+00:00","actions":[]}'


def post(sender: Sender, body: bytes = BODY) -> Response:
    return sender.post(PATH, body, "key-1")


@pytest.fixture(params=["fresh", "kept"])
def connection(request: pytest.FixtureRequest) -> str:
    """What each test posts over: a connection that is made for it, or one that was used before."""
    name: str = request.param
    return name


fresh_only = pytest.mark.parametrize("connection", ["fresh"], indirect=True)


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
            assert post(sender).status == 200
        return sender

    return make


def is_retried(answer: Response) -> bool:
    return answer.status is None and judge(answer, 2, datetime.now(UTC)) == Retry()


def says(*answer: bytes) -> Handle:
    """A server that reads a request, says this, and hangs up."""

    def handle(peer: Peer) -> None:
        peer.request()
        for piece in answer:
            peer.send(piece)

    return handle


# Connections


def test_a_connection_is_kept_and_used_again(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all(200, b'{"ok":true}'))
    sender = sender_to(server.url)
    assert [post(sender).status for _ in range(5)] == [200] * 5
    assert (server.connections, len(server.requests)) == (1, 5)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n2\r\n!!\r\n0\r\n\r\n",
        b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["no body", "chunked", "an error", "after 100"],
)
def test_a_connection_is_kept_after_every_whole_answer(
    serve: Serve, sender_to: SenderTo, answer: bytes
) -> None:
    def handle(peer: Peer) -> None:
        while peer.request():
            peer.send(answer)

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
            peer.answer()

    server = serve(handle)
    sender = sender_to(server.url)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            answers = threads.map(lambda _: post(sender), range(4))
            assert [answer.status for answer in answers] == [200] * 4
    assert server.connections == 4


def test_a_connection_that_the_server_closed_while_idle_costs_no_attempt(
    serve: Serve, sender_to: SenderTo
) -> None:
    closed = threading.Event()

    def handle(peer: Peer) -> None:
        peer.request()
        peer.answer(200, b"ok")
        peer.socket.shutdown(socket.SHUT_RDWR)
        closed.set()

    server = serve(handle)
    sender = sender_to(server.url)
    for _ in range(5):
        assert post(sender).status == 200
        assert closed.wait(10)
        closed.clear()
        time.sleep(0.02)  # the FIN is on its way, and no call tells of its arrival
    assert server.connections == 5


@fresh_only
def test_a_new_connection_that_is_closed_under_the_request_is_a_retry(
    serve: Serve, sender_to: SenderTo
) -> None:
    """Whether the platform has taken it is not known: it is sent again with the same key."""

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number > 1:
            peer.answer(200)

    server = serve(handle)
    sender = sender_to(server.url)
    assert is_retried(post(sender))
    assert post(sender).status == 200


@pytest.mark.parametrize("together", [True, False])
def test_what_a_server_says_unasked_is_not_taken_for_an_answer(
    serve: Serve, sender_to: SenderTo, together: bool
) -> None:
    """The second request does not get the 200 that was left over from the first."""
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number == 1:
            peer.send(one + one if together else one)
            if not together:
                peer.send(one)
            said.set()
            peer.request()
        else:
            peer.answer(503)

    said = threading.Event()
    sender = sender_to(serve(handle).url)
    assert post(sender).status == 200
    said.wait(10)
    assert post(sender).status in (503, None)


@pytest.mark.parametrize("status", [101, 102, 103])
def test_a_word_in_between_is_not_the_answer_and_never_mixes_up_the_next(
    serve: Serve, sender_to: SenderTo, status: int
) -> None:
    """The rest of the first answer must not become the answer to the second request."""

    def handle(peer: Peer) -> None:
        peer.request()
        if peer.number == 1:
            peer.send(b"HTTP/1.1 %d Wait\r\nLink: </style.css>\r\n\r\n" % status)
            time.sleep(0.1)
            with contextlib.suppress(OSError):
                peer.answer(200, b"the rest")
                peer.request()
        else:
            peer.answer(503)

    server = serve(handle)
    sender = sender_to(server.url)
    answer = post(sender)
    assert answer.status == status
    assert judge(answer, 1, datetime.now(UTC)) == Retry()
    assert post(sender).status == 503


# No answer


@fresh_only
def test_a_refused_connection_is_no_answer(sender_to: SenderTo) -> None:
    answer = post(sender_to(f"http://127.0.0.1:{refused_port()}"))
    assert is_retried(answer)
    assert "refused" in answer.text


@fresh_only
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", f"{'x' * 64}.invalid"])
def test_a_name_that_cannot_be_resolved_is_no_answer(sender_to: SenderTo, host: str) -> None:
    answer = post(sender_to(f"http://{host}:9"))
    assert is_retried(answer)
    assert answer.text


def test_a_server_that_never_answers_costs_the_read_timeout(
    serve: Serve, sender_to: SenderTo
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.head()

    sender = sender_to(serve(handle).url, read_timeout=0.3)
    started = time.monotonic()
    answer = post(sender)
    assert is_retried(answer)
    assert "timed out" in answer.text
    assert 0.25 < time.monotonic() - started < 3


@fresh_only
def test_a_server_that_never_accepts_costs_the_connect_timeout(sender_to: SenderTo) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(4):  # until the queue of connections is full
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", port))
            started = time.monotonic()
            answer = post(sender_to(f"http://127.0.0.1:{port}", connect_timeout=0.3))
    assert is_retried(answer)
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
def test_garbage_is_no_answer(serve: Serve, sender_to: SenderTo, garbage: bytes) -> None:
    server = serve(says(garbage))
    sender = sender_to(server.url)
    assert is_retried(post(sender))
    assert is_retried(post(sender)), "and neither is it one to the next request"


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
def test_the_status_alone_decides_however_broken_the_rest(
    serve: Serve, sender_to: SenderTo, fields: str, body: bytes
) -> None:
    server = serve(says(b"HTTP/1.1 200 OK\r\n" + fields.encode("latin-1") + b"\r\n\r\n" + body))
    answer = post(sender_to(server.url))
    assert judge(answer, 1, datetime.now(UTC)) == Delivered()


def test_a_server_that_resets_the_connection_gives_no_answer(
    serve: Serve, sender_to: SenderTo
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    assert is_retried(post(sender_to(serve(handle).url)))


# Answers out of the ordinary


def test_an_answer_that_comes_before_the_body_was_read_counts(
    serve: Serve, sender_to: SenderTo
) -> None:
    """A server may refuse by the head alone, and read no more."""

    def handle(peer: Peer) -> None:
        peer.head()
        peer.answer(413, b"too large")
        peer.socket.shutdown(socket.SHUT_WR)
        while peer.socket.recv(65536):
            pass

    answer = post(sender_to(serve(handle).url), b"x" * 1_000_000)
    assert (answer.status, answer.text) == (413, "too large")
    assert judge(answer, 2, datetime.now(UTC)) == Split()


def test_an_early_answer_of_a_server_that_hangs_up_is_an_answer_or_a_retry(
    serve: Serve, sender_to: SenderTo
) -> None:
    """TCP may throw the answer away when the server closes with our body unread."""

    def handle(peer: Peer) -> None:
        peer.head()
        peer.answer(413, b"too large")

    answer = post(sender_to(serve(handle).url), b"x" * 1_000_000)
    assert answer.status == 413 or is_retried(answer)


def test_a_huge_answer_is_read_but_for_its_start(serve: Serve, sender_to: SenderTo) -> None:
    sent = 0

    def handle(peer: Peer) -> None:
        nonlocal sent
        peer.request()
        if peer.number == 1:
            peer.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                peer.send(b"x" * 65536)
                sent += 65536
        peer.answer(200)

    server = serve(handle)
    sender = sender_to(server.url)
    answer = post(sender)
    assert (answer.status, answer.text) == (500, "x" * 500)
    assert post(sender).status == 200
    server.close()
    assert sent < 20_000_000


@pytest.mark.parametrize(("size", "connections"), [(2047, 1), (2048, 1), (2050, 3)])
def test_a_connection_is_kept_after_an_answer_that_is_not_too_long(
    serve: Serve, sender_to: SenderTo, size: int, connections: int
) -> None:
    server = serve(lambda peer: peer.answer_all(200, b"x" * size))
    sender = sender_to(server.url)
    for _ in range(3):
        assert post(sender).text == "x" * 500
    assert server.connections == connections


@pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
def test_an_answer_that_comes_byte_by_byte_holds_no_sender_for_long(
    serve: Serve, sender_to: SenderTo, framing: str
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(200):
            peer.send(b"1\r\nx\r\n" if "chunked" in framing else b"x")
            time.sleep(0.05)

    sender = sender_to(serve(handle).url, read_timeout=0.2)
    started = time.monotonic()
    answer = post(sender)
    assert answer.status == 200
    assert time.monotonic() - started < 3


@fresh_only
def test_a_slow_server_that_takes_the_body_byte_by_byte_gets_all_of_it(
    serve: Serve, sender_to: SenderTo
) -> None:
    """The time-out is for each piece that is written, not for all of a large body."""

    def handle(peer: Peer) -> None:
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
        for _ in range(12):
            peer._read += peer.socket.recv(100_000)
            time.sleep(0.1)
        peer.request()
        peer.answer(200)

    server = serve(handle)
    body = b"x" * 6_000_000
    assert post(sender_to(server.url, connect_timeout=0.6), body).status == 200
    assert server.requests[0].body == body


def test_a_server_that_stops_reading_holds_no_sender_for_long(
    serve: Serve, sender_to: SenderTo
) -> None:
    enough = threading.Event()

    def handle(peer: Peer) -> None:
        peer.head()
        enough.wait(10)

    sender = sender_to(serve(handle).url, connect_timeout=0.3, read_timeout=60.0)
    started = time.monotonic()
    answer = post(sender, b"x" * 10_000_000)
    enough.set()
    assert is_retried(answer)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_that_the_key_stays_here(
    serve: Serve, sender_to: SenderTo, status: int
) -> None:
    elsewhere = serve(lambda peer: peer.answer_all())
    server = serve(lambda peer: peer.answer_all(status, b"moved", f"Location: {elsewhere.url}/"))
    answer = post(sender_to(server.url))
    assert answer.status == status
    assert elsewhere.connections == 0


def test_retry_after_is_passed_on_as_it_came(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all(503, b"", "retry-after: 17"))
    assert post(sender_to(server.url)).retry_after == "17"


def test_the_answer_tells_why_in_its_own_words(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all(400, "actions[3].key: leer ü".encode()))
    assert post(sender_to(server.url)).text == "actions[3].key: leer ü"


def test_an_answer_that_is_no_text_is_still_shown(serve: Serve, sender_to: SenderTo) -> None:
    server = serve(lambda peer: peer.answer_all(400, b"\xff\x00ok"))
    assert post(sender_to(server.url)).text == "�\0ok"


# The key


@pytest.mark.parametrize("key", [KEY, "schlüssel-ÿ-geheim", 'a"b\\c d'])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_a_key_that_the_server_quotes_is_not_shown(
    serve: Serve, sender_to: SenderTo, key: str, encoding: str
) -> None:
    said = f"unknown API key '{key}', or was it {key}{key}?".encode(encoding)
    server = serve(lambda peer: peer.answer_all(401, said))
    sender = sender_to(server.url, settings={"api_key": key})
    assert post(sender).text == "unknown API key '***', or was it ******?"


def test_a_part_of_the_key_is_not_shown_where_an_answer_breaks_off(
    serve: Serve, sender_to: SenderTo
) -> None:
    head = b"HTTP/1.1 401 No\r\nContent-Length: 1000\r\n\r\n"
    server = serve(says(head + b"unknown API key " + KEY[:-3].encode()))
    assert post(sender_to(server.url)) == Response(401, "")


@pytest.mark.parametrize(
    "said",
    [
        KEY.encode(),
        b"HTTP/1.1 " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: " + KEY.encode() + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + KEY.encode() + b"\r\n",
    ],
)
def test_a_key_in_garbage_is_not_shown(serve: Serve, sender_to: SenderTo, said: bytes) -> None:
    assert KEY not in repr(post(sender_to(serve(says(said)).url)))


@fresh_only
def test_a_key_is_not_in_the_text_of_any_failure(serve: Serve, sender_to: SenderTo) -> None:
    urls = [
        f"http://127.0.0.1:{refused_port()}",
        "http://no-such-host.invalid",
        serve(says(b"")).url,
        serve(lambda peer: peer.answer_all()).url.replace("http:", "https:"),
    ]
    answers = [post(sender_to(url, connect_timeout=2.0)) for url in urls]
    assert all(is_retried(answer) for answer in answers)
    assert not any(KEY in repr(answer) for answer in answers)
