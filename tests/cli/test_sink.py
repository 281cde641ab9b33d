"""`dataart-mp sink`, as a user runs it."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.cli.terminal import FLIGHTS, run, start
from tests.support import environment


def test_the_sink_prints_its_address_accepts_events_and_stops_on_ctrl_c() -> None:
    process = start("sink", "--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().decode().split()[-1]

    shipped = run("ship", FLIGHTS, env=environment(DATAART_API_KEY="any", DATAART_BASE_URL=url))
    with urllib.request.urlopen(f"{url}/_sink/stats") as response:
        stats = json.load(response)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert shipped.returncode == 0
    assert stats["distinct_actions"] == 3000
    assert (process.returncode, errors) == (0, b"")


def test_a_port_in_use_is_reported_with_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done, free = run_until_its_advice_is_free(port)

    assert done.returncode == 2
    assert done.stderr == (
        f"dataart-mp: 127.0.0.1:{port}: Address already in use; another program uses the port, "
        f"perhaps another sink; use --port {free}\n"
    )


def run_until_its_advice_is_free(port: int) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run the sink on a port in use; return the result and the port that it suggests.

    Another program may take that port before this one looks at it, but not each time.
    """
    for _ in range(5):
        done = run("sink", "--port", port)
        [free] = re.findall(r"use --port (\d+)", done.stderr)
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", int(free))).close()
            return done, int(free)
    pytest.fail(f"port {free} is in use, too")


def test_the_suggested_port_is_not_one_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        try:
            with socket.create_server(("127.0.0.1", port + 1)):
                done = run("sink", "--port", port)
        except OSError:  # another program has taken it meanwhile, which is as good
            done = run("sink", "--port", port)

    assert not re.search(rf"use --port {port + 1}$", done.stderr)
    assert re.search(r"use --port \d+\n$", done.stderr)


def test_the_sink_listens_on_loopback_unless_remote_access_is_allowed() -> None:
    done = run("sink", "--host", "0.0.0.0")

    assert done.returncode == 2
    assert "is not a loopback address" in done.stderr


def test_a_file_that_is_not_a_database_is_reported_without_a_traceback(tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    letter.write_text("Dear Ann, " * 99)
    done = run("sink", "--port", 0, "--database", letter)

    assert done.returncode == 2
    assert done.stderr == (
        f"dataart-mp: database: {letter}: file is not a database; use another file\n"
    )


def test_the_database_and_additional_host_names_are_options(tmp_path: Path) -> None:
    options = ("--database", tmp_path / "sink.db", "--keep-seconds", "60", "--allow-host", "sink")
    process = start("sink", "--port", "0", *map(str, options))
    assert process.stdout is not None
    url = process.stdout.readline().decode().split()[-1]
    named = urllib.request.Request(f"{url}/", headers={"Host": "sink:8765"})
    with urllib.request.urlopen(named) as response:
        page = response.read()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert b"DataArt sink" in page
    assert (tmp_path / "sink.db").exists()
