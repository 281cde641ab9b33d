"""The benchmarks, at a tiny scale: they store their results, and their counts are correct."""

import gzip
import http.client
import json
import shutil
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner, Result

from bench import emit, floor, footprint, latency, peers, results, scale, ship, sync
from bench.__main__ import bench
from bench.counter import counting
from bench.distant_sink import Distance, distant_sink
from bench.nginx import speed_sink
from bench.targets import Target, table, targets
from dataart_mp.cli.bench.load import EVENT
from dataart_mp.cli.bench.measurement import Measurement

RESULTS = Path(__file__).parents[2] / "bench" / "results"
TINY = ("--factor", "0.001", "--repetitions", "1")

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs some cases of a command, and returns the stored measurement."""

    def run(command: str, *only: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
        chosen = [argument for text in only for argument in ("--only", text)]
        done = invoke(command, *TINY, *chosen, "--output", tmp_path, *options)
        assert done.exit_code == 0, done.output
        file = tmp_path / f"{command}-part.json"
        assert str(file) in done.output
        written: dict[str, Any] = json.loads(file.read_text())
        for case in written["samples"]:
            assert case in done.output
        return written

    return run


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [*map(str, arguments)], catch_exceptions=False)


def test_each_way_to_emit_the_rows_of_a_table_delivers_all_of_them(run: Run) -> None:
    written = run("table", "", options=("--factor", "0.002"))
    assert len(written["samples"]) == 5
    for (sample,) in written["samples"].values():
        assert sample["delivered"] == sample["events"] == 2000
        assert sample["cpu_ns_per_row"] > 0


def test_a_measurement_stores_every_sample_and_describes_the_machine(run: Run) -> None:
    posting = floor.case(floor.RAW, 20)
    written = run("floor", floor.COPY, posting, options=("--repetitions", "2"))
    assert [one["events"] for one in written["samples"][floor.COPY]] == [1000, 1000]
    assert [one["requests"] for one in written["samples"][posting]] == [2, 2]
    assert {"orjson", "urllib3", "dataart-mp"} <= set(written["machine"]["versions"])
    assert written["machine"]["python"]
    assert written["machine"]["cpus"] >= 1
    assert written["configuration"]["event_bytes"] == 182
    for moment in (written["start"], written["end"]):
        assert moment["time"]
        assert len(moment["load_average"]) == 3


@pytest.mark.parametrize("layer", ["http.client", "urllib3 HTTPConnection", floor.SENDER])
def test_each_layer_posts_complete_batches(layer: str) -> None:
    with counting(EVENT.key) as counter:
        floor.post(layer, counter.url, batch=20, requests=10)
    assert counter.requests == 12  # two of them are the warm-up
    assert counter.count == 12 * 20


def test_without_nginx_the_devsink_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with speed_sink() as sink:
        assert sink.name == "dataart_mp.devsink"
        sample = floor.post(floor.RAW, sink.url, batch=20, requests=10)
    assert sample["requests"] == 10


def test_emit_measures_calls_and_their_distribution(run: Run) -> None:
    samples = run("emit", emit.FOUR, emit.FULL, emit.TIMED)["samples"]
    (four,), (full,), (timed,) = (samples[case] for case in (emit.FOUR, emit.FULL, emit.TIMED))
    assert full["events"] == 200  # all of them were dropped, otherwise the run had failed
    assert four["delivered"] == four["events"] == 200
    assert four["work_ns_per_call"] > 0
    times = list(timed["latency"].values())
    assert times == sorted(times)
    assert timed["latency"]["0.99"] == timed["p99"] <= timed["longest_of_all"]
    assert timed["longest"] <= timed["longest_of_all"]


def test_sync_ships_with_each_value_of_the_setting(run: Run, tmp_path: Path) -> None:
    options = ("--directory", str(tmp_path))
    names = [sync.SPOOL.format(level, 20) for level in sync.LEVELS]
    samples = run("sync", *names, sync.NO_SPOOL.format(20), options=options)["samples"]
    assert list(samples) == [sync.NO_SPOOL.format(20), *names]
    assert all(sample["delivered"] == sample["events"] for (sample,) in samples.values())


def test_seed_emits_4000_actions_as_the_go_benchmark_does(run: Run) -> None:
    written = run("seed", "BenchmarkClient-2")
    (sample,) = written["samples"]["BenchmarkClient-2"]
    assert sample["delivered"] == 4000
    assert sample["ns_per_call"] > 0
    assert sample["bytes_per_call"] > 0
    assert written["configuration"]["flush_buffer_size"] == 100


def test_ship_first_verifies_by_a_sink_that_all_events_arrive(run: Run) -> None:
    case = ship.case(500)
    written = run("ship", case)
    verified = written["configuration"]["verified_by_a_counting_sink"]
    assert verified == {case: 20}
    (sample,) = written["samples"][case]
    assert sample["delivered"] == sample["events"] == 2000
    assert sample["cpu_seconds"] > 0
    faults = written["configuration"]["timeline"]
    assert [text for _, text in faults["faults"]][-1] == "a worker gets kill -9"
    _, accepted, delivered, arrived = faults["points"][-1]
    assert accepted == delivered <= arrived


def test_memory_measures_all_processes(run: Run) -> None:
    case = footprint.case(20)
    (sample,) = run("memory", case)["samples"][case]
    assert sample["events"] == 1100
    for _, application, *workers in sample["points"]:
        assert application > sample["bare_mb"] > 0
        assert len(workers) == 2
        assert min(workers) > 0


def test_scale_measures_the_start_and_an_idle_client(run: Run) -> None:
    samples = run("scale", scale.START, scale.IDLE)["samples"]
    assert samples[scale.START][0]["first_call_us"] > 0
    assert samples[scale.START][0]["first_delivery_ms"] > 0
    assert samples[scale.IDLE][0]["cpu_seconds"] >= 0


def test_queues_measures_the_speed_of_each_queue(run: Run) -> None:
    written = run("queues", "RecordQueue", options=("--trials", "0"))
    assert len(written["samples"]) == 2
    assert all(sample[0]["records"] == 20 for sample in written["samples"].values())


def test_the_counter_counts_compressed_bodies() -> None:
    with counting(EVENT.key) as counter:
        address = urlsplit(counter.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        connection.request("POST", "/", gzip.compress(floor.body(3)), {"Content-Encoding": "gzip"})
        assert connection.getresponse().read()
        connection.close()
    assert (counter.requests, counter.count) == (1, 3)


@pytest.mark.skipif(not peers.VENV.exists(), reason="`python -m bench peers` installs them")
def test_peers_measures_a_peer_and_our_client(run: Run) -> None:
    written = run("peers", "batch 50", options=("--peer", "Mixpanel"))
    names = peers.OURS, peers.OURS_IN_BULK, "Mixpanel"
    assert set(written["samples"]) == {peers.case(name, 50) for name in names}
    assert peers.case("Mixpanel", 50) in written["configuration"]["verified_by_a_counting_sink"]


def test_only_refuses_a_text_that_matches_no_case(tmp_path: Path) -> None:
    done = invoke("floor", *TINY, "--only", "nonsense", "--output", tmp_path)
    assert done.exit_code == 2
    assert "--only matches no case" in done.output


def test_report_shows_targets_and_draws_charts_of_the_published_results(tmp_path: Path) -> None:
    done = invoke("report", RESULTS, "--output", tmp_path)
    assert done.exit_code == 0, done.output
    assert "emit_action, 1 thread, to orjson.dumps (CPU)" in done.output
    charts = {file.name for file in tmp_path.iterdir()}
    assert charts == {
        "emit-latency.png",
        "memory-over-time.png",
        "ship-by-batch.png",
        "ship-by-workers.png",
        "ship-through-faults.png",
    }
    assert all((tmp_path / name).stat().st_size > 10_000 for name in charts)


def test_report_without_measurements_says_what_to_run(tmp_path: Path) -> None:
    done = invoke("report", tmp_path)
    assert done.exit_code == 1
    assert "run other commands first" in done.output


def test_a_stored_measurement_is_loaded_unchanged(tmp_path: Path) -> None:
    (emitted,) = [run for run in results.load(RESULTS).values() if run.name == "emit"]
    results.save(emitted, tmp_path)
    assert results.load(tmp_path) == {"emit": emitted}


def test_a_target_is_met_on_the_correct_side_of_its_limit() -> None:
    most, least = Target("a", 1.6, 1.5), Target("b", 0.8, 0.7, least=True)
    assert (most.met, least.met) == (False, True)
    assert table([most, least]).splitlines()[1:] == [
        "a        ≤ 1.5       1.6   NO",
        "b        ≥ 0.7       0.8  yes",
    ]


# A distant sink


def test_a_distant_sink_counts_what_arrives_and_has_latency() -> None:
    with distant_sink(EVENT.key, Distance(0.1)) as url:
        start = time.monotonic()
        assert [post(url, f"{EVENT.key} {EVENT.key}".encode()) for _ in range(2)] == [200, 200]
        assert time.monotonic() - start >= 0.2
        assert counts(url) == {"events": 4, "accepted": 2, "refused": 0, "in_flight": 0, "most": 1}


def test_a_distant_sink_processes_as_many_requests_at_once_as_it_has_servers() -> None:
    with distant_sink(EVENT.key, Distance(0.1, servers=2)) as url, ThreadPoolExecutor(4) as pool:
        start = time.monotonic()
        while counts(url)["most"] < 4:  # a loaded machine may start a thread late
            assert list(pool.map(lambda _: post(url, b""), range(4))) == [200] * 4
        assert time.monotonic() - start >= 0.2


def test_a_distant_sink_refuses_more_requests_than_its_rate() -> None:
    with distant_sink(EVENT.key, Distance(0.0, rate=20)) as url, ThreadPoolExecutor(10) as pool:
        statuses = [post(url, EVENT.key.encode()) for _ in range(2)]
        assert statuses == [200, 200]
        while 429 not in statuses:  # a loaded machine may make fewer than 20 in a second
            statuses += pool.map(lambda _: post(url, EVENT.key.encode()), range(10))
        seen = counts(url)
        assert seen["accepted"] == seen["events"] == statuses.count(200)
        assert seen["refused"] == statuses.count(429)


def post(url: str, body: bytes) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("POST", "/", body)
    response = connection.getresponse()
    assert (response.status == 429) == (response.getheader("Retry-After") == "1")
    connection.close()
    return response.status


def counts(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url}/stats", timeout=10) as response:
        found: dict[str, int] = json.load(response)
    return found


def test_latency_measures_our_client_with_its_defaults(run: Run, tmp_path: Path) -> None:
    """A peer that is not installed is named."""
    missing = tmp_path / "python"
    missing.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 1\n")
    missing.chmod(0o700)
    written = run("latency", "1 ms, 1,000 events/s", options=("--python", str(missing)))
    samples = written["samples"]
    (ours,) = samples.pop(latency.case(latency.OURS, "1 ms", 1000))
    assert (ours["missing_percent"], ours["failed"]) == (0, 0)
    assert [one["error"] for (one,) in samples.values()] == [
        "a measured process ended with 1: no such module"
    ] * 4


def test_the_targets_of_latency_are_those_of_the_highest_load() -> None:
    figures = {"events_per_second": 50_000.0, "requests_per_second": 194.0, "wasted_percent": 3.0}
    sample = figures | {"failed": 0, "missing_percent": 0.0}
    names = [latency.case(latency.OURS, distance, latency.MOST) for distance in latency.DISTANCES]
    found = targets(Measurement("latency", {}, {name: [sample] for name in names}))
    assert [target.met for target in found] == [False, True, True, True, True, True]
    assert found[2].measured == pytest.approx(97.0)
