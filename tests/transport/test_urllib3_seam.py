"""urllib3 works inside as `transport/urllib3_seam.py` expects, and a change is named clearly.

Each expectation is a function that asserts it. The last tests break urllib3 in the way that each
expectation is meant to notice.
"""

import http.client
import queue
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import urllib3
from urllib3.connection import HTTPConnection

from dataart_mp.transport import urllib3_seam
from tests.support import wait_until
from tests.transport.servers import Peer, Serve

ADVICE = f"(urllib3 {version('urllib3')}): adapt dataart_mp/transport/urllib3_seam.py"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"


class Served:
    """A pool with one idle connection, and the server's side of it."""

    def __init__(self, serve: Serve) -> None:
        self.peers: list[Peer] = []
        self._seen: list[Any] = []
        server = serve(self._handle)
        self.pool: Any = urllib3.HTTPConnectionPool(server.host, server.port, maxsize=2)
        self.request()

    def request(self) -> int:
        return int(self.pool.urlopen("POST", "/", body=b"x").status)

    def last(self) -> Any:
        """Return the connection that was used last, and leave it in the pool."""
        self._seen.append(self.pool.pool.queue[-1])
        return self._seen[-1]

    def take(self) -> Any:
        """Take the connection that was used last out of the pool."""
        connection = self.last()
        assert self.pool.pool.get() is connection
        return connection

    def close(self) -> None:
        self.pool.close()
        for connection in filter(None, self._seen):
            connection.close()

    def _handle(self, peer: Peer) -> None:
        self.peers.append(peer)
        peer.respond_to_all()


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    made = Served(serve)
    yield made
    made.close()


def idle_connections_are_in_a_stack(served: Served) -> None:
    stack = served.pool.pool
    assert isinstance(stack, queue.LifoQueue), (
        f"HTTPConnectionPool.pool is not a queue.LifoQueue {ADVICE}"
    )
    assert isinstance(stack.queue[-1], HTTPConnection), (
        f"HTTPConnectionPool.pool does not hold the connection that was used last {ADVICE}"
    )
    assert stack.queue[0] is None, (
        f"HTTPConnectionPool.pool has no None for a connection that is not made yet {ADVICE}"
    )


def an_idle_connection_is_connected_until_data_arrives(served: Served) -> None:
    connection = served.last()
    assert connection.is_connected is True, (
        f"HTTPConnection.is_connected is not True for an open connection {ADVICE}"
    )
    served.peers[0].socket.shutdown(socket.SHUT_WR)
    try:
        wait_until(lambda: not connection.is_connected, 1)
    except AssertionError:
        pytest.fail(
            f"HTTPConnection.is_connected does not become False when the server closes {ADVICE}"
        )


def an_open_connection_has_a_socket(served: Served) -> None:
    connection = served.last()
    assert isinstance(connection.sock, socket.socket), (
        f"HTTPConnection.sock is not the socket of an open connection {ADVICE}"
    )
    connection.close()
    assert connection.sock is None, (
        f"HTTPConnection.sock is not None for a closed connection {ADVICE}"
    )


def a_closed_connection_is_connected_again(served: Served) -> None:
    connection = served.last()
    connection.close()
    assert served.request() == 200
    assert served.last() is connection, (
        f"urllib3 does not connect a closed connection of the pool again {ADVICE}"
    )
    assert len(served.peers) == 2


def a_head_is_written_with_send_in_the_order_of_the_headers(served: Served) -> None:
    headers = {"X-B": "1", "X-A": "2"}
    try:
        head = urllib3_seam.request_head(served.pool, "/path?query", headers)
    except (OSError, AttributeError, TypeError) as error:
        pytest.fail(f"ConnectionCls.request does not write with `send` only: {error!r} {ADVICE}")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /path?query HTTP/1.1", (
        f"ConnectionCls.request does not write the request line with `send` {ADVICE}"
    )
    assert lines[-3:] == [b"X-B: 1", b"X-A: 2", b""], (
        f"ConnectionCls.request does not write the headers in their order {ADVICE}"
    )


def a_released_response_returns_its_connection_to_the_pool(served: Served) -> None:
    connection = served.take()
    response = urllib3_seam.resumed_response(served.pool, connection, PLAIN, reusable=True)
    assert response.read1() == b"fine", f"HTTPResponse does not read from its `body` {ADVICE}"
    response.release_conn()
    assert served.last() is connection, (
        f"HTTPResponse.release_conn does not put the connection back into the pool {ADVICE}"
    )


def a_closed_response_closes_its_connection(served: Served) -> None:
    connection = served.take()
    urllib3_seam.resumed_response(served.pool, connection, PLAIN, reusable=True).close()
    assert connection.sock is None, f"HTTPResponse.close does not close the connection {ADVICE}"


def http_client_reads_through_makefile(served: Served) -> None:
    connection = served.last()
    try:
        urllib3_seam.resumed_response(served.pool, connection, PLAIN, reusable=False).close()
    except AttributeError as error:
        pytest.fail(f"http.client.HTTPResponse uses more than `makefile`: {error} {ADVICE}")


Expectation = Callable[[Served], None]
EXPECTATIONS: list[Expectation] = [
    idle_connections_are_in_a_stack,
    an_idle_connection_is_connected_until_data_arrives,
    an_open_connection_has_a_socket,
    a_closed_connection_is_connected_again,
    a_head_is_written_with_send_in_the_order_of_the_headers,
    a_released_response_returns_its_connection_to_the_pool,
    a_closed_response_closes_its_connection,
    http_client_reads_through_makefile,
]


@pytest.mark.parametrize("expectation", EXPECTATIONS, ids=lambda each: each.__name__)
def test_urllib3_works_inside_as_expected(served: Served, expectation: Expectation) -> None:
    expectation(served)


class _Queue(queue.Queue[Any]):
    """A pool that is not a stack."""


class _Eager(http.client.HTTPResponse):
    """A response that uses another method of its socket."""

    def __init__(self, sock: Any, method: str) -> None:
        super().__init__(sock, method=method)
        self._sock = sock

    def begin(self) -> None:
        self._sock.settimeout(1.0)


def _connect_at_once(connection: HTTPConnection, *arguments: Any, **options: Any) -> None:
    connection.sock.sendall(b"")


def _always_new(pool: Any, timeout: float | None = None) -> Any:
    pool.pool.get()
    return pool._new_conn()


def _write_sorted(connection: Any, method: str, url: str, *, headers: dict[str, str]) -> None:
    fields = b"".join(b"%b: %b\r\n" % (n.encode(), headers[n].encode()) for n in sorted(headers))
    connection.send(b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), url.encode(), fields))


BROKEN: list[tuple[Expectation, Any, str, Any, str]] = [
    (
        idle_connections_are_in_a_stack,
        *(urllib3.HTTPConnectionPool, "QueueCls", _Queue),
        "HTTPConnectionPool.pool is not a queue.LifoQueue",
    ),
    (
        an_idle_connection_is_connected_until_data_arrives,
        *(HTTPConnection, "is_connected", True),
        "is_connected does not become False",
    ),
    (
        an_open_connection_has_a_socket,
        *(HTTPConnection, "close", lambda connection: None),
        "sock is not None for a closed connection",
    ),
    (
        a_closed_connection_is_connected_again,
        *(urllib3.HTTPConnectionPool, "_get_conn", _always_new),
        "does not connect a closed connection of the pool again",
    ),
    (
        a_head_is_written_with_send_in_the_order_of_the_headers,
        *(HTTPConnection, "request", _write_sorted),
        "does not write the headers in their order",
    ),
    (
        a_head_is_written_with_send_in_the_order_of_the_headers,
        *(HTTPConnection, "request", _connect_at_once),
        "does not write with `send` only",
    ),
    (
        a_released_response_returns_its_connection_to_the_pool,
        *(urllib3.HTTPResponse, "release_conn", lambda response: None),
        "release_conn does not put the connection back",
    ),
    (
        a_closed_response_closes_its_connection,
        *(urllib3.HTTPResponse, "close", lambda response: None),
        "close does not close the connection",
    ),
    (
        http_client_reads_through_makefile,
        *(http.client, "HTTPResponse", _Eager),
        "uses more than `makefile`",
    ),
]


@pytest.mark.parametrize(
    ("expectation", "owner", "name", "broken", "message"),
    BROKEN,
    ids=[f"{case[0].__name__}-{case[2]}" for case in BROKEN],
)
def test_a_change_inside_urllib3_is_named_clearly(
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    expectation: Expectation,
    owner: Any,
    name: str,
    broken: Any,
    message: str,
) -> None:
    served = None if name == "QueueCls" else Served(serve)
    monkeypatch.setattr(owner, name, broken)
    served = served or Served(serve)
    with pytest.raises((AssertionError, pytest.fail.Exception)) as caught:
        expectation(served)
    monkeypatch.undo()
    served.close()
    assert message in str(caught.value)
    assert "adapt dataart_mp/transport/urllib3_seam.py" in str(caught.value)


def test_every_expectation_can_fail() -> None:
    assert {case[0] for case in BROKEN} == set(EXPECTATIONS)
