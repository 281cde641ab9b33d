"""`dataart-mp sink`, as a user runs it."""

import json
import signal
import socket
import urllib.request

from conftest import environment
from terminal import FLIGHTS, run, start


def test_it_tells_its_address_takes_events_and_ends_by_ctrl_c() -> None:
    process = start("sink", "--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().decode().split()[-1]

    shipped = run("ship", FLIGHTS, env=environment(DATAART_API_KEY="any", DATAART_BASE_URL=url))
    with urllib.request.urlopen(f"{url}/_sink/stats") as answer:
        stats = json.load(answer)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)

    assert shipped.returncode == 0
    assert stats["distinct_actions"] == 3000
    assert (process.returncode, told) == (0, b"")


def test_a_port_in_use_is_told_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("sink", "--port", port)

    assert done.returncode == 2
    assert done.stderr == f"dataart-mp: 127.0.0.1:{port}: Address already in use\n"


def test_other_machines_are_let_in_only_when_asked_to() -> None:
    done = run("sink", "--host", "0.0.0.0")

    assert done.returncode == 2
    assert "is not a loopback address" in done.stderr
