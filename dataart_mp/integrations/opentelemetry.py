"""The numbers of `stats()` as OpenTelemetry metrics. It needs the extra `otel`, the API only.

    export_stats(client)  # with the meter provider that the application has set

The numbers are totals over all processes of a client, so it suffices that one process exports them.
If several do, each reports the same: take the maximum over them in a query, not the sum.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from dataart_mp.metrics import METRICS, Metric, Readings
from dataart_mp.protocol import DataArtClient
from dataart_mp.version import __version__

try:
    from opentelemetry.metrics import (
        CallbackOptions,
        MeterProvider,
        Observation,
        get_meter_provider,
    )
except ImportError as error:
    raise ImportError(
        "the exporter needs opentelemetry-api; run: pip install 'dataart-mp[otel]'"
    ) from error

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def export_stats(
    clients: DataArtClient | Mapping[str, DataArtClient],
    meter_provider: MeterProvider | None = None,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Register instruments for the numbers of `stats()`, of one client or of several.

    Call it once in a process. A forked child has the instruments of its parent, but usually no
    thread that exports them; see the documentation of the SDK.

    Args:
        clients: A client; or clients by name, which become the values of the attribute `client`.
        meter_provider: What makes the instruments; None: the global one.
        attributes: Attributes of all observations.
    """
    named = {"": clients} if not isinstance(clients, Mapping) else clients
    common = attributes or {}
    readings = [
        (Readings(each.stats), {**common, **({"client": name} if name else {})})
        for name, each in named.items()
    ]
    meter = (meter_provider or get_meter_provider()).get_meter("dataart_mp", __version__)
    for metric in METRICS:
        arguments = (metric.otel_name, [_callback(metric, readings)], metric.unit, metric.text)
        if metric.kind == "counter":
            meter.create_observable_counter(*arguments)
        else:
            meter.create_observable_gauge(*arguments)


def _callback(metric: Metric, readings: list[tuple[Readings, dict[str, str]]]) -> Callback:
    def observe(_options: CallbackOptions) -> Iterator[Observation]:
        for reading, attributes in readings:
            for sample in reading.samples():
                if sample.metric is metric:
                    yield Observation(sample.value, {**attributes, **sample.labels})

    return observe
