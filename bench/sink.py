"""The throughput of the local sink, compared with a bare Starlette endpoint on the same server.

    python bench/sink.py --events 200000

The server is uvicorn with httptools and uvloop. One bare endpoint reads the body and responds;
another one also parses it. The sink checks every field, detects duplicates, counts and stores
events. The CPU time is that of all threads of the server's process; this process makes the load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil

from dataart_mp.devsink import SinkProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

BARE = """
import sys, orjson, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def take(request):
    body = await request.body()
    if {parses}:
        orjson.loads(body)
    return Response(b'{{"accepted":20}}', media_type="application/json")

app = Starlette(routes=[Route("/events/send-actions", take, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port={port}, log_level="error", access_log=False)
"""
CONNECTIONS = 4


def request(batch: int, number: int) -> bytes:
    """Return a request with events that differ from those of every other number."""
    actions = [
        {
            "key": "takeoff",
            "user_key": f"N{(number * batch + index) % 4037}",
            "is_anonymous_user": False,
            "timestamp": "2021-05-04T10:11:12.123456+02:00",
            "metadata": {"_id": number * batch + index, "origin": "EWR", "dest": "IAH"},
        }
        for index in range(batch)
    ]
    body = json.dumps({"timestamp": "2021-05-04T10:11:12+02:00", "actions": actions}).encode()
    head = (
        "POST /events/send-actions HTTP/1.1\r\nHost: localhost\r\nX-API-Key: any\r\n"
        "Content-Type: application/json\r\nUser-Agent: bench\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def load(port: int, requests: list[bytes]) -> None:
    """Send requests one after another, each after the response to the one before."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for one in requests:
            connection.sendall(one)
            response = connection.recv(65536)
            while not response.endswith(b"}"):
                response += connection.recv(65536)
            if b" 200 " not in response[:20]:
                raise RuntimeError(f"the server refused a request: {response!r}")


def measure(port: int, pid: int, batch: int, events: int) -> tuple[float, float]:
    """Return events per second of CPU time, and events per second."""
    server = psutil.Process(pid)
    each = range(events // batch // CONNECTIONS)
    rows = [[request(batch, i * CONNECTIONS + row) for i in each] for row in range(CONNECTIONS)]
    before, start = server.cpu_times(), time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as connections:
        for done in [connections.submit(load, port, row) for row in rows]:
            done.result()
    after, end = server.cpu_times(), time.monotonic()
    cpu = after.user + after.system - before.user - before.system
    sent = batch * len(each) * CONNECTIONS
    return sent / cpu, sent / (end - start)


@contextmanager
def bare(*, parses: bool) -> Iterator[tuple[int, int]]:
    """Run a bare endpoint; yield its port and its process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", BARE.format(parses=parses, port=port)])
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


def read_page(port: int) -> None:
    """Read what an open page reads, until the sink has ended."""
    with socket.create_connection(("127.0.0.1", port)) as page:
        page.sendall(b"GET /_sink/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while page.recv(65536):
            pass


@contextmanager
def sink(*options: str, with_page: bool = False) -> Iterator[tuple[int, int]]:
    """Run a sink, with or without an open page; yield its port and its process id."""
    with SinkProcess(*options) as process:
        port = int(process.url.rpartition(":")[2])
        if with_page:
            threading.Thread(target=read_page, args=(port,)).start()
        yield port, process.pid


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000, help="events per run (%(default)s)")
    parser.add_argument(
        "--batch", type=int, nargs="*", default=[20, 200], help="events per request"
    )
    given = parser.parse_args()
    servers: dict[str, Callable[[], AbstractContextManager[tuple[int, int]]]] = {
        "bare Starlette": lambda: bare(parses=False),
        "bare Starlette that parses": lambda: bare(parses=True),
        "sink": sink,
        "sink with an open page": lambda: sink(with_page=True),
    }
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {CONNECTIONS} connections")
    print(f"{'server':28} {'events/request':>14} {'events/CPU s':>14} {'events/s':>12}")
    for batch in given.batch:
        for name, start in servers.items():
            with start() as (port, pid):
                per_cpu, per_second = measure(port, pid, batch, given.events)
            print(f"{name:28} {batch:14} {per_cpu:14,.0f} {per_second:12,.0f}")


if __name__ == "__main__":
    main()
