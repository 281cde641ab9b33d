"""Monitoring systems see the numbers of `stats()`, from any process and under any load."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dataart_mp import Client, ClientConfig
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.integrations.opentelemetry import export_stats
from dataart_mp.integrations.prometheus import DataArtCollector
from dataart_mp.metrics import METRICS, Readings
from dataart_mp.stats import Stats
from dataart_mp.testing import RecordingClient
from tests.support import Configure

DASHBOARD = Path(__file__).parents[2] / "docs/grafana-dashboard.json"


def scraped(*collectors: DataArtCollector) -> dict[tuple[str, str], float]:
    """Return what Prometheus would get: values by name and labels."""
    registry = CollectorRegistry(auto_describe=True)
    for collector in collectors:
        registry.register(collector)
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def observed(reader: InMemoryMetricReader) -> dict[tuple[str, str], Any]:
    """Return what OpenTelemetry would export: values by name and attributes."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (metric.name, ",".join(map(str, (point.attributes or {}).values()))): point.value  # type: ignore[union-attr]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


# The table


def test_each_number_of_stats_is_a_metric() -> None:
    """A new attribute of `Stats` that is a number needs a line in `METRICS`."""
    numbers = [field.name for field in fields(Stats) if field.type in (int, float, float | None)]
    assert len(numbers) > 10
    for name in numbers:
        values_of: dict[str, Any] = {name: 17}
        stats = Stats(**values_of)
        values = [metric.read(stats) for metric in METRICS]
        found = [
            *values,
            *(v for value in values if isinstance(value, dict) for v in value.values()),
        ]
        assert found.count(17) == 1, name


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert re.fullmatch("dataart_mp(_[a-z]+)+", metric.name)
        assert not metric.name.endswith(("_total", "_count", "_sum"))
        assert re.fullmatch(r"dataart_mp\.client(\.[a-z_]+)+", metric.otel_name)
        assert re.fullmatch(r"By|s|1|\{[a-z]+\}", metric.unit)
        assert metric.text.endswith(".")
    for names in ([metric.name for metric in METRICS], [metric.otel_name for metric in METRICS]):
        assert len(names) == len(set(names))


def test_a_counter_never_goes_down_and_a_gauge_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataart_mp.metrics._FRESH_SECONDS", 0.0)
    snapshots = iter([Stats(accepted=5, pending=5), Stats(accepted=4, pending=3)])
    readings = Readings(lambda: next(snapshots))
    for expected in ((5, 5), (5, 3)):
        values = {sample.metric.name: sample.value for sample in readings.samples()}
        names = "dataart_mp_accepted", "dataart_mp_pending"
        assert tuple(values[name] for name in names) == expected


def test_all_metrics_of_one_export_are_of_one_moment() -> None:
    calls: list[None] = []

    def stats() -> Stats:
        calls.append(None)
        return Stats(accepted=len(calls))

    readings = Readings(stats)
    assert [readings.samples()[0].value for _ in range(20)] == [1] * 20
    assert len(calls) == 1


# Prometheus


def test_prometheus_gets_the_numbers_of_the_client(config: Configure, sink: SinkProcess) -> None:
    with Client(config(sample_rate={"never": 0})) as client:
        for number in range(100):
            client.emit_action("tick", "ann", metadata={"_id": number})
        client.emit_action("never", "ann")
        assert client.flush() == 0
        stats = client.stats()
        values = scraped(DataArtCollector(client))
    assert values["dataart_mp_accepted_total", ""] == 101
    assert values["dataart_mp_delivered_total", ""] == 100
    assert values["dataart_mp_dropped_total", "sampled"] == 1
    assert values["dataart_mp_pending", ""] == 0
    assert values["dataart_mp_requests_total", ""] == stats.requests > 0
    assert values["dataart_mp_bytes_total", ""] == stats.bytes > 0


def test_prometheus_gets_totals_over_all_processes_from_each_process(
    config: Configure, sink: SinkProcess, tmp_path: Path
) -> None:
    """As under gunicorn, where any worker may respond to the scrape."""
    code = """
import json, multiprocessing, os, sys
from prometheus_client import CollectorRegistry
from dataart_mp import Client, ClientConfig
from dataart_mp.integrations.prometheus import DataArtCollector

client = Client(ClientConfig("key", base_url=sys.argv[1]))
registry = CollectorRegistry()
registry.register(DataArtCollector(client))
context = multiprocessing.get_context("fork")
everybody = context.Barrier(3)
results = context.Queue()

def work(count):
    for _ in range(count):
        client.emit_action("tick", "ann")
    everybody.wait()
    results.put(registry.get_sample_value("dataart_mp_accepted_total"))

children = [context.Process(target=work, args=(10 * n,)) for n in (1, 2)]
for child in children:
    child.start()
work(5)
print([results.get() for _ in range(3)])
for child in children:
    child.join()
client.close()
"""
    command = [sys.executable, "-c", code, sink.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [35.0] * 3


def test_prometheus_distinguishes_several_clients() -> None:
    one, other = RecordingClient(), RecordingClient(ClientConfig("key", sample_rate=0))
    one.emit_action("tick", "ann")
    other.emit_action("tick", "ann")
    values = scraped(DataArtCollector({"main": one, "audit": other}))
    assert values["dataart_mp_delivered_total", "main"] == 1
    assert values["dataart_mp_delivered_total", "audit"] == 0
    assert values["dataart_mp_dropped_total", "audit,sampled"] == 1


def test_registering_reads_nothing_and_a_second_client_is_refused() -> None:
    class Unread(RecordingClient):
        def stats(self) -> Stats:
            raise AssertionError("read")

    registry = CollectorRegistry(auto_describe=True)
    registry.register(DataArtCollector(Unread()))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(DataArtCollector(Unread()))


def test_a_closed_client_shows_its_last_numbers(config: Configure) -> None:
    client = Client(config())
    collector = DataArtCollector(client)
    client.emit_action("tick", "ann")
    client.close()
    assert scraped(collector)["dataart_mp_delivered_total", ""] == 1


# OpenTelemetry


def test_opentelemetry_gets_the_numbers_of_the_client() -> None:
    client = RecordingClient(ClientConfig("key", sample_rate={"never": 0}))
    client.emit_action("tick", "ann")
    client.emit_action("never", "ann")
    reader = InMemoryMetricReader()
    export_stats(client, MeterProvider([reader]), attributes={"pool": "web"})
    values = observed(reader)
    assert values["dataart_mp.client.event.accepted", "web"] == 2
    assert values["dataart_mp.client.event.delivered", "web"] == 1
    assert values["dataart_mp.client.event.dropped", "web,sampled"] == 1
    assert values["dataart_mp.client.event.queue.size", "web"] == 0
    assert {name for name, _ in values} == {metric.otel_name for metric in METRICS}


def test_opentelemetry_distinguishes_several_clients() -> None:
    one, other = RecordingClient(), RecordingClient()
    one.emit_action("tick", "ann")
    reader = InMemoryMetricReader()
    export_stats({"main": one, "audit": other}, MeterProvider([reader]))
    values = observed(reader)
    assert values["dataart_mp.client.event.accepted", "main"] == 1
    assert values["dataart_mp.client.event.accepted", "audit"] == 0


def test_opentelemetry_without_an_sdk_costs_nothing() -> None:
    export_stats(RecordingClient(), NoOpMeterProvider())
    export_stats(RecordingClient())


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("prometheus", "prometheus_client", "prometheus"), ("opentelemetry", "opentelemetry", "otel")],
)
def test_a_missing_package_is_an_error_that_names_the_extra(
    module: str, package: str, extra: str
) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"try:\n    import dataart_mp.integrations.{module}\n"
        "except ImportError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert f"pip install 'dataart-mp[{extra}]'" in done.stdout


# Grafana


def test_the_dashboard_shows_metrics_that_exist() -> None:
    client = RecordingClient(ClientConfig("key", sample_rate={"never": 0}))
    client.emit_action("never", "ann")  # a metric with a label has no samples before the first
    exported = {name for name, _ in scraped(DataArtCollector(client))}
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in dashboard["templating"]["list"]]
    shown = set(re.findall(r"dataart_mp_\w+", " ".join(queries)))
    assert shown <= exported
    assert shown == exported, "each metric is on the dashboard"


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating"} <= dashboard.keys()
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(places) == len(set(places))
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["title"]
        assert panel["description"]


# Documentation


def test_the_table_of_metrics_is_complete() -> None:
    page = (DASHBOARD.parent / "integrations.md").read_text()
    rows = re.findall(r"^\| `(dataart_mp_\w+)`.* \| `([\w.]+)` \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(metric.name, metric.otel_name, metric.text) for metric in METRICS]
