"""The platform receives what a client emits."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dataart_mp import Client, ClosedError, EventError, Stats
from dataart_mp.devsink.process import SinkProcess
from tests.client.tools import TINY, emit
from tests.support import WAIT_SECONDS, Configure, wait_until, waiting_frames

MOMENT = datetime(2021, 5, 4, 10, 11, 12, 123456, tzinfo=UTC)


def test_an_action_arrives_as_it_was_emitted(client: Client, sink: SinkProcess) -> None:
    assert client.emit_action("bought", "ann", True, MOMENT, {"price": 9.5, "tags": ["a", "ü"]})
    assert client.flush(10) == 0
    assert sink.events() == [
        {
            "key": "bought",
            "user_key": "ann",
            "is_anonymous_user": True,
            "timestamp": "2021-05-04T10:11:12.123456+00:00",
            "metadata": {"price": 9.5, "tags": ["a", "ü"]},
        }
    ]


def test_an_identity_arrives_at_once_in_a_separate_request(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(flush_interval=60)) as client:
        assert client.identify("ann", {"plan": "free"})
        assert client.identify("bob")
        sink.wait_for(lambda stats: stats["identities"] == 2)
    assert sorted(sink.identities(), key=lambda identity: identity["user_key"]) == [
        {"user_key": "ann", "metadata": {"plan": "free"}},
        {"user_key": "bob", "metadata": None},
    ]
    assert sink.stats()["by_path"] == {"/users/identify": 2}


def test_a_request_carries_a_full_batch_of_actions(config: Configure, sink: SinkProcess) -> None:
    with Client(config(flush_actions_batch_size=7, flush_max_batch_size=7)) as client:
        for number in range(70):
            client.emit_action("tick", "ann", metadata={"number": number})
    assert [request["count"] for request in sink.requests()] == [7] * 10


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can give memory back")
def test_the_memory_of_a_burst_is_given_back(config: Configure, sink: SinkProcess) -> None:
    def blocks() -> int:
        return os.fstat(client._queue.arena.fd).st_blocks

    large = {"text": "x" * 60_000}
    with Client(config(flush_actions_batch_size=1, max_request_bytes=65_536)) as client:
        empty = blocks()
        sink.set_faults({"kind": "status", "status": 503})
        for _ in range(100):
            client.emit_action("tick", "ann", metadata=large)
        full = blocks()
        assert full > empty + 100 * 60_000 / 512
        sink.clear_faults()
        assert client.flush(30) == 0
        wait_until(lambda: blocks() < empty + (full - empty) / 4, 10)
    assert len(sink.events()) == 100


def test_a_path_in_the_base_url_is_kept(config: Configure, sink: SinkProcess) -> None:
    with Client(config(base_url=f"{sink.url}/behind/a/proxy/")) as client:
        client.emit_action("tick", "ann")
        client.identify("ann")
    assert sorted(sink.stats()["by_path"]) == [
        "/behind/a/proxy/events/send-actions",
        "/behind/a/proxy/users/identify",
    ]


def test_a_trickle_is_sent_when_its_oldest_event_is_flush_interval_old(
    config: Configure, sink: SinkProcess
) -> None:
    """A timer that every event restarts would never fire here."""
    with Client(config(flush_interval=0.3)) as client:
        deadline = time.monotonic() + WAIT_SECONDS
        while not sink.stats()["actions"]:
            assert time.monotonic() < deadline
            client.emit_action("drip", "ann")
            time.sleep(0.05)


def test_every_event_of_many_threads_arrives_once(config: Configure, sink: SinkProcess) -> None:
    with Client(config(flush_num_processes=2)) as client:
        threads = [threading.Thread(target=emit, args=(client, n * 1000, 500)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20) == 0
        assert client.stats().delivered == 4000
    assert set(sink.ids().values()) == {1}
    assert len(sink.ids()) == 4000


def test_several_clients_in_one_process_do_not_affect_each_other(config: Configure) -> None:
    with SinkProcess() as other_sink, Client(config()) as one:
        with Client(config(base_url=other_sink.url, api_key="other")) as other:
            one.emit_action("one", "ann")
            other.emit_action("other", "bob")
        one.emit_action("one", "ann")
        assert one.flush(10) == 0
        assert other_sink.stats()["by_key"] == {"other": 1}
        assert one.stats().delivered == 2


def test_an_invalid_event_is_refused_and_the_others_arrive(
    client: Client, sink: SinkProcess
) -> None:
    client.emit_action("good", "ann")
    with pytest.raises(EventError, match=r"metadata\.items\[1\]\.raw: bytes"):
        client.emit_action("bad", "ann", metadata={"items": [{}, {"raw": b"\xff"}]})
    with pytest.raises(EventError, match="user_key"):
        client.identify("")
    client.emit_action("good", "ann")
    assert client.flush(10) == 0
    assert sink.stats()["by_key"] == {"good": 2}
    assert client.stats().accepted == 2


def test_an_event_larger_than_a_request_is_refused_with_both_sizes(
    config: Configure, sink: SinkProcess
) -> None:
    with Client(config(max_request_bytes=2048)) as client:
        client.emit_action("small", "ann")
        with pytest.raises(EventError, match=r"3,\d\d\d bytes .* holds 1,\d\d\d"):
            client.emit_action("large", "ann", metadata={"text": "x" * 3000})
        with pytest.raises(EventError, match="max_request_bytes"):
            client.identify("ann", {"text": "x" * 3000})
        client.emit_action("small", "ann")
    assert sink.stats()["by_key"] == {"small": 2}


def test_no_request_is_larger_than_max_request_bytes(config: Configure, sink: SinkProcess) -> None:
    with Client(config(max_request_bytes=1024)) as client:
        for number in range(200):
            client.emit_action("tick", "ann", metadata={"text": "x" * (number % 50)})
    assert sink.stats()["actions"] == 200
    assert max(request["bytes"] for request in sink.requests()) <= 1024


def test_flush_returns_the_number_of_pending_records_on_timeout(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    with Client(config(flush_num_retries=1000)) as client:
        for _ in range(30):
            client.emit_action("tick", "ann")
        assert client.flush(0.3) == 30
        assert client.stats().pending == 30
        sink.clear_faults()
        assert client.flush(20) == 0
        assert client.stats().pending == 0


@pytest.mark.parametrize("end", [Client.flush, Client.close])
def test_flush_and_close_retry_failed_batches_at_once(
    config: Configure, sink: SinkProcess, end: Callable[[Client, float], int]
) -> None:
    sink.set_faults({"kind": "status", "status": 503, "times": 1})
    with Client(config(flush_backoff_ratio=3600.0, flush_actions_batch_size=1)) as client:
        client.emit_action("tick", "ann")
        wait_until(lambda: waiting_frames(client))
        assert end(client, 20) == 0
    assert len(sink.events()) == 1


def test_close_is_idempotent_and_returns_the_same_number(config: Configure) -> None:
    client = Client(config())
    client.emit_action("tick", "ann")
    assert client.close(10) == 0
    assert client.close() == 0
    stats = client.stats()
    assert stats == Stats(
        accepted=1, delivered=1, requests=1, bytes=stats.bytes, concurrency=stats.concurrency
    )


def test_concurrent_close_calls_all_return_the_same_number(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.2})
    for _ in range(3):
        client = Client(config())
        client.emit_action("tick", "ann")
        with ThreadPoolExecutor(4) as pool:
            closings = [pool.submit(client.close, 20) for _ in range(4)]
        assert [closing.result() for closing in closings] == [0] * 4


def test_a_signal_handler_may_close_while_the_client_is_being_closed(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.3})
    client = Client(config())
    client.emit_action("tick", "ann")
    closed: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: closed.append(client.close(20)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        assert client.close(20) == 0
    finally:
        signal.signal(signal.SIGALRM, before)
    assert closed == [0]
    assert len(sink.events()) == 1


def test_a_closed_client_raises_closed_error(config: Configure) -> None:
    client = Client(config())
    client.close()
    calls = (lambda: client.emit_action("a", "b"), lambda: client.identify("b"), client.flush)
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_workers_deliver_what_is_pending_when_close_times_out(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "hang"})
    client = Client(config())
    for _ in range(50):
        client.emit_action("tick", "ann")
    assert client.close(timeout=0) == 50
    assert client.stats().pending == 50
    sink.clear_faults()
    sink.wait_for(lambda stats: stats["actions"] == 50)


def test_repr_shows_the_state_and_no_secret(client: Client) -> None:
    client.emit_action("tick", "ann")
    client.flush(10)
    assert repr(client) == "<Client open | accepted 1 | delivered 1 | pending 0>"
    assert "test-key" not in repr(client) + repr(client.config) + repr(vars(client))


def test_repr_shows_failed_and_rejected_records(config: Configure, sink: SinkProcess) -> None:
    with Client(config(flush_num_retries=0)) as client:
        sink.set_faults({"kind": "status", "status": 418})
        client.emit_action("rejected", "ann")
        assert client.flush(20) == 0
        sink.set_faults({"kind": "status", "status": 503})
        for _ in range(3):
            client.emit_action("failed", "ann")
        assert client.flush(20) == 0
        counts = "accepted 4 | delivered 0 | pending 0 | failed 3 | rejected 1"
        assert repr(client) == f"<Client open | {counts}>"
    assert repr(client) == f"<Client closed | {counts}>"


def test_repr_shows_dropped_records(config: Configure, hanging: SinkProcess) -> None:
    with Client(config(**TINY, overflow="drop")) as client:
        emit(client, 0, 13)
        assert repr(client) == "<Client open | accepted 13 | delivered 0 | pending 6 | dropped 7>"
        hanging.clear_faults()


def test_repr_shows_parked_records(config: Configure, sink: SinkProcess, spool: Path) -> None:
    sink.set_faults({"kind": "status", "status": 503})
    with Client(config(spool_dir=spool, flush_num_retries=0, **TINY)) as client:
        emit(client, 0, 40)
        wait_until(lambda: client.stats().parked > 0)
        assert re.search(r" \| parked [1-9]\d*>$", repr(client))
        sink.clear_faults()
        wait_until(lambda: client.stats().delivered == 40)


def test_the_balance_holds_at_every_moment(config: Configure) -> None:
    stop = threading.Event()

    def emit_until_stopped() -> None:
        while not stop.is_set():
            client.emit_action("tick", "ann")

    with Client(config(flush_num_processes=2)) as client:
        threads = [threading.Thread(target=emit_until_stopped) for _ in range(2)]
        for thread in threads:
            thread.start()
        snapshots = [client.stats() for _ in range(200)]
        stop.set()
        for thread in threads:
            thread.join()
        assert client.flush(20) == 0
        assert all(stats.balanced for stats in [*snapshots, client.stats()])
        wait_until(lambda: client.stats().pending == 0)


def test_a_backlog_goes_out_in_larger_requests(config: Configure, sink: SinkProcess) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.2})
    settings = {"flush_num_workers": 1, "flush_num_processes": 1, "flush_max_batch_size": 500}
    with Client(config(**settings)) as client:
        emit(client, 0, 4_000)
        assert client.flush(20) == 0
        stats = client.stats()
    assert (stats.delivered, stats.balanced) == (4_000, True)
    assert stats.requests < 50, "for 200 frames"
    assert max(request["count"] for request in sink.requests()) == 500
    assert sink.ids() == dict.fromkeys(range(4_000), 1)
