"""A collector for the Prometheus client library. It needs the extra `prometheus`.

    from prometheus_client import REGISTRY
    REGISTRY.register(DataArtCollector(client))

The numbers are totals over all processes of a client. So whichever process of a web server responds
to the scrape, it reports all of them, and there is nothing to add up between processes. In the
multiprocess mode of prometheus_client, register the collector with the registry that is served.
"""

from collections.abc import Iterator, Mapping

from dataart_mp.metrics import METRICS, Metric, Readings
from dataart_mp.protocol import DataArtClient

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "the collector needs prometheus_client; run: pip install 'dataart-mp[prometheus]'"
    ) from error

Family = CounterMetricFamily | GaugeMetricFamily


class DataArtCollector(Collector):
    """Collects the numbers of `stats()` for Prometheus, from one client or from several.

    Args:
        clients: A client; or clients by name, which become the values of the label `client`.
    """

    def __init__(self, clients: DataArtClient | Mapping[str, DataArtClient]) -> None:
        if isinstance(clients, Mapping):
            self._label = ["client"]
            self._readings = {(name,): Readings(each.stats) for name, each in clients.items()}
        else:
            self._label = []
            self._readings = {(): Readings(clients.stats)}  # type: ignore[dict-item]

    def collect(self) -> Iterator[Family]:
        """Return all metrics with their values."""
        families = {metric.name: self._family(metric) for metric in METRICS}
        for names, readings in self._readings.items():
            for sample in readings.samples():
                labels = [*names, *sample.labels.values()]
                families[sample.metric.name].add_metric(labels, sample.value)
        yield from families.values()

    def describe(self) -> Iterator[Family]:
        """Return all metrics without values, so that registering reads none."""
        yield from map(self._family, METRICS)

    def _family(self, metric: Metric) -> Family:
        family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        labels = [*self._label, metric.label] if metric.label else self._label
        made: Family = family(metric.name, metric.text, labels=labels)
        return made
