"""Nothing that a client sends can make the sink keep much memory or wait for ever."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3

from dataart_mp.devsink import SinkProcess
from dataart_mp.devsink.http import limits
from tests.devsink.poster import ACTIONS, Poster, action, actions, raw_head

if TYPE_CHECKING:
    from collections.abc import Iterable

MIB = 1024 * 1024
# What a head may add to the memory of the sink; without limits, it is all that is sent.
SPARE_KIB = 20 * 1024


def memory(sink: SinkProcess) -> int:
    """Return the peak memory of the sink's process, in KiB."""
    status = Path(f"/proc/{sink.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


def connect(sink: SinkProcess) -> socket.socket:
    port = int(sink.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def converse(sink: SinkProcess, parts: Iterable[bytes]) -> bytes:
    """Send until the sink resets the connection; return its response, if that is not lost."""
    with connect(sink) as connection, contextlib.suppress(OSError):
        with contextlib.suppress(OSError):
            for part in parts:
                connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65536), b""))
    return b""


ENDLESS = {
    "URL": b"GET /",
    "method": b"",
    "header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    "name of a header": b"GET / HTTP/1.1\r\nHost: localhost\r\n",
    "trailer": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    "extension of a chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;x=",
}


@pytest.mark.parametrize("start", ENDLESS.values(), ids=ENDLESS)
def test_a_line_that_does_not_end_is_refused_and_not_kept(sink: SinkProcess, start: bytes) -> None:
    before = memory(sink)
    converse(sink, [start, *[b"a" * MIB] * 100])
    assert memory(sink) - before < SPARE_KIB
    assert Poster(sink.url).post(actions(action())).status == 200


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\nHost: localhost\r\n", ENDLESS["trailer"].removesuffix(b"X: ")],
    ids=["headers", "trailers"],
)
def test_lines_without_end_are_refused_and_not_kept(sink: SinkProcess, start: bytes) -> None:
    before = memory(sink)
    converse(sink, [start, *[b"X: a\r\n" * 50_000] * 300])
    assert memory(sink) - before < SPARE_KIB


@pytest.mark.parametrize(
    ("path", "headers", "status", "field"),
    [
        (ACTIONS, {"X-Long": "a" * limits.HEADER_BYTES}, 431, "head"),
        (ACTIONS, {f"X-{number}": "a" for number in range(limits.HEADERS)}, 431, "head"),
        (ACTIONS, {f"X-{number}": "a" * 14_000 for number in range(5)}, 431, "head"),
        (f"{ACTIONS}?{'a' * limits.HEAD_BYTES}", {}, 414, "path"),
        (f"/_sink/events?key={'a' * limits.HEAD_BYTES}", {}, 414, "path"),
    ],
    ids=["header", "number of headers", "all headers", "path", "query"],
)
def test_a_head_that_is_too_large_gets_an_error_and_is_counted(
    sink: SinkProcess,
    poster: Poster,
    path: str,
    headers: dict[str, str | None],
    status: int,
    field: str,
) -> None:
    response = poster.post(actions(action()), path, headers=headers)
    assert (response.status, response.json()["field"]) == (status, field)
    stats = sink.stats()
    assert (stats["requests"], stats["rejected_requests"], stats["in_flight"]) == (1, 1, 0)
    [rejected] = sink.rejected()
    assert (rejected["status"], rejected["field"]) == (status, field)


def test_a_head_within_the_limits_is_accepted(sink: SinkProcess, poster: Poster) -> None:
    headers: dict[str, str | None] = {f"X-{number}": "a" * 600 for number in range(90)}
    headers["Cookie"] = "a" * 8192
    assert poster.post(actions(action()), headers=headers).status == 200


def test_a_body_in_small_chunks_with_extensions_is_accepted(poster: Poster) -> None:
    chunks = [bytes([byte]) for byte in json.dumps(actions(action())).encode()]
    head = raw_head(0, b"Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"")
    body = b"".join(b"1;%b\r\n%b\r\n" % (b"x" * 1000, chunk) for chunk in chunks)
    assert poster.raw(head, body, b"0\r\nX-Trailer: 1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_an_error_is_never_read_as_the_response_to_an_earlier_request(
    sink: SinkProcess, poster: Poster
) -> None:
    sink.set_faults({"kind": "hang"})
    body = json.dumps(actions(action())).encode()
    head = raw_head(len(body)).replace(b"Connection: close\r\n", b"")
    too_large = b"GET / HTTP/1.1\r\nX: %b\r\n\r\n" % (b"a" * limits.HEADER_BYTES)
    with contextlib.suppress(ConnectionResetError):
        assert poster.raw(head, body, too_large) == b""
    sink.wait_for(lambda stats: stats["rejected_requests"] == 1 and not stats["in_flight"])


def test_connections_above_the_limit_get_a_503_and_the_others_work() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))  # the sink inherits it
    try:
        with SinkProcess() as sink:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            kept = urllib3.HTTPConnectionPool("127.0.0.1", int(sink.url.rpartition(":")[2]))
            assert kept.request("GET", "/_sink/stats").status == 200
            with contextlib.ExitStack() as stack:
                opened = [stack.enter_context(connect(sink)) for _ in range(100)]
                assert opened[-1].recv(65536).startswith(b"HTTP/1.1 503 ")
                response = kept.request("GET", "/_sink/stats")
                assert (response.status, response.json()["requests"]) == (200, 0)
            kept.close()
            assert sink.log == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
