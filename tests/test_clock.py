"""Time-outs are measured with a clock that no test of an application freezes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import dataart_mp
from dataart_mp import clock

PACKAGE = Path(dataart_mp.__file__).parent
IMPORT = """
from dataart_mp import Client, ClientConfig; from dataart_mp.testing import RecordingClient
""".strip()
PROGRAM = """
import socket, time
from datetime import UTC, datetime

import {freezer}

{before}

silent = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{{silent.getsockname()[1]}}"
with {frozen}:
    {inside}
    recording = RecordingClient()
    recording.emit_action("k", "u")
    recording.emit_actions([{{"key": "k", "user_key": "u"}}] * 3)
    now = datetime.now(UTC)
    recording.emit_action("k", "u", timestamp=now, metadata={{"at": now}})
    for action in recording.actions:
        assert action.timestamp.isoformat() == "2020-02-02T00:00:00+00:00", action
    client = Client(ClientConfig("some-long-key", base_url=url, exit_timeout=0))
    client.emit_action("k", "u")
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    assert client.flush(0.5) == 1
    assert client.close(0.5) == 1
    assert 0.9 < time.clock_gettime(time.CLOCK_MONOTONIC) - before < 20
"""
FREEZERS = {
    "freezegun": 'freezegun.freeze_time("2020-02-02")',
    "time_machine": 'time_machine.travel("2020-02-02T00:00Z", tick=False)',
}


def test_the_clock_goes_forward() -> None:
    first, second = clock.monotonic(), clock.monotonic()
    assert first <= second
    assert abs(clock.monotonic_ns() / 1e9 - second) < 60


@pytest.mark.parametrize("freezer", FREEZERS)
@pytest.mark.parametrize(("before", "inside"), [(IMPORT, "pass"), ("", IMPORT)])
def test_frozen_time_freezes_timestamps_but_no_time_out(
    freezer: str, before: str, inside: str
) -> None:
    """Whether the package is imported before or while time is frozen."""
    pytest.importorskip(freezer)
    code = PROGRAM.format(freezer=freezer, before=before, frozen=FREEZERS[freezer], inside=inside)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_other_clock_measures_a_wait() -> None:
    others = re.compile(r"\btime\.(monotonic|perf_counter)|from time import")
    apart = ("clock.py", "cli", "devsink")  # the command line is a separate program
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] not in apart:
            assert not others.search(path.read_text(encoding="utf-8")), path
