"""`dataart-mp bench`, as a user runs it."""

import json
import subprocess

from dataart_mp.devsink import SinkProcess
from tests.cli.terminal import run
from tests.support import environment

ENV = environment(DATAART_API_KEY="test-key", DATAART_BASE_URL="http://127.0.0.1:9")


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("bench", *arguments, env=ENV)


def test_a_load_is_measured_and_all_its_events_arrive(sink: SinkProcess) -> None:
    done = bench("--base-url", sink.url, "--events", "200", "--threads", "2", "--repetitions", "2",
                 "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    samples = result["samples"]["dataart_mp"]
    assert [sample["delivered"] for sample in samples] == [200, 200]
    assert sink.stats()["actions"] == 2 * (200 + 20 + 1)  # measured, warm-up, the first one
    assert result["configuration"]["threads"] == 2
    assert "test-key" not in done.stdout


def test_rejected_events_make_the_command_fail(sink: SinkProcess) -> None:
    sink.set_faults({"kind": "refuse", "match": {"key": "some-event"}})
    done = bench("--base-url", sink.url, "--events", "20", "--repetitions", "1")
    assert done.returncode == 1
    assert "Delivered 0 of 20 events" in done.stdout


def test_the_base_url_must_be_given_as_an_option() -> None:
    done = bench("--events", "20")
    assert done.returncode == 2
    assert "--base-url" in done.stderr
