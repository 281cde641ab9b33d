"""`dataart-mp bench`, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

from dataart_mp.devsink import SinkProcess

SCRIPT = str(Path(sys.executable).parent / "dataart-mp")


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SCRIPT, "bench", *arguments],
        env={"DATAART_API_KEY": "test-key", "DATAART_BASE_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_load_is_measured_and_all_of_it_arrives(sink: SinkProcess) -> None:
    done = bench("--base-url", sink.url, "--events", "200", "--threads", "2", "--repetitions", "2",
                 "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    samples = run["samples"]["dataart_mp"]
    assert [sample["delivered"] for sample in samples] == [200, 200]
    assert sink.stats()["actions"] == 2 * (200 + 20 + 1)  # measured, warm-up, the first one
    assert run["configuration"]["threads"] == 2
    assert "test-key" not in done.stdout


def test_a_platform_that_refuses_makes_the_command_fail(sink: SinkProcess) -> None:
    sink.set_faults({"kind": "refuse", "match": {"key": "some-event"}})
    done = bench("--base-url", sink.url, "--events", "20", "--repetitions", "1")
    assert done.returncode == 1
    assert "Delivered 0 of 20 events" in done.stdout


def test_nobody_gets_made_up_events_by_accident() -> None:
    done = bench("--events", "20")
    assert done.returncode == 2
    assert "--base-url" in done.stderr
