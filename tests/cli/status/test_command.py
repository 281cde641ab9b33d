"""`dataart-mp status` shows clients in other processes, and its exit code serves probes."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from dataart_mp import Client
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.observer.processes import is_supported
from tests.cli.terminal import run, start
from tests.client.tools import emit
from tests.support import Configure, wait_until

pytestmark = pytest.mark.skipif(not is_supported(), reason="no /proc")

SOON = ("--interval", "0.05")


@pytest.fixture
def sink(platform: SinkProcess) -> SinkProcess:
    """One sink for all tests, because starting one takes longer than most of them."""
    return platform


def test_a_working_client_is_shown_and_the_exit_code_is_0(client: Client) -> None:
    emit(client, 0, 100)
    assert client.flush(20) == 0
    done = run("status", os.getpid(), *SOON)
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    assert f"client {client._queue.arena.id[:8]}  alive  process {os.getpid()} " in text
    assert re.search(r"^  health     ok$", text, re.MULTILINE)
    assert re.search(r"^  balance    accepted 100 = delivered 100$", text, re.MULTILINE)
    assert re.search(r"^  per second accepted 0, delivered 0, requests 0$", text, re.MULTILINE)
    assert re.search(r"^  circuit    closed$", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80


def test_json_holds_all_of_it(client: Client) -> None:
    emit(client, 0, 100)
    assert client.flush(20) == 0
    done = run("status", os.getpid(), "--json", *SOON)
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode == 0
    (shown,) = found["clients"]
    assert shown["id"] == client._queue.arena.id
    assert (shown["alive"], shown["accepted"], shown["pending"]) == (True, 100, 0)
    assert shown["health"] == {"status": "ok", "reason": ""}
    assert shown["rates_per_second"]["delivered"] == 0
    assert sum(shown["frames"].values()) == client.config.flush_buffer_size


def test_in_an_outage_the_reason_is_shown_and_the_exit_code_is_1(
    config: Configure, sink: SinkProcess, tmp_path: Path
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    spool = tmp_path / "spool"
    settings = {"flush_num_retries": 1, "max_request_bytes": 8192, "flush_buffer_size": 50}
    with Client(config(spool_dir=spool, **settings)) as client:
        emit(client, 0, 400)
        wait_until(lambda: client.stats().parked == 400)
        for target in (os.getpid(), spool):
            done = run("status", target, *SOON)
            assert done.returncode == 1
            assert "failing: the platform accepts nothing since" in done.stdout
            assert re.search(r"last error .*: status 503", done.stdout)
            assert re.search(
                r"^  parked     400 events in \d+ requests, since", done.stdout, re.MULTILINE
            )
            assert max(map(len, done.stdout.splitlines()[:9])) <= 80
        sink.clear_faults()


def test_prometheus_gets_each_metric_with_its_type(client: Client) -> None:
    emit(client, 0, 100)
    assert client.flush(20) == 0
    done = run("status", os.getpid(), "--prometheus")
    assert done.returncode == 0
    label = f'{{client="{client._queue.arena.id}"}}'
    lines = done.stdout.splitlines()
    assert f"dataart_mp_delivered_total{label} 100" in lines
    assert f"dataart_mp_pending{label} 0" in lines
    assert f"dataart_mp_health{label} 0" in lines
    families = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", done.stdout, re.MULTILINE))
    assert families == set(re.findall(r"^# HELP (\S+) \S", done.stdout, re.MULTILINE))
    samples = [line for line in lines if not line.startswith("#")]
    sample = re.compile(r'(\w+)\{\w+="[^"]*"(,\w+="[^"]*")*\} [0-9.e+]+')
    names = {match[1] for line in samples if (match := sample.fullmatch(line))}
    assert len(samples) == sum(sample.fullmatch(line) is not None for line in samples)
    assert names <= families
    assert all(name.endswith("_total") for name in names if f"{name} counter" in done.stdout)


def test_watching_ends_with_the_signal_and_shows_look_by_look(client: Client) -> None:
    emit(client, 0, 20)
    with start("status", os.getpid(), "--watch", "--json", "--interval", "0.05") as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert [look["clients"][0]["accepted"] for look in looks] == [20, 20, 20]
    assert looks[0]["clients"][0]["rates_per_second"] is None
    assert looks[1]["clients"][0]["rates_per_second"] is not None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["4194304999"], "there is no process 4194304999"),
        (["/no/such/directory"], "/no/such/directory is neither a process id nor a directory"),
        (["1", "--prometheus", "--json"], "--prometheus is mutually exclusive"),
    ],
)
def test_wrong_usage_is_named_and_the_exit_code_is_2(arguments: list[str], problem: str) -> None:
    done = run("status", *arguments)
    assert done.returncode == 2
    assert problem in done.stderr


def test_an_empty_spool_is_ok(tmp_path: Path) -> None:
    done = run("status", tmp_path)
    assert done.returncode == 0
    assert done.stdout == f"spool {tmp_path}\n  parked     nothing\n"
