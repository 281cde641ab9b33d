"""What happens when the buffer is full, as configured; and what is told of what was given up."""

import logging
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from dataart_mp import BufferFullError, Client, ClientConfig, Failure, HTTPOptions
from dataart_mp.devsink.process import SinkProcess
from tests.support import wait_until

Configure = Callable[..., ClientConfig]
TINY: dict[str, Any] = {"flush_buffer_size": 3, "flush_actions_batch_size": 2}


def fill(client: Client) -> None:
    for _ in range(6):
        assert client.emit_action("first", "ann")


@pytest.fixture
def hanging(sink: SinkProcess) -> SinkProcess:
    sink.set_faults({"kind": "hang"})
    return sink


def test_block_waits_until_a_frame_is_free(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY, http=_patient())) as client:
        fill(client)
        started = time.monotonic()
        wait_until(lambda: hanging.stats()["in_flight"] == 3)
        hanging.clear_faults()
        assert client.emit_action("second", "ann")
        assert time.monotonic() > started
        assert client.flush(20) == 0
        assert client.stats().delivered == 7
        assert client.stats().balanced


def test_block_gives_up_after_block_timeout(config: Configure, hanging: SinkProcess) -> None:
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
        with pytest.raises(BufferFullError):
            client.emit_action("second", "ann")
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
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["1 record dropped: buffer full", "5 records dropped: buffer full"]


def test_what_is_given_up_on_is_counted_logged_and_reported(
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


def test_an_event_that_the_platform_refuses_does_not_take_others_along(
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


def test_what_on_failure_raises_is_logged_and_harms_nothing(
    config: Configure, sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    def raise_it(failure: Failure) -> None:
        raise RuntimeError("a bug of the application")

    sink.set_faults({"kind": "status", "status": 418, "times": 1})
    with Client(config(on_failure=raise_it)) as client:
        client.emit_action("refused", "ann")
        client.flush(20)
        client.emit_action("fine", "ann")
        client.flush(20)
        assert client.stats().delivered == 1
    assert "a bug of the application" in caplog.text


def test_an_on_failure_that_wants_to_exit_hears_of_what_comes_later(
    config: Configure, sink: SinkProcess, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Failure] = []

    def leave(failure: Failure) -> None:
        heard.append(failure)
        sys.exit(1)

    sink.set_faults({"kind": "status", "status": 418})
    with Client(config(on_failure=leave)) as client:
        for _ in range(2):
            client.emit_action("refused", "ann")
            client.flush(20)
    assert len(heard) == 2
    assert "on_failure raised" in caplog.text


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"])
def test_what_other_formats_take_for_the_end_of_a_line_comes_to_on_failure_as_it_was(
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
def test_a_maker_that_emits_nothing_hears_of_what_its_childrens_workers_give_up_on(
    config: Configure, sink: SinkProcess, method: str
) -> None:
    """A server's master, say. The child, who starts the workers, has no `on_failure` itself."""
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


def test_an_outage_costs_nothing_but_time(config: Configure, sink: SinkProcess) -> None:
    sink.set_faults({"kind": "status", "status": 503, "times": 10})
    with Client(config(flush_num_retries=20)) as client:
        for number in range(200):
            client.emit_action("tick", "ann", metadata={"_id": number})
        assert client.flush(30) == 0
        assert client.stats().delivered == 200
        assert client.stats().retries == 10
    assert set(sink.ids().values()) == {1}


def test_a_long_outage_costs_few_requests(config: Configure, sink: SinkProcess) -> None:
    """Each worker process notices it by its first few; then one at a time asks for all."""
    sink.set_faults({"kind": "status", "status": 503})
    settings = {"flush_actions_batch_size": 1, "flush_num_retries": 1000}
    with Client(config(flush_backoff_ratio=1.0, **settings)) as client:
        for _ in range(300):
            client.emit_action("tick", "ann")
        time.sleep(3.0)  # without a circuit, each would have been sent twice by now
        assert 0 < client.stats().requests < 100
        sink.clear_faults()
        assert client.flush(30) == 0
        assert client.stats().delivered == 300


def _patient() -> Any:
    return HTTPOptions(read_timeout=60.0)


def test_drops_are_told_also_when_the_client_is_never_closed(
    app: Callable[..., subprocess.CompletedProcess[str]], hanging: SinkProcess
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
    assert done.stderr.splitlines() == [
        "1 record dropped: buffer full",
        "4 records dropped: buffer full",
    ]
