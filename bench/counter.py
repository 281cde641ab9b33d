"""A sink that only counts, for clients of whatever protocol: how often a text arrives in bodies."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

ANSWER: Final = '{"status":1,"code":200}'
"""JSON that satisfies all of the peers; Mixpanel wants it so."""

_LOOK_SECONDS: Final = 0.02  # for the end


class Counter:
    """What has arrived.

    Args:
        text: What to look for: something that is in each event once.

    Attributes:
        count: How often it arrived.
        requests: In how many requests.
        url: Where to.
    """

    def __init__(self, text: str) -> None:
        self._text = text.encode()
        self._lock = threading.Lock()
        self.count = 0
        self.requests = 0
        self.url = ""

    def take(self, body: bytes) -> None:
        """Count in a body."""
        with self._lock:
            self.requests += 1
            self.count += body.count(self._text)


@contextmanager
def counting(text: str) -> Iterator[Counter]:
    """Serve, and count, during a block."""
    counter = Counter(text)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece: the second would wait for the first's ACK

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            zipped = self.headers.get("Content-Encoding") == "gzip"
            counter.take(gzip.decompress(body) if zipped else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

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
