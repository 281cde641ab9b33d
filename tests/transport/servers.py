"""Servers that respond in unusual and broken ways, and a small proxy; all on loopback."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dataart_mp.transport.sender import Sender

KEY = "sk-7c1f-very-secret"
TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Request:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]


class Peer:
    """The server's side of one connection."""

    def __init__(self, connection: socket.socket, number: int, server: "RawServer") -> None:
        self.socket = connection
        self.number = number
        self._server = server
        self._read = b""

    def head(self) -> str | None:
        """Read a request up to its body; None if the client has disconnected."""
        while b"\r\n\r\n" not in self._read:
            piece = self.socket.recv(65536)
            if not piece:
                return None
            self._read += piece
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        return head.decode("latin-1")

    def request(self) -> Request | None:
        """Read a request, and remember it; None if the client has disconnected."""
        head = self.head()
        if head is None:
            return None
        line, *fields = head.split("\r\n")
        pairs = [
            (name.lower(), value.strip()) for name, _, value in (f.partition(":") for f in fields)
        ]
        headers = dict(pairs)
        assert len(headers) == len(pairs), f"a header was sent twice: {pairs}"
        length = int(headers.get("content-length", "0"))
        while len(self._read) < length:
            piece = self.socket.recv(65536)
            if not piece:
                return None
            self._read += piece
        body, self._read = self._read[:length], self._read[length:]
        request = Request(line, headers, body)
        self._server.requests.append(request)
        return request

    def send(self, text: bytes) -> None:
        self.socket.sendall(text)

    def respond(self, status: int = 200, body: bytes = b"", *fields: str) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def respond_to_all(self, status: int = 200, body: bytes = b"", *fields: str) -> None:
        """Respond to every request on this connection in the same way."""
        while self.request() is not None:
            self.respond(status, body, *fields)

    def switch_to_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self._server.open.add(self.socket)


Handle = Callable[[Peer], None]


class RawServer:
    """Passes each connection to `handle` in a new thread, and closes it afterwards."""

    def __init__(
        self, handle: Handle, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=128)
        self._handle = handle
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self.open: set[socket.socket] = set()
        self._stopped = False
        self.host = f"[{host}]" if ":" in host else host
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self.host}:{self.port}"

    def close(self) -> None:
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()
        self._listener.close()
        for error in self.errors:
            raise error

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            connection.settimeout(TIMEOUT_SECONDS)
            # Without a delay: a second piece would wait until the first is acknowledged.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open.add(connection)
            peer = Peer(connection, self.connections, self)
            self._start(lambda peer=peer, raw=connection: self._serve(peer, raw))  # type: ignore[misc]

    def _serve(self, peer: Peer, raw: socket.socket) -> None:
        try:
            if self._tls is not None:
                peer.switch_to_tls(self._tls)
            self._handle(peer)
        except OSError:
            pass  # the client has disconnected, or refuses our certificate
        except BaseException as error:  # noqa: BLE001 - for the test to see
            self.errors.append(error)
        finally:
            self.open -= {raw, peer.socket}
            peer.socket.close()
            raw.close()


def in_use(handle: Handle) -> Handle:
    """Return a server that first responds to one request on its first connection, unrecorded.

    A client whose deadline was earlier than this response may try again over a new connection,
    which is then the first one.
    """
    is_in_use = False

    def handle_next(peer: Peer) -> None:
        nonlocal is_in_use
        if not is_in_use:
            is_in_use = True
            peer.number = peer._server.connections = 1
            peer.request()
            peer._server.requests.clear()
            peer.respond()
            peer._read = peer.socket.recv(1)  # of the next request
            is_in_use = bool(peer._read)
            if not is_in_use:
                return
        handle(peer)

    return handle_next


class Serve(Protocol):
    """The fixture `serve`."""

    def __call__(self, handle: Handle, **options: Any) -> RawServer: ...


class SenderTo(Protocol):
    """The fixture `sender_to`."""

    def __call__(
        self, url: str, *, settings: dict[str, Any] = ..., connections: int = ..., **http: Any
    ) -> Sender: ...


# Bound as long as this process lives: no other process gets its port, and nothing listens there.
_BOUND = socket.socket()
_BOUND.bind(("127.0.0.1", 0))


def refused_port() -> int:
    """Return a port of this machine on which nothing listens."""
    port: int = _BOUND.getsockname()[1]
    return port


def proxy_handler(targets: dict[str, int]) -> Handle:
    """Return an HTTP proxy that forwards each `host:port` of the table to a port on loopback."""

    def handle(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            method, target, _ = request.line.split(" ")
            authority = target if method == "CONNECT" else target.split("/")[2]
            with socket.create_connection(("127.0.0.1", targets[authority])) as upstream:
                upstream.settimeout(TIMEOUT_SECONDS)
                if method == "CONNECT":
                    peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    _tunnel(peer.socket, upstream)
                    return
                _forward(request, upstream)
                peer.send(_whole_response(upstream))

    return handle


def _forward(request: Request, upstream: socket.socket) -> None:
    method, target, version = request.line.split(" ")
    path = "/" + target.split("/", 3)[3]
    fields = [f"{name}: {value}" for name, value in request.headers.items()]
    head = "\r\n".join([f"{method} {path} {version}", *fields, "", ""])
    upstream.sendall(head.encode("latin-1") + request.body)
    upstream.shutdown(socket.SHUT_WR)  # so that the response ends with the connection


def _whole_response(upstream: socket.socket) -> bytes:
    return b"".join(iter(lambda: upstream.recv(65536), b""))


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions, until one end disconnects.

    This takes one thread: two must not use an OpenSSL connection at once, not even one to read and
    one to write.
    """
    opposite = {one: other, other: one}
    while True:
        pending = [end for end in opposite if isinstance(end, ssl.SSLSocket) and end.pending()]
        ready = pending or select.select(list(opposite), [], [], TIMEOUT_SECONDS)[0]
        for source in ready:
            piece = source.recv(65536)
            if not piece:
                return
            opposite[source].sendall(piece)
