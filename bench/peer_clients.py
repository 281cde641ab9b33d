"""Other clients, each in its best configuration; runs in an interpreter that has them installed.

It does not import dataart_mp, and imports only the peer that is measured. The best configuration
has a queue for all events, so that none is dropped, no compression, no logging, a persistent
connection if possible, and one sending thread if more would only compete for the interpreter.
"""

import importlib
import io
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

_LOOK_SECONDS: Final = 0.001
_TIMEOUT_SECONDS: Final = 120.0


class Event(NamedTuple):
    """The event of `dataart_mp.cli.bench.load`, which is not installed here."""

    key: str
    user_key: str
    is_anonymous_user: bool
    timestamp: datetime
    metadata: dict[str, Any]


class Peer(NamedTuple):
    """A running client.

    Attributes:
        emit: Calls the client's public function with the event.
        drain: Returns when all emitted events are delivered.
        close: Closes the client; this is not timed.
    """

    emit: Callable[[], object]
    drain: Callable[[], object]
    close: Callable[[], object]


class Plan(NamedTuple):
    """The configuration of a client.

    Attributes:
        url: The address of the sink.
        batch: Events per request.
        events: How many events will be emitted.
        event: The event, always the same.
    """

    url: str
    batch: int
    events: int
    event: Event


def run(
    name: str, url: str, batch: int, events: int, warm_up: int, event: list[Any]
) -> dict[str, Any]:
    """Measure one client, after a warm-up with another client of the same kind.

    Args:
        name: The name of the peer, a key of `_PEERS`.
        url: The address of the sink.
        batch: Events per request.
        events: How many events are emitted.
        warm_up: How many events are emitted before.
        event: The fields of the event, its timestamp as ISO 8601.
    """
    key, user_key, is_anonymous_user, timestamp, metadata = event
    moment = datetime.fromisoformat(timestamp)
    emitted = Event(key, user_key, is_anonymous_user, moment, metadata)
    make = _PEERS[name]
    _ship(make(Plan(url, batch, warm_up, emitted)), warm_up)
    peer = make(Plan(url, batch, events, emitted))
    cpu = time.process_time()
    emit_seconds, seconds = _ship(peer, events)
    cpu = time.process_time() - cpu
    return {
        "events": events,
        "seconds": seconds,
        "emit_seconds": emit_seconds,
        "events_per_second": events / seconds,
        "ns_per_call": emit_seconds * 1e9 / events,
        "cpu_seconds": cpu,
        "cpu_per_million": cpu * 1e6 / events,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def _ship(peer: Peer, events: int) -> tuple[float, float]:
    start = time.perf_counter()
    for _ in range(events):
        peer.emit()
    emitted = time.perf_counter()
    peer.drain()
    end = time.perf_counter()
    peer.close()
    return emitted - start, end - start


def _dataart_python(plan: Plan) -> Peer:
    """One worker is the fastest, because idle workers spin; a printed line reports each request."""
    importlib.import_module("dataart_python.request").Request.BASE_URL = plan.url
    module = importlib.import_module("dataart_python.client")
    lines = sys.stdout = _Lines()
    client = module.DataArt("bench", worker_nums=1, batch_size=plan.batch)
    client.start()
    key, user_key, is_anonymous_user, timestamp, metadata = plan.event

    def close() -> None:
        client.shutdown()
        sys.stdout = sys.__stdout__

    return Peer(
        lambda: client.emit_action(user_key, key, metadata, timestamp, is_anonymous_user),
        lambda: _wait_for(lambda: lines.done >= plan.events // plan.batch),
        close,
    )


class _Lines(io.StringIO):
    """Standard output that counts the lines that report a request."""

    done = 0

    def write(self, text: str) -> int:
        """Count a line, and discard it."""
        self.done += " done " in text
        return len(text)


def _segment(plan: Plan) -> Peer:
    return _segment_like("segment.analytics.client", plan)


def _rudder(plan: Plan) -> Peer:
    return _segment_like("rudderstack.analytics.client", plan)


def _segment_like(module: str, plan: Plan) -> Peer:
    client = importlib.import_module(module).Client(
        "bench",
        host=plan.url,
        max_queue_size=plan.events,
        upload_size=plan.batch,
        gzip=False,
        thread=1,
    )
    key, user_key, _, timestamp, metadata = plan.event
    return Peer(
        lambda: client.track(user_key, key, metadata, timestamp=timestamp),
        client.flush,
        client.shutdown,
    )


def _posthog(plan: Plan) -> Peer:
    client = importlib.import_module("posthog").Posthog(
        "bench", host=plan.url, max_queue_size=plan.events, flush_at=plan.batch, gzip=False
    )
    key, user_key, _, timestamp, metadata = plan.event
    return Peer(
        lambda: client.capture(key, distinct_id=user_key, properties=metadata, timestamp=timestamp),
        lambda: client.flush(timeout_seconds=_TIMEOUT_SECONDS),
        client.shutdown,
    )


def _snowplow(plan: Plan) -> Peer:
    module = importlib.import_module("snowplow_tracker")
    parts = urlsplit(plan.url)
    emitter = module.AsyncEmitter(
        parts.hostname,
        protocol="http",
        port=parts.port,
        batch_size=plan.batch,
        buffer_capacity=plan.events,
        session=importlib.import_module("requests").Session(),
    )
    tracker = module.Tracker("bench", emitters=emitter, encode_base64=False)
    key, user_key, _, timestamp, metadata = plan.event
    moment = timestamp.timestamp() * 1000
    schema = "iglu:com.example/event/jsonschema/1-0-0"

    def emit() -> None:
        data = {"key": key, "user_key": user_key, **metadata}
        described = module.SelfDescribingJson(schema, data)
        tracker.track(module.SelfDescribing(described, true_timestamp=moment))

    return Peer(emit, emitter.sync_flush, _nothing)


def _mixpanel(plan: Plan) -> Peer:
    module = importlib.import_module("mixpanel")
    consumer = module.BufferedConsumer(max_size=plan.batch, events_url=f"{plan.url}/track")
    client = module.Mixpanel("bench", consumer=consumer)
    key, user_key, _, timestamp, metadata = plan.event
    properties = {**metadata, "time": timestamp.timestamp()}
    return Peer(lambda: client.track(user_key, key, properties), consumer.flush, _nothing)


def _amplitude(plan: Plan) -> Peer:
    module = importlib.import_module("amplitude")
    level = importlib.import_module("amplitude.constants").EventLogLevel.NONE
    lock, done = threading.Lock(), [0]

    def on_response(_event: object, code: int, _text: str) -> None:
        if code != 200:
            raise RuntimeError(f"Amplitude received {code}")
        with lock:
            done[0] += 1

    client = module.Amplitude(
        "bench",
        module.Config(
            flush_queue_size=plan.batch,
            server_url=plan.url,
            callback=on_response,
            event_log_level=level,
        ),
    )
    key, user_key, _, timestamp, metadata = plan.event
    moment = int(timestamp.timestamp() * 1000)

    def drain() -> None:
        client.flush()
        _wait_for(lambda: done[0] >= plan.events)

    return Peer(
        lambda: client.track(
            module.BaseEvent(key, user_id=user_key, time=moment, event_properties=metadata)
        ),
        drain,
        client.shutdown,
    )


def _opentelemetry(plan: Plan) -> Peer:
    """Log records, sent by OTLP over HTTP."""
    logs = importlib.import_module("opentelemetry.sdk._logs")
    export = importlib.import_module("opentelemetry.sdk._logs.export")
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http._log_exporter")
    record = importlib.import_module("opentelemetry._logs").LogRecord
    provider = logs.LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(
        export.BatchLogRecordProcessor(
            otlp.OTLPLogExporter(endpoint=f"{plan.url}/v1/logs"),
            max_queue_size=max(plan.events, plan.batch),
            max_export_batch_size=plan.batch,
        )
    )
    logger = provider.get_logger("bench")
    key, user_key, _, timestamp, metadata = plan.event
    attributes = {**metadata, "user_key": user_key}
    moment = int(timestamp.timestamp() * 1e9)
    return Peer(
        lambda: logger.emit(record(timestamp=moment, body=key, attributes=attributes)),
        provider.force_flush,
        provider.shutdown,
    )


def _confluent_kafka(plan: Plan) -> Peer:
    """Librdkafka with its built-in mock broker, whose CPU time counts, too."""
    delivered = [0]

    def on_delivery(error: object, _message: object) -> None:
        if error is not None:
            raise RuntimeError(f"Kafka: {error}")
        delivered[0] += 1

    producer = importlib.import_module("confluent_kafka").Producer(
        {
            "bootstrap.servers": "mock",
            "test.mock.num.brokers": 1,
            "batch.num.messages": plan.batch,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
        }
    )
    dumps, event = importlib.import_module("orjson").dumps, plan.event._asdict()

    def drain() -> None:
        producer.flush()
        if delivered[0] != plan.events:
            raise RuntimeError(f"only {delivered[0]} of {plan.events} messages were delivered")

    def emit() -> None:
        producer.produce("events", dumps(event), on_delivery=on_delivery)

    return Peer(emit, drain, _nothing)


def _wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not delivered in {_TIMEOUT_SECONDS} s")
        time.sleep(_LOOK_SECONDS)


def _nothing() -> None:
    """Do nothing: this client needs no close."""


_PEERS: Final[Mapping[str, Callable[[Plan], Peer]]] = {
    "dataart-python": _dataart_python,
    "Segment": _segment,
    "Rudder": _rudder,
    "PostHog": _posthog,
    "Snowplow": _snowplow,
    "Mixpanel": _mixpanel,
    "Amplitude": _amplitude,
    "OpenTelemetry logs": _opentelemetry,
    "confluent-kafka": _confluent_kafka,
}
