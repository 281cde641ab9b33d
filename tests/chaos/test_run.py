"""Runs of the harness: accepted events arrive, whichever processes die and whenever they die."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs a subreaper and /proc, which exist only on Linux"
)


def chaos(folder: Path, seconds: float) -> dict[str, Any]:
    """Return the summary of one run; pytest shows its output."""
    report = folder / "summary.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seconds", str(seconds), "--json", str(report)],
        cwd=ROOT,
        timeout=seconds + 400,
        check=False,
    )
    summary: dict[str, Any] = json.loads(report.read_text())
    assert done.returncode == 0, summary["problems"]
    assert summary["verdict"] == "passed"
    return summary


def assert_nothing_is_wrong(summary: dict[str, Any]) -> None:
    """Check each figure, so that the result does not rely on the harness's verdict alone."""
    assert summary["lost"] == 0
    assert summary["hung"] == 0
    assert summary["unexplained_duplicates"] == 0
    assert summary["leaks"] == {"frames": 0, "processes": 0, "descriptors": 0, "files": 0}
    assert summary["arrived"] == summary["accepted"] + summary["unconfirmed"]
    assert summary["problems"] == []
    assert summary["workers"] > 0, "the driver sees the workers, and so can kill them"


@pytest.mark.timeout(420)
def test_in_half_a_minute_of_chaos_nothing_is_lost_hung_or_leaked(tmp_path: Path) -> None:
    summary = chaos(tmp_path, 30)
    assert_nothing_is_wrong(summary)
    # Low limits: a machine that is busy with other things emits and kills less.
    assert summary["accepted"] > 15_000
    assert sum(summary["kills"].values()) > 10
    assert summary["machine"]["files of the client read"] > 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_in_ten_minutes_of_chaos_nothing_is_lost_hung_or_leaked(tmp_path: Path) -> None:
    summary = chaos(tmp_path, 600)
    assert_nothing_is_wrong(summary)
    assert summary["accepted"] > 1_000_000
    assert sum(summary["kills"].values()) > 100
    assert summary["machine"]["files of the client read"] > 100
    assert summary["machine"]["descriptors closed"] > 10
    assert summary["machine"]["clock step"] > 5 or shutil.which("cc") is None
    assert summary["machine"]["full disk"] > 5 or os.geteuid() != 0
