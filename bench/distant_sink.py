"""A sink that is far away: it has latency, and may have a queue or a limit of requests.

    python bench/distant_sink.py '{"text": "…", "latency": 0.05, "servers": 0, "rate": 0}'

It counts how often a text arrives in request bodies, and prints its port. `GET /stats` returns the
counts. It is one process with one loop, and accepts some 10,000 requests of 20 events in a second.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final

RETRY_AFTER: Final = 1
_BURST_SECONDS: Final = 0.1
_RESPONSE: Final = b'{"status":1,"code":200}'


@dataclass(frozen=True)
class Distance:
    """What is between a client and the sink.

    Attributes:
        latency: Seconds that it takes to process a request.
        servers: Requests that are processed at once, while others wait; 0: any number.
        rate: Requests that are accepted in a second, with a burst of a tenth of that; others get
            429 with `Retry-After: 1`. 0: any number.
    """

    latency: float
    servers: int = 0
    rate: float = 0.0


class _Sink:
    """Counts what arrives.

    Args:
        text: A text that each event contains once.
        distance: The latency and the limits.
    """

    def __init__(self, text: str, distance: Distance) -> None:
        self.text = text.encode()
        self.loop = asyncio.get_running_loop()
        self.counts = {"events": 0, "accepted": 0, "refused": 0, "in_flight": 0, "most": 0}
        self._distance = distance
        self._tokens = self._burst = max(1.0, distance.rate * _BURST_SECONDS)
        self._at = time.monotonic()
        self._waiting: deque[tuple[_Connection, int]] = deque()
        self._busy = 0

    def take(self, connection: "_Connection", events: int) -> None:
        """Process a request."""
        self.counts["in_flight"] += 1
        self.counts["most"] = max(self.counts["most"], self.counts["in_flight"])
        latency = self._distance.latency
        if self._distance.rate and not self._take_token():
            self.counts["refused"] += 1
            self.loop.call_later(latency, self._respond, connection, b"429 Too Many Requests")
        elif not self._distance.servers:
            self.loop.call_later(latency, self._accept, connection, events)
        else:
            self._waiting.append((connection, events))
            self._serve()

    def _take_token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._distance.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _serve(self) -> None:
        while self._waiting and self._busy < self._distance.servers:
            self._busy += 1
            self.loop.call_later(self._distance.latency, self._served, *self._waiting.popleft())

    def _served(self, connection: "_Connection", events: int) -> None:
        self._busy -= 1
        self._accept(connection, events)
        self._serve()

    def _accept(self, connection: "_Connection", events: int) -> None:
        self.counts["events"] += events
        self.counts["accepted"] += 1
        self._respond(connection, b"200 OK")

    def _respond(self, connection: "_Connection", status: bytes) -> None:
        self.counts["in_flight"] -= 1
        connection.respond(status, _RESPONSE)


class _Connection(asyncio.Protocol):
    """Reads requests, one after another."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._data = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take the request if it is complete."""
        self._data += data
        end = self._data.find(b"\r\n\r\n") + 4
        if end < 4:
            return
        head = bytes(self._data[:end]).lower()
        if head.startswith(b"get "):
            self._data.clear()
            self.respond(b"200 OK", json.dumps(self._sink.counts).encode())
            return
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(self._data) >= end + length:
            events = self._data.count(self._sink.text, end)
            self._data.clear()
            self._sink.take(self, events)

    def respond(self, status: bytes, body: bytes) -> None:
        """Write a response."""
        if not self._transport.is_closing():
            after = b"Retry-After: %d\r\n" % RETRY_AFTER if status.startswith(b"429") else b""
            self._transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
                % (status, after, len(body), body)
            )


@contextmanager
def distant_sink(text: str, distance: Distance) -> Iterator[str]:
    """Run a sink in a separate process during a `with` block; yield its URL.

    Args:
        text: A text that each event contains once.
        distance: The latency and the limits.
    """
    settings = json.dumps({"text": text, **asdict(distance)})
    command = [sys.executable, __file__, settings]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def _main(text: str, **distance: float) -> None:
    sink = _Sink(text, Distance(**distance))  # type: ignore[arg-type]
    server = await sink.loop.create_server(lambda: _Connection(sink), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(**json.loads(sys.argv[1])))
