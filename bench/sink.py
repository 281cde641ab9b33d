"""What the local sink takes: events per second of its CPU time, beside a bare Starlette endpoint.

    python bench/sink.py --events 200000

The bare endpoint, on the same server (uvicorn with httptools and uvloop), reads the body and
answers; the next one also parses it. The sink checks every field, looks for duplicates, counts and
keeps. CPU time is that of the server's process, all threads; the load comes from this one.
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
    """A request with events unlike those of any other number."""
    actions = [
        {
            "key": "departure",
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
    """Send one request after the other, each when the one before was answered."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for one in requests:
            connection.sendall(one)
            answer = connection.recv(65536)
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            if b" 200 " not in answer[:20]:
                raise RuntimeError(f"refused: {answer!r}")


def measure(port: int, pid: int, batch: int, events: int) -> tuple[float, float]:
    """Events per second of CPU time, and per second."""
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
    """A bare endpoint: its port and its process id."""
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


def watch(port: int) -> None:
    """Read what an open page reads, until the sink has gone."""
    with socket.create_connection(("127.0.0.1", port)) as page:
        page.sendall(b"GET /_sink/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while page.recv(65536):
            pass


@contextmanager
def sink(*options: str, watched: bool = False) -> Iterator[tuple[int, int]]:
    """A sink, maybe with an open page: its port and its process id."""
    with SinkProcess(*options) as process:
        port = int(process.url.rpartition(":")[2])
        if watched:
            threading.Thread(target=watch, args=(port,)).start()
        yield port, process.pid


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=200_000, help="in each run (%(default)s)")
    parser.add_argument("--batch", type=int, nargs="*", default=[20, 200], help="events a request")
    given = parser.parse_args()
    servers: dict[str, Callable[[], AbstractContextManager[tuple[int, int]]]] = {
        "bare Starlette": lambda: bare(parses=False),
        "bare Starlette that parses": lambda: bare(parses=True),
        "sink": sink,
        "sink with an open page": lambda: sink(watched=True),
    }
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {CONNECTIONS} connections")
    print(f"{'server':28} {'events a request':>16} {'a CPU second':>14} {'a second':>10}")
    for batch in given.batch:
        for name, start in servers.items():
            with start() as (port, pid):
                per_cpu, per_second = measure(port, pid, batch, given.events)
            print(f"{name:28} {batch:16} {per_cpu:14,.0f} {per_second:10,.0f}")


if __name__ == "__main__":
    main()
