"""The urllib3 seam: every place that relies on how urllib3 works inside.

urllib3 does not promise the following. It holds from version 2.2 on. When it changes,
`tests/transport/test_urllib3_seam.py` fails and names what changed.

HTTPConnectionPool.pool
    Used to take an idle connection and put it back. Expected: a `queue.LifoQueue` of
    `HTTPConnection`, with None in place of a connection that is not made yet.
HTTPConnection.is_connected
    Used to see whether the server closed the connection. Expected: False if the connection is
    closed, or if unread data or an end of file is waiting.
HTTPConnection.sock
    Used to write and read without urllib3's layers. Expected: the connected socket, TLS and
    tunnel included; None if the connection is closed.
HTTPConnection.close
    Used to drop a connection but keep its place in the pool. Expected: urllib3 connects it again
    for its next request.
HTTPConnectionPool.ConnectionCls
    Used to write a head exactly as urllib3 writes it. Expected: a class of connections made from
    host and port; `request` writes with `send` only, and the headers in the order given.
HTTPResponse(pool=..., connection=...)
    Used to have urllib3 read an unusual response. Expected: `release_conn` puts the connection
    back into the pool, and `close` closes it.
PoolManager.pool_classes_by_scheme
    Used to have every connection read its responses within bounds. Expected: a dict of the classes
    of the manager's pools, which is looked up when a pool is made.
HTTPConnection.response_class, of the standard library
    Used for the same, for the response of a proxy to CONNECT as well. Expected: urllib3 reads every
    response with it. `bounded_response` lists what that relies on.
SSLTransport, which carries TLS inside TLS
    Used to limit the time of a tunnel through a proxy with TLS. Expected: it sets timeouts and
    reads on the proxy's socket, an `SSLContext.sslsocket_class`, with `settimeout` and `recv`.
"""

import queue
import socket
from collections.abc import Mapping
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection

from dataart_mp.transport.bounded_response import BoundedResponse


def bound_responses(manager: urllib3.PoolManager) -> None:
    """Have all connections that a manager will make read their responses within bounds.

    Args:
        manager: The manager, which has no pools yet.
    """
    manager.pool_classes_by_scheme = {
        scheme: _bounded_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _bounded_pool(pool: Any) -> Any:
    connection = _subclass(pool.ConnectionCls, response_class=BoundedResponse)
    return _subclass(pool, ConnectionCls=connection)


def _subclass(kind: Any, **attributes: Any) -> Any:
    """Return a subclass that errors show under the same name."""
    return type(kind.__name__, (kind,), {"__module__": kind.__module__, **attributes})


class IdleConnections:
    """The idle connections of one urllib3 pool; for any thread.

    Args:
        pool: The pool. urllib3 may use it at the same time.
    """

    def __init__(self, pool: urllib3.HTTPConnectionPool) -> None:
        self._idle = cast("queue.LifoQueue[HTTPConnection | None]", pool.pool)

    def take(self) -> HTTPConnection | None:
        """Take the connection that was used last.

        Returns:
            The connection; None when there is none, or when the server has closed it or sent
            something that was not requested.
        """
        try:
            connection = self._idle.get(block=False)
        except queue.Empty:
            return None
        if connection is not None and connection.is_connected:
            return connection
        self.put(connection)  # urllib3 takes it next, and connects it again
        return None

    def put(self, connection: HTTPConnection | None) -> None:
        """Give a connection back, open or closed; the next request takes it first."""
        try:
            self._idle.put(connection, block=False)
        except queue.Full:  # more concurrent requests than connections to keep
            if connection is not None:
                connection.close()


def socket_of(connection: HTTPConnection) -> socket.socket:
    """Return the socket of an open connection."""
    return connection.sock


def request_head(
    pool: urllib3.HTTPConnectionPool, target: str, headers: Mapping[str, str]
) -> bytes:
    """Return the head of a POST request as urllib3 writes it, without its last lines.

    The caller adds Content-Length, the headers of one request and the empty line.

    Args:
        pool: The pool whose connections send the request.
        target: The request target, a path with its query.
        headers: The headers that all requests have in common.
    """
    connection: Any = pool.ConnectionCls(pool.host, pool.port)
    written = bytearray()
    connection.send = written.extend  # so it never connects
    connection.request("POST", target, headers={**headers, "Content-Length": "0"})
    return bytes(written).removesuffix(b"Content-Length: 0\r\n\r\n")


def resumed_response(
    pool: urllib3.HTTPConnectionPool,
    connection: HTTPConnection,
    data: bytes,
    *,
    reusable: bool,
    deadline: float,
) -> urllib3.HTTPResponse:
    """Return a response whose first bytes were read already, for the caller to read with urllib3.

    Args:
        pool: Where the connection returns to when the response is released.
        connection: The connection that the response arrives on.
        data: The bytes that were read.
        reusable: Whether the connection may serve another request afterwards.
        deadline: The end of the wait for the response (monotonic, seconds).

    Raises:
        OSError, http.client.HTTPException: The data and what follows are not an HTTP response, or
            it is late.
    """
    raw = BoundedResponse(socket_of(connection), method="POST", data=data, deadline=deadline)
    try:
        raw.begin()
        if raw.will_close or not reusable:
            connection.close()  # the response still reads from its socket
        return urllib3.HTTPResponse(
            body=raw,
            headers=urllib3.HTTPHeaderDict(raw.headers.items()),
            status=raw.status,
            preload_content=False,
            decode_content=False,
            original_response=raw,
            request_method="POST",
            pool=pool,
            connection=connection,
        )
    except BaseException:
        raw.close()
        raise
