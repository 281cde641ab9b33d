"""Lower bounds: the cost of each part alone, in a loop that does nothing else.

Each measuring function runs in a fresh process and returns a sample.
"""

import http.client
import mmap
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import repeat
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.connection import HTTPConnection

from bench.nginx import SpeedSink
from bench.settings import Scale
from dataart_mp import ClientConfig
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.load import EVENT
from dataart_mp.cli.bench.measurement import Column, Sample
from dataart_mp.transport.sender import Sender

_PATH: Final = "/events/send-actions"
_HEADERS: Final = {
    "X-API-Key": "bench",
    "Content-Type": "application/json",
    "User-Agent": "dataart_mp-bench",
    "Idempotency-Key": "0123456789abcdef-0-1",
}
_WARM_UP: Final = 0.1  # fraction of the iterations
_FRAME: Final = 128 * 1024
_FRAMES: Final = 16
_START_SECONDS: Final = 1.0
_CHUNK: Final = 1000
_RESPONSE_BYTES: Final = 65536
_STATUS: Final = slice(9, 12)

CALLS: Final = (Column("ns a call", "ns_per_call"), Column("CPU ns", "work_ns_per_call"))
REQUESTS: Final = (
    Column("requests/s", "requests_per_second"),
    Column("events/s", "events_per_second"),
    Column("CPU µs a request", "cpu_us_per_request", 1),
)
BATCHES: Final = (20, 500)
ENCODE: Final = "orjson.dumps"
COPY: Final = "copy into shared memory"


def event() -> bytes:
    """Return the encoded event."""
    return orjson.dumps(EVENT._asdict())


def body(batch: int) -> bytes:
    """Return the body of a request with so many events."""
    actions = b",".join(repeat(event(), batch))
    return b'{"timestamp":"2021-05-04T10:11:13.000000+00:00","actions":[%b]}' % actions


def encode(events: int) -> Sample:
    """Measure `orjson.dumps` of the event."""
    plain, dumps = EVENT._asdict(), orjson.dumps

    def loop(count: int) -> None:
        for _ in repeat(None, count):
            dumps(plain)

    return _calls(loop, events)


def copy(events: int) -> Sample:
    """Measure copying a record into shared memory, as `ProducerEnd.append` does."""
    line = event() + b"\n"
    memory = memoryview(mmap.mmap(-1, _FRAMES * _FRAME))
    size, end = len(line), _FRAMES * _FRAME - len(line)

    def loop(count: int) -> None:
        position = 0
        for _ in repeat(None, count):
            memory[position : position + size] = line
            position += size
            if position > end:
                position = 0

    return _calls(loop, events)


def post(layer: str, url: str, batch: int, requests: int) -> Sample:
    """Measure sending prepared bodies over one persistent connection, by one layer of HTTP.

    Args:
        layer: The name of the layer, a key of `_LAYERS`.
        url: The address of the sink.
        batch: Events per request.
        requests: How many requests are sent.
    """
    with ExitStack() as stack:
        send = _connect(stack, layer, url, batch)

        def loop(count: int) -> None:
            for _ in repeat(None, count):
                _check(send())

        loop(int(requests * _WARM_UP) + 1)
        start, cpu = time.perf_counter(), time.process_time()
        loop(requests)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "requests": requests,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "requests_per_second": requests / seconds,
        "events_per_second": requests * batch / seconds,
        "cpu_us_per_request": cpu * 1e6 / requests,
        "cpu_per_million": cpu * 1e6 / (requests * batch),
    }


def _connect(stack: ExitStack, layer: str, url: str, batch: int) -> "Send":
    parts = urlsplit(url)
    return _LAYERS[layer](stack, parts.hostname or "", parts.port or 80, body(batch))


def _check(status: int) -> None:
    if status != http.client.OK:
        raise RuntimeError(f"the sink responded with {status}")


def _calls(loop: Callable[[int], None], events: int) -> Sample:
    loop(int(events * _WARM_UP) + 1)
    start, cpu = time.perf_counter_ns(), time.thread_time_ns()
    loop(events)
    wall, cpu = time.perf_counter_ns() - start, time.thread_time_ns() - cpu
    return {
        "events": events,
        "seconds": wall / 1e9,
        "ns_per_call": wall / events,
        "work_ns_per_call": cpu / events,
        "events_per_second": events * 1e9 / wall,
        "cpu_per_million": cpu / events / 1e3,
    }


Send = Callable[[], int]
"""Sends a request, and returns the status of the response."""


def _raw_socket(stack: ExitStack, host: str, port: int, content: bytes) -> Send:
    """One `sendall` of head and body, one `recv` of a response as long as the first one."""
    connection = stack.enter_context(socket.create_connection((host, port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = {"Host": f"{host}:{port}", **_HEADERS, "Content-Length": str(len(content))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"POST {_PATH} HTTP/1.1\r\n{head}\r\n".encode() + content
    connection.sendall(request)
    size = _response_size(connection)

    def send() -> int:
        connection.sendall(request)
        response = connection.recv(_RESPONSE_BYTES)
        while len(response) < size:
            response += connection.recv(_RESPONSE_BYTES)
        return int(response[_STATUS])

    return send


def _response_size(connection: socket.socket) -> int:
    """Read a response, and return its length with head and body."""
    with http.client.HTTPResponse(connection) as response:
        response.begin()
        body_bytes = len(response.read())
        # Compose the head again: http.client keeps the names and values as they were received.
        head = "".join(f"{name}: {value}\r\n" for name, value in response.getheaders())
        return len(f"HTTP/1.1 {response.status} {response.reason}\r\n{head}\r\n") + body_bytes


def _http_client(stack: ExitStack, host: str, port: int, content: bytes) -> Send:
    connection = stack.enter_context(closing(http.client.HTTPConnection(host, port)))

    def send() -> int:
        connection.request("POST", _PATH, content, _HEADERS)
        with connection.getresponse() as response:
            response.read()
        return response.status

    return send


def _urllib3_connection(stack: ExitStack, host: str, port: int, content: bytes) -> Send:
    connection = stack.enter_context(closing(HTTPConnection(host, port)))

    def send() -> int:
        connection.request("POST", _PATH, content, _HEADERS)
        response = connection.getresponse()
        response.read()
        return response.status

    return send


def _pool(stack: ExitStack, host: str, port: int, content: bytes) -> Send:
    pool = stack.enter_context(urllib3.HTTPConnectionPool(host, port))
    return lambda: pool.urlopen("POST", _PATH, content, _HEADERS, retries=False).status


def _pool_manager(stack: ExitStack, host: str, port: int, content: bytes) -> Send:
    pool = stack.enter_context(urllib3.PoolManager())
    url = f"http://{host}:{port}{_PATH}"
    return lambda: pool.request("POST", url, body=content, headers=_HEADERS, retries=False).status


def _sender(_: ExitStack, host: str, port: int, content: bytes) -> Send:
    config = ClientConfig("bench", base_url=f"http://{host}:{port}")
    sender = Sender(config, 1, _HEADERS["User-Agent"])

    def send() -> int:
        return sender.post(_PATH, content, _HEADERS["Idempotency-Key"]).status or 0

    return send


RAW: Final = "raw socket"
SENDER: Final = "dataart_mp Sender"
_LAYERS: Final[dict[str, Callable[[ExitStack, str, int, bytes], Send]]] = {
    RAW: _raw_socket,
    SENDER: _sender,
    "http.client": _http_client,
    "urllib3 HTTPConnection": _urllib3_connection,
    "HTTPConnectionPool.urlopen": _pool,
    "PoolManager.request": _pool_manager,
}


def case(layer: str, batch: int) -> str:
    """Return the name of the case that posts by this layer."""
    return f"{layer}, {batch} a request"


def cases(sink: SpeedSink, scale: Scale) -> dict[str, Callable[[], Sample]]:
    """Return all lower bounds.

    Args:
        sink: The sink to post to.
        scale: How much to measure.
    """
    events, requests = scale(1_000_000), scale(2_000)

    def posting(layer: str, batch: int) -> Callable[[], Sample]:
        return lambda: fresh(post, layer=layer, url=sink.url, batch=batch, requests=requests)

    posts = {case(layer, batch): posting(layer, batch) for layer in _LAYERS for batch in BATCHES}
    return {
        ENCODE: lambda: fresh(encode, events=events),
        COPY: lambda: fresh(copy, events=events),
        **posts,
    }


def side_by_side(url: str, batch: int, seconds: float) -> Sample:
    """Measure two bare loops at the same time: one process encodes, another posts prepared bodies.

    The slower one is the best that a shipper with one application process could reach.
    """
    encoded, posted = _at_once(
        seconds,
        lambda **when: fresh(_encode_for, **when),
        lambda **when: fresh(_post_for, layer=SENDER, url=url, batch=batch, **when),
    )
    return {
        "encoded_per_second": encoded.rate,
        "posted_per_second": posted.rate,
        "events_per_second": min(encoded.rate, posted.rate),
        "cpu_per_million": encoded.cpu_per_million + posted.cpu_per_million,
    }


def ceiling(url: str, batch: int, seconds: float) -> Sample:
    """Measure the most that the sink can accept: two processes post bodies over raw sockets."""

    def post_raw(begin: float, seconds: float) -> list[float]:
        return fresh(_post_for, layer=RAW, url=url, batch=batch, begin=begin, seconds=seconds)

    loops = _at_once(seconds, post_raw, post_raw)
    rate = sum(loop.rate for loop in loops)
    return {
        "events_per_second": rate,
        "requests_per_second": rate / batch,
        "cpu_per_million": sum(loop.rate * loop.cpu_per_million for loop in loops) / rate,
    }


class _Loop(NamedTuple):
    rate: float  # events per second
    cpu_per_million: float


def _at_once(seconds: float, *loops: Callable[..., list[float]]) -> list[_Loop]:
    """Run each loop in a separate process, all at the same time."""
    begin = time.monotonic() + _START_SECONDS  # the clock is the same in all processes
    with ThreadPoolExecutor() as threads:
        running = [threads.submit(loop, begin=begin, seconds=seconds) for loop in loops]
        return [_Loop(*loop.result()) for loop in running]


def _encode_for(begin: float, seconds: float) -> list[float]:
    plain, dumps = EVENT._asdict(), orjson.dumps

    def loop() -> int:
        for _ in repeat(None, _CHUNK):
            dumps(plain)
        return _CHUNK

    return _rate(loop, begin, seconds)


def _post_for(layer: str, url: str, batch: int, begin: float, seconds: float) -> list[float]:
    with ExitStack() as stack:
        send = _connect(stack, layer, url, batch)

        def loop() -> int:
            _check(send())
            return batch

        return _rate(loop, begin, seconds)


def _rate(loop: Callable[[], int], begin: float, seconds: float) -> list[float]:
    """Run a loop from a given time on (monotonic, seconds); return the fields of a `_Loop`."""
    loop()
    time.sleep(max(0.0, begin - time.monotonic()))
    start, cpu, events = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        events += loop()
    cpu = time.process_time() - cpu
    return [events / (time.perf_counter() - start), cpu * 1e6 / events]
