"""The speed sink: nginx, which responds to every request with 200."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.counter import RESPONSE
from dataart_mp.devsink import SinkProcess

_CONFIG: Final = """\
daemon off;
master_process off;  # one process, so that its pid is enough to stop it
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} reuseport;
        location / {{ return 200; }}
        location /json/ {{ default_type application/json; return 200 '{response}'; }}
    }}
}}
"""
_START_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.01


class SpeedSink(NamedTuple):
    """A fast HTTP server to ship to.

    Attributes:
        url: The address of the server.
        name: The name and version of the program.
        pid: The process id of the server.
    """

    url: str
    name: str
    pid: int


@contextlib.contextmanager
def speed_sink() -> Iterator[SpeedSink]:
    """Run nginx or, if it is not installed, the sink of dataart_mp, which is slower."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        with SinkProcess("--keep", "1", "--keep-requests", "1") as sink:
            yield SpeedSink(sink.url, "dataart_mp.devsink", sink.pid)
        return
    with tempfile.TemporaryDirectory(prefix="bench-nginx-") as directory:
        port = _free_port()
        config = Path(directory, "nginx.conf")
        config.write_text(_CONFIG.format(directory=directory, port=port, response=RESPONSE))
        child = subprocess.Popen([program, "-c", config, "-p", directory])
        try:
            _await(child, port)
            yield SpeedSink(f"http://127.0.0.1:{port}", _version(program), child.pid)
        finally:
            child.terminate()
            child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(child: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(_LOOK_SECONDS)
        else:
            return
    raise RuntimeError(f"nginx does not listen on port {port}; its exit code is {child.poll()}")


def _version(program: str) -> str:
    output = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    return output.strip().removeprefix("nginx version: ")
