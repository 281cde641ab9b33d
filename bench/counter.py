"""A sink that counts how often a text arrives in request bodies, for clients of any protocol."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

RESPONSE: Final = '{"status":1,"code":200}'
"""JSON that satisfies all peers; Mixpanel requires it."""

_LOOK_SECONDS: Final = 0.02  # how often the server checks whether it is to stop


class Counter:
    """Counts what has arrived.

    Args:
        text: A text that each event contains once.

    Attributes:
        count: How often the text has arrived.
        requests: How many requests have arrived.
        url: The address of the sink.
    """

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self._lock = threading.Lock()
        self.count = 0
        self.requests = 0
        self.url = ""

    def take(self, body: bytes) -> None:
        """Count what a body contains."""
        with self._lock:
            self.requests += 1
            self.count += body.count(self._text)


@contextmanager
def counting(text: str) -> Iterator[Counter]:
    """Serve requests, and count them, during a `with` block."""
    counter = Counter(text)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one write for head and body: a second one would wait for an ACK

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            counter.take(gzip.decompress(body) if zipped else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(RESPONSE)))
            self.end_headers()
            self.wfile.write(RESPONSE.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        counter.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(_LOOK_SECONDS,))
        thread.start()
        try:
            yield counter
        finally:
            server.shutdown()
            thread.join()
