"""A full buffer has the configured effect, and failed records are reported."""

import logging
import multiprocessing
import re
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

from dataart_mp import BufferFullError, Client, Failure, HTTPOptions
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import TINY
from tests.support import App, Configure, wait_until


def fill(client: Client) -> None:
    for _ in range(6):
        assert client.emit_action("first", "ann")


def without_seconds(messages: Iterable[str]) -> list[str]:
    """Omit how long it took, as in "5 records dropped in 2 s: …", which a slow machine adds."""
    return [re.sub(r" in \d+ s:", ":", message) for message in messages]


def test_block_waits_until_a_frame_is_free(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY, http=HTTPOptions(read_timeout=60.0))) as client:
        fill(client)
        started = time.monotonic()
        wait_until(lambda: hanging.stats()["in_flight"] == 3)
        hanging.clear_faults()
        assert client.emit_action("second", "ann")
        assert time.monotonic() > started
        assert client.flush(20) == 0
        assert client.stats().delivered == 7
        assert client.stats().balanced


def test_a_blocked_call_is_logged_with_the_response_of_the_platform(
    config: Configure, sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "dataart_mp")
    sink.set_faults({"kind": "status", "status": 503})
    with Client(config(**TINY, block_timeout=2.0, flush_num_retries=100)) as client:
        fill(client)
        wait_until(lambda: any("status 503" in message for message in caplog.messages))
        with pytest.raises(BufferFullError):
            client.emit_actions([{"key": "second", "user_key": "ann"}])
        with pytest.raises(BufferFullError):
            client.identify("ann")
        sink.clear_faults()
        assert client.flush(20) == 0
    blocked = [message for message in caplog.messages if message.startswith("buffer full")]
    expected = r"buffer full: emit_actions has been blocking for [12] s; the platform answers 503"
    assert len(blocked) == 1, "once a minute"
    assert re.fullmatch(expected + r" \(since \d\d:\d\d:\d\d\)", blocked[0])


def test_block_raises_after_block_timeout(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY, block_timeout=0.2)) as client:
        fill(client)
        with pytest.raises(BufferFullError, match="all 3 frames are in use"):
            client.emit_action("second", "ann")
        with pytest.raises(BufferFullError):
            client.identify("ann")
        hanging.clear_faults()
        assert client.flush(20) == 0
        assert client.stats().accepted == 6


def test_raise_does_not_wait(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY, overflow="raise")) as client:
        fill(client)
        with pytest.raises(BufferFullError) as refused:
            client.emit_action("second", "ann")
        assert refused.value.__context__ is None, "each event costs one exception, not several"
        hanging.clear_faults()


def test_drop_returns_false_and_counts_and_logs(
    config: Configure, hanging: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "dataart_mp")
    with Client(config(**TINY, overflow="drop")) as client:
        fill(client)
        assert [client.emit_action("second", "ann") for _ in range(5)] == [False] * 5
        assert client.identify("ann") is False
        stats = client.stats()
        assert stats.dropped == {"buffer full": 6}
        assert stats.balanced
        hanging.clear_faults()
        assert client.flush(20) == 0
    assert without_seconds(record.getMessage() for record in caplog.records) == [
        "1 record dropped: buffer full",
        "5 records dropped: buffer full",
    ]


def test_a_failed_batch_is_counted_logged_and_reported(
    config: Configure, sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    failures: list[Failure] = []
    caplog.set_level(logging.ERROR, "dataart_mp")
    with Client(config(flush_num_retries=2, on_failure=failures.append)) as client:
        client.emit_action("lost", "ann", metadata={"number": 1})
        client.emit_action("lost", "bob", metadata={"number": 2})
        assert client.flush(20) == 0
        stats = client.stats()
    assert (stats.failed, stats.delivered, stats.retries, stats.requests) == (2, 0, 2, 3)
    assert stats.balanced
    (failure,) = failures
    assert (failure.reason, failure.kind, failure.status) == ("retries exhausted", "action", 503)
    assert failure.attempts == 3
    assert [record["metadata"]["number"] for record in failure.records] == [1, 2]
    assert any("2 records not delivered" in record.getMessage() for record in caplog.records)


def test_a_rejected_event_does_not_affect_the_others_of_its_batch(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    failures: list[Failure] = []
    with Client(config(on_failure=failures.append)) as client:
        for number in range(20):
            client.emit_action("bad" if number == 13 else "good", "ann", metadata={"n": number})
        client.flush(20)
        stats = client.stats()
    assert (stats.delivered, stats.rejected) == (19, 1)
    assert sink.stats()["by_key"] == {"good": 19}
    assert [failure.records[0]["metadata"] for failure in failures] == [{"n": 13}]
    assert failures[0].reason == "rejected"
    assert failures[0].status == 400


def test_an_exception_in_on_failure_is_logged_and_delivery_continues(
    config: Configure, sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(failure: Failure) -> None:
        raise RuntimeError("an error in the application")

    sink.set_faults({"kind": "status", "status": 418, "times": 1})
    with Client(config(on_failure=fail)) as client:
        client.emit_action("refused", "ann")
        client.flush(20)
        client.emit_action("fine", "ann")
        client.flush(20)
        assert client.stats().delivered == 1
    assert "an error in the application" in caplog.text


def test_on_failure_is_called_again_after_it_called_sys_exit(
    config: Configure, sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Failure] = []

    def exit_on_failure(failure: Failure) -> None:
        failures.append(failure)
        sys.exit(1)

    sink.set_faults({"kind": "status", "status": 418})
    with Client(config(on_failure=exit_on_failure)) as client:
        for _ in range(2):
            client.emit_action("refused", "ann")
            client.flush(20)
    assert len(failures) == 2
    assert "on_failure raised" in caplog.text


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"])
def test_unicode_line_separators_reach_on_failure_unchanged(
    config: Configure, sink: SinkProcess, end: str
) -> None:
    sink.set_faults({"kind": "status", "status": 418})
    failures: list[Failure] = []
    with Client(config(on_failure=failures.append)) as client:
        client.emit_action("refused", "ann", metadata={"text": f"one{end}two"})
        client.flush(20)
    (failure,) = failures
    assert [record["metadata"] for record in failure.records] == [{"text": f"one{end}two"}]


def _emit_refused(client: Client) -> None:
    client.emit_action("refused", "ann")
    client.flush(20)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_on_failure_is_called_in_the_creating_process_when_only_children_emit(
    config: Configure, sink: SinkProcess, method: str
) -> None:
    """As in the master of a server. The child starts the workers, and has no `on_failure`."""
    sink.set_faults({"kind": "status", "status": 418})
    failures: list[Failure] = []
    with Client(config(on_failure=failures.append)) as client:
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=_emit_refused, args=(client,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        client.flush(20)
    (failure,) = failures
    assert [record["key"] for record in failure.records] == ["refused"]


def test_an_outage_delays_events_but_loses_none(config: Configure, sink: SinkProcess) -> None:
    sink.set_faults({"kind": "status", "status": 503, "times": 10})
    with Client(config(flush_num_retries=20)) as client:
        for number in range(200):
            client.emit_action("tick", "ann", metadata={"_id": number})
        assert client.flush(30) == 0
        assert client.stats().delivered == 200
        assert client.stats().retries == 10
    assert set(sink.ids().values()) == {1}


def test_a_long_outage_causes_few_requests(config: Configure, sink: SinkProcess) -> None:
    """A worker process detects it by its first requests, and then sends one at a time."""
    sink.set_faults({"kind": "status", "status": 503})
    settings = {"flush_actions_batch_size": 1, "flush_num_retries": 1000}
    with Client(config(flush_backoff_ratio=1.0, **settings)) as client:
        for _ in range(300):
            client.emit_action("tick", "ann")
        time.sleep(3.0)  # without a circuit, each batch would have been sent twice by now
        assert 0 < client.stats().requests < 100
        sink.clear_faults()
        assert client.flush(30) == 0
        assert client.stats().delivered == 300


def test_drops_are_logged_even_if_the_client_is_never_closed(
    app: App, hanging: SinkProcess
) -> None:
    done = app(
        """
import logging, sys
from dataart_mp import Client, ClientConfig

logging.basicConfig(format="%(message)s")
client = Client(ClientConfig("k", base_url=sys.argv[1], flush_buffer_size=1, overflow="drop",
                             flush_actions_batch_size=1, exit_timeout=0))
while client.emit_action("tick", "ann"):
    pass
for _ in range(4):
    client.emit_action("tick", "ann")
""",
        hanging.url,
    )
    assert without_seconds(done.stderr.splitlines()) == [
        "1 record dropped: buffer full",
        "4 records dropped: buffer full",
    ]
