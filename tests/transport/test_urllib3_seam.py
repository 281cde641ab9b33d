"""urllib3 works inside as `transport/urllib3_seam.py` expects, and a change is named clearly.

Each expectation is a function that asserts it. The last tests break urllib3 in the way that each
expectation is meant to notice.
"""

import contextlib
import http.client
import queue
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.util.ssltransport import SSLTransport

from dataart_mp.transport import urllib3_seam
from dataart_mp.transport.bounded_response import BoundedResponse
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

    def resume(self, connection: Any, data: bytes = PLAIN, *, reusable: bool = True) -> Any:
        """Return a response that begins with these bytes."""
        return urllib3_seam.resumed_response(
            self.pool, connection, data, reusable=reusable, deadline=time.monotonic() + 10
        )

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
    response = served.resume(connection)
    assert response.read1() == b"fine", f"HTTPResponse does not read from its `body` {ADVICE}"
    response.release_conn()
    assert served.last() is connection, (
        f"HTTPResponse.release_conn does not put the connection back into the pool {ADVICE}"
    )


def a_closed_response_closes_its_connection(served: Served) -> None:
    connection = served.take()
    served.resume(connection).close()
    assert connection.sock is None, f"HTTPResponse.close does not close the connection {ADVICE}"


def http_client_reads_through_makefile(served: Served) -> None:
    connection = served.last()
    try:
        served.resume(connection, reusable=False).close()
    except AttributeError as error:
        pytest.fail(f"http.client.HTTPResponse uses more than `makefile`: {error} {ADVICE}")


def http_client_reads_the_first_line_with_read_status(served: Served) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    connection = served.last()
    try:
        response = served.resume(connection, interim + PLAIN, reusable=False)
    except http.client.HTTPException as error:
        pytest.fail(
            f"http.client.HTTPResponse.begin does not use `_read_status` alone: {error!r} {ADVICE}"
        )
    assert (response.status, response.headers["Content-Length"]) == (200, "4")
    response.close()


def a_manager_makes_its_pools_of_the_classes_by_scheme(served: Served) -> None:
    with bounded_manager() as manager:
        for scheme in ("http", "https"):
            pool = manager.connection_from_host(served.pool.host, served.pool.port, scheme)
            kind: Any = pool.ConnectionCls
            assert getattr(kind, "response_class", None) is BoundedResponse, (
                f"PoolManager does not use pool_classes_by_scheme {ADVICE}"
            )


def every_response_is_read_with_the_response_class(served: Served) -> None:
    with bounded_manager() as manager:
        url = f"http://{served.pool.host}:{served.pool.port}/"
        response: Any = manager.urlopen("POST", url, body=b"x", preload_content=False)
        raw = response._original_response
        response.read()
        response.release_conn()
        assert isinstance(raw, BoundedResponse), (
            f"HTTPConnection does not read with its response_class {ADVICE}"
        )


class _Recorder:
    """A socket that records what is called, and is at its end."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def settimeout(self, seconds: float) -> None:
        self.calls.append(f"settimeout({seconds})")

    def recv(self, size: int) -> bytes:
        self.calls.append("recv")
        return b""

    def sendall(self, data: bytes) -> None:
        self.calls.append("sendall")


def tls_inside_tls_uses_the_timeout_of_the_outer_socket(served: Served) -> None:
    outer: Any = _Recorder()
    with contextlib.suppress(ssl.SSLError):  # the end of the data
        SSLTransport(outer, ssl.create_default_context(), server_hostname="platform.example")
    assert outer.calls[:2] == ["sendall", "recv"], (
        f"SSLTransport does not read with `recv` of the socket that it was given {ADVICE}"
    )
    transport = object.__new__(SSLTransport)
    transport.socket = outer
    transport.settimeout(3)
    assert outer.calls[-1] == "settimeout(3)", (
        f"SSLTransport does not set the timeout of the socket that it was given {ADVICE}"
    )


def bounded_manager() -> Any:
    manager = urllib3.PoolManager()
    urllib3_seam.bound_responses(manager)
    return manager


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
    http_client_reads_the_first_line_with_read_status,
    a_manager_makes_its_pools_of_the_classes_by_scheme,
    every_response_is_read_with_the_response_class,
    tls_inside_tls_uses_the_timeout_of_the_outer_socket,
]


@pytest.mark.parametrize("expectation", EXPECTATIONS, ids=lambda each: each.__name__)
def test_urllib3_works_inside_as_expected(served: Served, expectation: Expectation) -> None:
    expectation(served)


class _Queue(queue.Queue[Any]):
    """A pool that is not a stack."""


def _set_timeout(response: Any, sock: Any, *arguments: Any, **options: Any) -> None:
    response.fp = None
    try:
        sock.settimeout(1.0)
    finally:
        sock.close()


def _begin_without_read_status(response: http.client.HTTPResponse) -> None:
    if not response.fp.readline().startswith(b"HTTP/"):
        raise http.client.BadStatusLine("something else")


def _new_pool(manager: Any, scheme: str, host: str, port: int, request_context: Any = None) -> Any:
    return urllib3.HTTPConnectionPool(host, port)


def _response_of_http_client(connection: Any) -> Any:
    connection.response_class = http.client.HTTPResponse
    return _getresponse(connection)


_getresponse: Any = HTTPConnection.getresponse


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
        *(http.client.HTTPResponse, "__init__", _set_timeout),
        "uses more than `makefile`",
    ),
    (
        http_client_reads_the_first_line_with_read_status,
        *(http.client.HTTPResponse, "begin", _begin_without_read_status),
        "begin does not use `_read_status` alone",
    ),
    (
        a_manager_makes_its_pools_of_the_classes_by_scheme,
        *(urllib3.PoolManager, "_new_pool", _new_pool),
        "PoolManager does not use pool_classes_by_scheme",
    ),
    (
        every_response_is_read_with_the_response_class,
        *(HTTPConnection, "getresponse", _response_of_http_client),
        "does not read with its response_class",
    ),
    (
        tls_inside_tls_uses_the_timeout_of_the_outer_socket,
        *(SSLTransport, "settimeout", lambda transport, seconds: None),
        "does not set the timeout of the socket",
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
