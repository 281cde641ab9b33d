"""Metrics: the names under which monitoring systems know the numbers of `Stats`.

One table for all exporters: a line of `METRICS` makes a number appear in each of them.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from dataart_mp import clock
from dataart_mp.errors import ClosedError
from dataart_mp.stats import Stats

Number = int | float
Values = Mapping[str, Number | None]
"""The values of a metric with a label, by the value of the label."""

Read = Callable[[Stats], "Number | Values | None"]

_FRESH_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that monitoring systems get.

    Attributes:
        name: Its name for Prometheus, without the suffix `_total` of a counter: `dataart_mp_` and
            the attribute of `Stats`.
        otel_name: Its name for OpenTelemetry.
        kind: A `counter` counts up for as long as the client exists; a `gauge` is the state of a
            moment.
        unit: For OpenTelemetry: `By`, `s`, or what is counted, in braces.
        text: What it counts.
        read: Returns its value, or its values by label; None if there is none at this moment.
        label: Name of the label, if it has one.
    """

    name: str
    otel_name: str
    kind: Literal["counter", "gauge"]
    unit: str
    text: str
    read: Read
    label: str | None = None

    def values(self, stats: Stats) -> Iterator[tuple[str, Number]]:
        """Yield the value of each label at this moment; of the label "" if it has none."""
        value = self.read(stats)
        for label, number in (value if isinstance(value, Mapping) else {"": value}).items():
            if number is not None:
                yield label, number

    def labels(self, label: str) -> dict[str, str]:
        """Return its label with a value; nothing if it has no label."""
        return {self.label: label} if self.label else {}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric at a moment.

    Attributes:
        metric: The metric.
        labels: Its label, if it has one, with its value.
        value: The value.
    """

    metric: Metric
    labels: Mapping[str, str]
    value: Number


METRICS: Final = (
    Metric("dataart_mp_accepted", "dataart_mp.client.event.accepted", "counter", "{event}",
           "Events taken from the application, those that were dropped included.",
           lambda stats: stats.accepted),
    Metric("dataart_mp_delivered", "dataart_mp.client.event.delivered", "counter", "{event}",
           "Events that the platform has confirmed.", lambda stats: stats.delivered),
    Metric("dataart_mp_dropped", "dataart_mp.client.event.dropped", "counter", "{event}",
           "Events that were dropped before they were sent, by reason.",
           lambda stats: stats.dropped, "reason"),
    Metric("dataart_mp_rejected", "dataart_mp.client.event.rejected", "counter", "{event}",
           "Events that the platform has refused permanently.", lambda stats: stats.rejected),
    Metric("dataart_mp_failed", "dataart_mp.client.event.failed", "counter", "{event}",
           "Events that were abandoned because their retries were exhausted.",
           lambda stats: stats.failed),
    Metric("dataart_mp_pending", "dataart_mp.client.event.queue.size", "gauge", "{event}",
           "Events that wait or are being sent.", lambda stats: stats.pending),
    Metric("dataart_mp_parked", "dataart_mp.client.event.parked", "gauge", "{event}",
           "Events that wait in the spool for the end of an outage.", lambda stats: stats.parked),
    Metric("dataart_mp_requests", "dataart_mp.client.request.sent", "counter", "{request}",
           "Requests sent, retries included.", lambda stats: stats.requests),
    Metric("dataart_mp_retries", "dataart_mp.client.request.retried", "counter",
           "{request}", "Requests that repeated a failed one.", lambda stats: stats.retries),
    Metric("dataart_mp_throttled", "dataart_mp.client.request.throttled", "counter",
           "{request}", "Requests that the platform was too busy for.",
           lambda stats: stats.throttled),
    Metric("dataart_mp_bytes", "dataart_mp.client.request.body.size", "counter", "By",
           "Bytes of request bodies, before compression.", lambda stats: stats.bytes),
    Metric("dataart_mp_concurrency", "dataart_mp.client.request.inflight.limit",
           "gauge", "{request}", "Requests that may be in flight at present; 0: not limited.",
           lambda stats: stats.concurrency),
    Metric("dataart_mp_in_flight", "dataart_mp.client.request.inflight", "gauge", "{request}",
           "Requests in flight.", lambda stats: stats.in_flight),
    Metric("dataart_mp_oldest_pending_seconds", "dataart_mp.client.event.oldest.age", "gauge", "s",
           "Age of the oldest pending event; 0 if nothing is pending.",
           lambda stats: stats.oldest_pending_seconds or 0),
    Metric("dataart_mp_frames_in_use", "dataart_mp.client.frame.used", "gauge", "{frame}",
           "Frames of the buffer that hold events.", lambda stats: stats.frames_in_use),
    Metric("dataart_mp_frames_free", "dataart_mp.client.frame.free", "gauge", "{frame}",
           "Frames of the buffer that are free.", lambda stats: stats.frames_free),
    Metric("dataart_mp_workers", "dataart_mp.client.worker.count", "gauge", "{process}",
           "Worker processes that are alive.", lambda stats: stats.workers),
    Metric("dataart_mp_circuit_open", "dataart_mp.client.circuit.open", "gauge", "1",
           "1 while requests fail and only one at a time is sent, else 0.",
           lambda stats: int(stats.circuit == "open")),
)  # fmt: skip
"""All metrics, in the order in which they are shown."""


class Readings:
    """Reads the metrics of one client.

    All samples of one reading are of one moment. A reading is repeated within half a second
    instead of a new one, because some exporters ask for each metric separately. While records
    move, a snapshot of a counter may be lower than the one before by a few; then the one before is
    repeated, because a counter that goes down counts as one that began again from zero.

    Args:
        stats: Returns the counters of the client.
    """

    def __init__(self, stats: Callable[[], Stats]) -> None:
        self._stats = stats
        self._lock = threading.Lock()
        self._highest: dict[tuple[str, str], Number] = {}
        self._samples: list[Sample] = []
        self._read_at = float("-inf")

    def samples(self) -> list[Sample]:
        """Return the values of all metrics, in the order of `METRICS`."""
        with self._lock:
            now = clock.monotonic()
            if now >= self._read_at + _FRESH_SECONDS:
                with contextlib.suppress(ClosedError):  # while another thread closes the client
                    stats = self._stats()
                    self._samples = [each for metric in METRICS for each in self._of(metric, stats)]
                self._read_at = now
            return self._samples

    def _of(self, metric: Metric, stats: Stats) -> Iterator[Sample]:
        for label, number in metric.values(stats):
            yield Sample(metric, metric.labels(label), self._at_least(number, metric, label))

    def _at_least(self, number: Number, metric: Metric, label: str) -> Number:
        """Return a number, or the highest one before it if the metric is a counter."""
        if metric.kind == "gauge":
            return number
        place = (metric.name, label)
        highest = self._highest[place] = max(number, self._highest.get(place, 0))
        return highest
