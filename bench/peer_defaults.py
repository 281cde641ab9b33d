"""Other clients with their default settings; runs in an interpreter that has them installed."""

import importlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from bench.paced import measure
from bench.peer_clients import Event


def run(name: str, url: str, event: list[Any], rate: float, seconds: float) -> dict[str, Any]:
    """Measure one client under a steady load.

    Args:
        name: The name of the peer, a key of `_PEERS`.
        url: The address of the sink.
        event: The fields of the event, its timestamp as ISO 8601.
        rate: As for `measure`.
        seconds: As for `measure`.
    """
    key, user_key, is_anonymous_user, timestamp, metadata = event
    moment = datetime.fromisoformat(timestamp)
    emit = _PEERS[name](url, Event(key, user_key, is_anonymous_user, moment, metadata))
    return measure(url, emit, rate, seconds)


def _segment(url: str, event: Event) -> Callable[[], object]:
    client = importlib.import_module("segment.analytics.client").Client("bench", host=url)
    key, user_key, _, timestamp, metadata = event
    return lambda: client.track(user_key, key, metadata, timestamp=timestamp)


def _posthog(url: str, event: Event) -> Callable[[], object]:
    client = importlib.import_module("posthog").Posthog("bench", host=url)
    key, user_key, _, timestamp, metadata = event
    return lambda: client.capture(
        key, distinct_id=user_key, properties=metadata, timestamp=timestamp
    )


def _snowplow(url: str, event: Event) -> Callable[[], object]:
    module = importlib.import_module("snowplow_tracker")
    parts = urlsplit(url)
    emitter = module.AsyncEmitter(parts.hostname, protocol="http", port=parts.port)
    # Encoded in base64, which is the default, the sink could not count the events.
    tracker = module.Tracker("bench", emitters=emitter, encode_base64=False)
    key, user_key, _, timestamp, metadata = event
    moment = timestamp.timestamp() * 1000
    schema = "iglu:com.example/event/jsonschema/1-0-0"

    def emit() -> None:
        data = {"key": key, "user_key": user_key, **metadata}
        described = module.SelfDescribingJson(schema, data)
        tracker.track(module.SelfDescribing(described, true_timestamp=moment))

    return emit


def _opentelemetry(url: str, event: Event) -> Callable[[], object]:
    """Log records, sent by OTLP over HTTP."""
    logs = importlib.import_module("opentelemetry.sdk._logs")
    export = importlib.import_module("opentelemetry.sdk._logs.export")
    otlp = importlib.import_module("opentelemetry.exporter.otlp.proto.http._log_exporter")
    record = importlib.import_module("opentelemetry._logs").LogRecord
    provider = logs.LoggerProvider(shutdown_on_exit=False)
    exporter = otlp.OTLPLogExporter(endpoint=f"{url}/v1/logs")
    provider.add_log_record_processor(export.BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("bench")
    key, user_key, _, timestamp, metadata = event
    attributes = {**metadata, "user_key": user_key}
    moment = int(timestamp.timestamp() * 1e9)
    return lambda: logger.emit(record(timestamp=moment, body=key, attributes=attributes))


_PEERS: Final[Mapping[str, Callable[[str, Event], Callable[[], object]]]] = {
    "Segment": _segment,
    "PostHog": _posthog,
    "Snowplow": _snowplow,
    "OpenTelemetry logs": _opentelemetry,
}
