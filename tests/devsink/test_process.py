"""A sink process starts, stops and restarts on request, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import urllib3

from dataart_mp.devsink import SinkError, SinkProcess, SinkSettings
from tests.devsink.poster import Poster, action, actions, identity, raw_head
from tests.support import has_ipv6

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "dataart_mp.devsink"]


def post(sink: SinkProcess, *bodies: object, key: str | None = None) -> None:
    poster = Poster(sink.url)
    for body in bodies:
        assert poster.post(body, headers={"Idempotency-Key": key}).status == 200
    poster.close()


def test_the_command_prints_its_url_on_one_line_and_nothing_else() -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        assert urllib3.request("GET", url + "/_sink/stats").json()["requests"] == 0
        child.send_signal(signal.SIGTERM)
        rest, errors = child.communicate(timeout=10)
    assert url.startswith("http://127.0.0.1:")
    assert (child.returncode, rest, errors) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_sink_stops_at_once_despite_open_connections(
    number: signal.Signals,
) -> None:
    with SinkProcess() as sink:
        post(sink, actions(action()))
        sink.set_faults({"kind": "hang", "times": 1}, {"kind": "latency", "seconds": 60})
        idle, hanging, waiting, sending = (_connect(sink) for _ in range(4))
        body = b'{"timestamp": "2021-05-04T10:11:12Z", "actions": [%s]}' % _raw_action()
        for connection in (hanging, waiting):
            connection.sendall(raw_head(len(body)) + body)
        sending.sendall(raw_head(len(body)) + body[:-1])
        sink.wait_for(lambda stats: stats["in_flight"] == 3)
        start = time.monotonic()
        os.kill(sink.pid, number)
        assert _exit_code(sink) == 0
        assert time.monotonic() - start < 5
        assert sink.log == ""
        for connection in (idle, hanging, waiting, sending):
            connection.close()


def test_the_sink_stops_despite_pipelined_requests_that_hang() -> None:
    with SinkProcess() as sink:
        sink.set_faults({"kind": "hang"})
        connection = _connect(sink)
        body = b'{"timestamp": "2021-05-04T10:11:12Z", "actions": [%s]}' % _raw_action()
        head = raw_head(len(body)).replace(b"Connection: close\r\n", b"")
        connection.sendall((head + body) * 3)
        sink.wait_for(lambda stats: stats["in_flight"] == 1)
        start = time.monotonic()
        os.kill(sink.pid, signal.SIGTERM)
        assert _exit_code(sink) == 0
        assert time.monotonic() - start < 5
        assert sink.log == ""
        connection.close()


def _connect(sink: SinkProcess) -> socket.socket:
    host, port = sink.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def _raw_action() -> bytes:
    return (
        b'{"key": "k", "user_key": "u", "is_anonymous_user": true, '
        b'"timestamp": "2021-05-04T10:11:12Z", "metadata": null}'
    )


def _exit_code(sink: SinkProcess) -> int | None:
    return psutil.Process(sink.pid).wait(timeout=10)


def test_the_sink_stops_when_the_process_that_started_it_is_killed() -> None:
    script = """if True:
        import os, signal
        from dataart_mp.devsink import SinkProcess
        sink = SinkProcess()
        sink.start()
        print(sink.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    starter = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False
    )
    assert starter.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while _lives(int(starter.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        # In a container, there may be no process that reaps it.
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_forked_child_that_leaves_the_block_does_not_stop_the_sink() -> None:
    with SinkProcess() as sink:
        child = os.fork()
        if child == 0:
            sink.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(child, 0)
        assert sink.stats()["requests"] == 0


def test_a_killed_sink_refuses_connections_and_restarts_empty_on_its_port() -> None:
    with SinkProcess() as sink:
        url = sink.url
        post(sink, actions(action()))
        sink.kill()
        with pytest.raises(ConnectionRefusedError):
            _connect(sink)
        with pytest.raises(SinkError, match="down"):
            sink.stats()
        sink.start()
        assert sink.url == url
        assert sink.stats()["actions"] == 0
        sink.restart()
        post(sink, actions(action()))
        assert sink.stats()["actions"] == 1


def test_the_port_of_a_sink_that_is_down_stays_reserved() -> None:
    with SinkProcess() as sink:
        sink.stop()
        port = int(sink.url.rpartition(":")[2])
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_journal_restores_the_counts_after_a_restart(tmp_path: Path, ending: str) -> None:
    batch, who, lost = actions(action(), action(key="cancelled")), identity(), actions(action())
    with SinkProcess(journal=tmp_path / "journal") as sink:
        post(sink, batch, key="1")
        sink.set_faults({"kind": "ack_lost", "times": 1})
        with pytest.raises(urllib3.exceptions.ProtocolError):
            post(sink, lost, key="2")
        sink.set_faults({"kind": "status", "status": 503, "times": 1})
        with pytest.raises(AssertionError):
            post(sink, actions(action()), key="3")
        poster = Poster(sink.url)
        poster.post(who, "/users/identify")
        poster.close()
        before, events, ids = sink.stats(), sink.events(), sink.ids()
        getattr(sink, ending)()
        sink.start()
        after = sink.stats()
        for count in ("actions", "distinct_actions", "identities", "bytes", "by_key"):
            assert after[count] == before[count]
        assert (after["requests"], after["accepted_requests"]) == (3, 3)
        assert (sink.events(), sink.ids(), sink.identities()) == (events, ids, [who])
        # Requests that were accepted before the restart still explain duplicates after it.
        post(sink, batch, key="1")
        post(sink, lost, key="2")
        stats = sink.stats()
        assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (3, 0)
        assert stats["repeated_requests"] == 2


def test_an_incomplete_last_line_of_a_journal_is_ignored(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with SinkProcess(journal=journal) as sink:
        post(sink, actions(action()), actions(action()))
    journal.write_bytes(journal.read_bytes()[:-20])
    with SinkProcess(journal=journal) as sink:
        assert sink.stats()["actions"] == 1
        post(sink, actions(action()))
    with SinkProcess(journal=journal) as sink:
        assert sink.stats()["actions"] == 2


def test_a_reset_empties_the_journal(tmp_path: Path) -> None:
    with SinkProcess(journal=tmp_path / "journal") as sink:
        post(sink, actions(action()))
        sink.reset()
        post(sink, actions(action(), action()))
        sink.restart()
        assert sink.stats()["actions"] == 2


def test_repeated_kills_of_the_sink_lose_nothing_and_cause_no_unexplained_duplicates(
    tmp_path: Path,
) -> None:
    with SinkProcess(journal=tmp_path / "journal") as sink:
        client = _StubbornClient(sink.url)
        client.start()
        for _ in range(5):
            delivered = client.delivered
            while client.delivered < delivered + 20:
                assert client.is_alive()
                time.sleep(0.01)
            sink.kill()
            sink.start()
        client.done.set()
        client.join()
        stats = sink.stats()
    assert stats["distinct_actions"] == client.delivered
    assert stats["unexplained_duplicates"] == stats["reused_keys"] == 0


class _StubbornClient(threading.Thread):
    """Sends one action after the other, each until the response is a 200."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.done = threading.Event()
        self.delivered = 0
        self._poster = Poster(url)

    def run(self) -> None:
        while not self.done.is_set():
            body, name = actions(action()), str(self.delivered)
            while not self._arrives(body, name):
                time.sleep(0.01)
            self.delivered += 1
        self._poster.close()

    def _arrives(self, body: object, name: str) -> bool:
        try:
            return self._poster.post(body, headers={"Idempotency-Key": name}).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def test_an_idle_connection_is_closed_after_the_keep_alive_time() -> None:
    with SinkProcess("--keep-alive", "0.2") as sink:
        body = b'{"timestamp": "2021-05-04T10:11:12Z", "actions": [%s]}' % _raw_action()
        with _connect(sink) as connection:
            connection.sendall(raw_head(len(body)).replace(b"Connection: close\r\n", b"") + body)
            response = b"".join(iter(lambda: connection.recv(65536), b""))
        assert response.startswith(b"HTTP/1.1 200 ")


def test_a_command_that_cannot_start_reports_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, check=False
        )
    assert failed.returncode == 1
    assert "Address already in use" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_sink_process_that_cannot_start_reports_why(tmp_path: Path) -> None:
    sink = SinkProcess(journal=tmp_path / "no" / "journal")
    with pytest.raises(SinkError, match="No such file or directory"):
        sink.start()
    assert "down" in repr(sink)
    sink.close()


def test_a_file_that_is_not_a_journal_is_rejected_and_unchanged(tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    for text in ("Dear sink,\n", "Dear", '{"time":1}\n', '{"time":\n', "[]\n"):
        letter.write_text(text)
        with (
            pytest.raises(SinkError, match="line 1: is not") as caught,
            SinkProcess(journal=letter),
        ):
            pass
        assert "Traceback" not in str(caught.value)
        assert letter.read_text() == text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_a_remote_address_must_be_allowed_explicitly(host: str) -> None:
    with pytest.raises(ValueError, match=r"host: .* is not a loopback address"):
        SinkSettings(host=host)
    assert SinkSettings(host=host, allow_remote=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_address_is_allowed(host: str) -> None:
    assert SinkSettings(host=host).host == host


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("keep", 0),
        ("keep_requests", 0),
        ("max_body_bytes", 0),
        ("keep_alive", 0),
        ("api_key", ""),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{setting}: "):
        SinkSettings(**{setting: value})  # type: ignore[arg-type] # wrong on purpose


def test_wrong_usage_is_reported_without_a_traceback() -> None:
    failed = subprocess.run(
        [*COMMAND, "--host", "0.0.0.0"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert "not a loopback address" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_sink_can_listen_on_ipv6_loopback() -> None:
    with subprocess.Popen(
        [*COMMAND, "--host", "::1", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        child.terminate()
    assert url.startswith("http://[::1]:")


def test_a_running_sink_cannot_be_started_again() -> None:
    with SinkProcess() as sink, pytest.raises(SinkError, match="already running"):
        sink.start()


def test_a_sink_that_is_down_says_so_and_can_be_stopped_again() -> None:
    sink = SinkProcess()
    assert repr(sink) == "<SinkProcess not started | down>"
    with pytest.raises(SinkError, match="not started"):
        sink.url.strip()
    sink.start()
    assert f"pid {sink.pid}" in repr(sink)
    for end in (sink.stop, sink.stop, sink.kill, sink.close, sink.close):
        end()
    assert "down" in repr(sink)
    assert sink.log == ""


def test_sink_process_does_not_import_the_server() -> None:
    script = "import sys, dataart_mp.devsink; print({'uvicorn', 'starlette'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"set()\n"
