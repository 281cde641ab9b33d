"""What a client emits is what the platform gets."""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from dataart_mp import Client, ClientConfig, ClosedError, EventError, Stats
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.arena import WAITING
from tests.support import wait_until

Configure = Callable[..., ClientConfig]
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


def test_an_identity_arrives_at_once_in_a_request_of_its_own(
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
    with Client(config(flush_actions_batch_size=7)) as client:
        for number in range(70):
            client.emit_action("tick", "ann", metadata={"number": number})
    assert [request["count"] for request in sink.requests()] == [7] * 10


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
    """A timer that starts anew at each event would never fire here."""
    with Client(config(flush_interval=0.3)) as client:
        start = time.monotonic()
        while time.monotonic() < start + 1.5:
            client.emit_action("drip", "ann")
            time.sleep(0.05)
        assert sink.stats()["actions"] > 0


def test_every_event_of_many_threads_arrives_once(config: Configure, sink: SinkProcess) -> None:
    def emit(thread: int) -> None:
        for number in range(500):
            client.emit_action("tick", "ann", metadata={"_id": thread * 1000 + number})

    with Client(config()) as client:
        threads = [threading.Thread(target=emit, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20) == 0
        assert client.stats().delivered == 4000
    assert set(sink.ids().values()) == {1}
    assert len(sink.ids()) == 4000


def test_several_clients_in_one_process_do_not_disturb_each_other(config: Configure) -> None:
    with SinkProcess() as other_sink, Client(config()) as one:
        with Client(config(base_url=other_sink.url, api_key="other")) as other:
            one.emit_action("one", "ann")
            other.emit_action("other", "bob")
        one.emit_action("one", "ann")
        assert one.flush(10) == 0
        assert other_sink.stats()["by_key"] == {"other": 1}
        assert one.stats().delivered == 2


def test_a_bad_event_is_refused_and_harms_no_other(client: Client, sink: SinkProcess) -> None:
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


def test_flush_tells_the_truth_when_it_runs_out_of_time(
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
def test_flush_and_close_end_the_waiting_of_what_failed(
    config: Configure, sink: SinkProcess, end: Callable[[Client, float], int]
) -> None:
    sink.set_faults({"kind": "status", "status": 503, "times": 1})
    with Client(config(flush_backoff_ratio=3600.0, flush_actions_batch_size=1)) as client:
        client.emit_action("tick", "ann")
        wait_until(lambda: client._queue.arena.all_in(WAITING))
        assert end(client, 20) == 0
    assert len(sink.events()) == 1


def test_close_is_idempotent_and_returns_the_same_number(config: Configure) -> None:
    client = Client(config())
    client.emit_action("tick", "ann")
    assert client.close(10) == 0
    assert client.close() == 0
    assert client.stats() == Stats(accepted=1, delivered=1, requests=1, bytes=client.stats().bytes)


def test_threads_that_close_at_once_all_get_the_number(
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


def test_a_closed_client_says_so(config: Configure) -> None:
    client = Client(config())
    client.close()
    for emit in (lambda: client.emit_action("a", "b"), lambda: client.identify("b"), client.flush):
        with pytest.raises(ClosedError):
            emit()


def test_close_leaves_what_it_could_not_wait_for_to_the_workers(
    config: Configure, sink: SinkProcess
) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.5})
    client = Client(config())
    for _ in range(50):
        client.emit_action("tick", "ann")
    assert client.close(timeout=0) == 50
    assert client.stats().pending == 50
    sink.wait_for(lambda stats: stats["actions"] == 50)


def test_repr_shows_the_state_and_no_secret(client: Client) -> None:
    client.emit_action("tick", "ann")
    client.flush(10)
    assert repr(client) == "<Client open | accepted 1 | delivered 1 | pending 0>"
    assert "test-key" not in repr(client) + repr(client.config) + repr(vars(client))


def test_the_balance_holds_at_every_moment(client: Client) -> None:
    stop = threading.Event()

    def emit() -> None:
        while not stop.is_set():
            client.emit_action("tick", "ann")

    threads = [threading.Thread(target=emit) for _ in range(2)]
    for thread in threads:
        thread.start()
    looks = [client.stats() for _ in range(200)]
    stop.set()
    for thread in threads:
        thread.join()
    assert client.flush(20) == 0
    assert all(stats.balanced for stats in [*looks, client.stats()])
    wait_until(lambda: client.stats().pending == 0)


def test_a_backlog_goes_out_in_larger_requests(config: Configure, sink: SinkProcess) -> None:
    sink.set_faults({"kind": "latency", "seconds": 0.2})
    settings = {"flush_num_workers": 1, "flush_num_processes": 1, "flush_max_batch_size": 500}
    with Client(config(**settings)) as client:
        for number in range(4_000):
            client.emit_action("tick", "ann", metadata={"_id": number})
        assert client.flush(20) == 0
        stats = client.stats()
    assert (stats.delivered, stats.balanced) == (4_000, True)
    assert stats.requests < 50, "where 200 frames were filled"
    assert max(request["count"] for request in sink.requests()) == 500
    assert sink.ids() == dict.fromkeys(range(4_000), 1)
