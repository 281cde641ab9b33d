"""Measurements: how samples are taken, and how they are summarized."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataart_mp.cli.bench import load, machine
from dataart_mp.cli.bench.cpu import cpu_seconds
from dataart_mp.cli.bench.fresh import fresh
from dataart_mp.cli.bench.latency import quantiles
from dataart_mp.cli.bench.measurement import Column, Measurement
from dataart_mp.errors import DataArtError
from dataart_mp.producer.encoder import encode_action


def test_cases_are_measured_in_turn() -> None:
    order: list[str] = []

    def case(name: str) -> dict[str, float]:
        order.append(name)
        return {"figure": float(len(order))}

    cases = {name: lambda name=name: case(name) for name in "ABC"}
    run = Measurement("test", {}).take(cases, 2)
    assert order == ["A", "B", "C", "A", "B", "C"]
    assert run.values("B", "figure") == [2.0, 5.0]
    assert run.median("B", "figure") == 3.5
    assert run.ratio("C", "figure", "A") == 4.5 / 2.5
    assert run.end is not None


def test_a_table_shows_medians_and_half_the_interquartile_range() -> None:
    values = iter((100.0, 90.0, 110.0, 80.0, 120.0))
    run = Measurement("test", {}).take({"case": lambda: {"a": next(values), "b": None}}, 5)
    columns = (Column("a", "a", 1), Column("b", "b"))
    assert run.table(columns).splitlines() == ["                a  b", "case  100.0  ±10%   "]


def test_a_measurement_survives_json() -> None:
    run = Measurement("test", {"x": 1}).take({"case": lambda: {"a": 1.5}}, 1)
    assert Measurement.from_json(json.loads(json.dumps(run.as_json()))) == run


def test_quantiles_range_from_the_shortest_to_the_longest() -> None:
    found = quantiles(range(1000, 102_000, 1000))
    assert (found["0.0"], found["0.5"], found["0.99"], found["1.0"]) == (1.0, 51.0, 100.0, 101.0)


def test_the_event_is_encoded_in_182_bytes() -> None:
    assert len(encode_action(*load.EVENT)) == 182 + len("\n")


def test_cpu_time_of_another_process_grows_as_it_works() -> None:
    work = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    used = cpu_seconds([child.pid])
    child.communicate(b"\n")
    assert 0.2 <= used < 5.0
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        cpu_seconds([child.pid])


def test_a_fresh_process_inherits_no_settings_of_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATAART_API_KEY", "secret")
    monkeypatch.setenv("OTHER", "here")
    found = fresh(environment, path=[str(Path(__file__).parent), *sys.path])
    assert "DATAART_API_KEY" not in found
    assert "OTHER" in found


def environment() -> list[str]:
    return list(os.environ)


def test_an_exception_in_a_fresh_process_is_reported_with_its_message() -> None:
    with pytest.raises(DataArtError, match="ended with 1: ValueError: no"):
        fresh(fail, path=[str(Path(__file__).parent), *sys.path], text="no")


def fail(text: str) -> None:
    raise ValueError(text)


def test_the_machine_is_described() -> None:
    found = machine.machine()
    assert found["cpu"]
    assert found["versions"]["dataart-mp"]
