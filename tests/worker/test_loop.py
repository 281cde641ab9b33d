"""The loop drives many requests at once, and leaves to helpers what may wait."""

import contextlib
import os
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from dataart_mp import clock
from dataart_mp.delivery.backoff import Backoff
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer.encoder import encode_action
from dataart_mp.queue import RecordQueue
from dataart_mp.queue.arena import READY, SENDING, WAITING
from dataart_mp.transport.channel import Outcome
from dataart_mp.transport.ordinary_response import OrdinaryResponse
from dataart_mp.transport.sender import Sender
from dataart_mp.worker import loop
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.helpers import Helpers
from dataart_mp.worker.loop import Loop
from dataart_mp.worker.parking import NoParking
from dataart_mp.worker.shared_flow import FixedPace, Pace
from dataart_mp.worker.shipper import Shipper
from tests.queue.deaths import at_every_step
from tests.queue.tools import (
    KILLED,
    SharedCounts,
    assert_clean,
    drain,
    fork,
    number_of,
    put_seven,
    queue_of,
    reap,
    record,
)
from tests.support import wait_until
from tests.transport.posting import NAME, idle_pool, server_context
from tests.transport.servers import Peer, SenderTo, Serve, proxy_handler
from tests.worker.workbench import accounts

SECONDS = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Reporter:
    """Counts what is reported."""

    def __init__(self) -> None:
        self.reports: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self.reports.append(name)


class Looped:
    """A queue and a loop; the test is its thread.

    Args:
        sender: Has the connections.
        most: How many requests may be in flight.
        frames: How many frames there are.
        join: How many records are joined.
        pace: Says how many requests may be in flight.
    """

    def __init__(
        self,
        sender: Sender,
        most: int = 4,
        frames: int = 80,
        join: int | None = None,
        pace: Pace | None = None,
    ) -> None:
        pace = pace or FixedPace()
        self.gate = Gate(pace, most, lambda: False)
        self.queue = RecordQueue(frames, 1 << 20, records=10_000)
        reporter: Any = Reporter()
        self.released: list[float | None] = []
        self.shipper = Shipper(
            self.queue,
            sender,
            Backoff("linear", 5.0, 3),
            reporter,
            reporter,
            NoParking(self.queue),
            pace,
            join,
        )
        self.helpers = Helpers(most, contextlib.nullcontext, reporter.few_threads)
        self.reports: list[str] = reporter.reports
        self.loop = Loop(
            queue=self.queue,
            shipper=self.shipper,
            sender=sender,
            helpers=self.helpers,
            gate=self.gate,
            on_release=self.released.append,
        )

    def put(self, *numbers: int, width: int = 0) -> None:
        """Put each record into a separate frame."""
        for number in numbers:
            self.queue.producer.append(record(number, width))
            self.queue.producer.seal()

    def run_until(self, reached: Callable[[], object]) -> None:
        def turned() -> object:
            self.loop.turn(0.02)
            return reached()

        wait_until(turned, SECONDS)

    def run(self) -> None:
        """Send all that is there, until nothing is in flight."""
        self.run_until(lambda: self.queue.arena.find(READY) < 0 and not self.loop.in_flight)

    def warm_up(self, connections: int = 1) -> None:
        """Make so many connections, which the loop takes for what is sent next."""
        self.put(*range(connections))
        self.run()

    def states(self, state: int) -> list[int]:
        return self.queue.arena.all_in(state)

    def close(self) -> None:
        assert self.queue.stats().balanced
        self.loop.close()
        self.queue.close()


MakeLooped = Callable[..., Looped]


@pytest.fixture
def looped(sender_to: SenderTo) -> Iterator[MakeLooped]:
    """Makes loops whose requests go to a URL."""
    made: list[Looped] = []

    def make(url: str, *, http: dict[str, Any] = {}, **options: Any) -> Looped:  # noqa: B006
        sender = sender_to(url, connections=options.get("most", 4), **http)
        made.append(Looped(sender, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def pending_is(work: Looped, count: int) -> bool:
    return work.queue.stats().pending == count


def requests_through_urllib3(work: Looped) -> int:
    return int(idle_pool(work.shipper._sender).num_requests)


# What it does itself


def test_one_thread_sends_over_the_connections_that_there_are(
    looped: MakeLooped, serve: Serve
) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    work = looped(server.url, most=1)
    work.warm_up()
    work.put(*range(30))
    work.run()
    assert (server.connections, len(server.requests), requests_through_urllib3(work)) == (1, 31, 1)
    assert accounts(work.queue.stats()) == (31, 31, 0, 0)
    assert work.queue.stats().requests == 31


def test_as_many_requests_are_in_flight_as_may_be(looped: MakeLooped, serve: Serve) -> None:
    """The server responds to none before all have arrived, on new connections and on kept ones."""
    barrier = threading.Barrier(64)

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            barrier.wait(SECONDS)
            peer.respond()

    server = serve(handle)
    work = looped(server.url, most=64, frames=200)
    for _ in range(2):
        work.put(*range(64))
        work.run()
    assert accounts(work.queue.stats()) == (128, 128, 0, 0)
    assert {*work.released} == {None}


def test_no_more_requests_are_in_flight_than_may_be(looped: MakeLooped, serve: Serve) -> None:
    lock = threading.Lock()
    now, most = 0, 0

    def handle(peer: Peer) -> None:
        nonlocal now, most
        while peer.request() is not None:
            with lock:
                now += 1
                most = max(most, now)
            threading.Event().wait(0.002)
            with lock:
                now -= 1
            peer.respond()

    work = looped(serve(handle).url, most=3)
    work.put(*range(60))
    work.run()
    assert accounts(work.queue.stats()) == (60, 60, 0, 0)
    assert most == 3
    work.gate.most = 1
    most = 0
    work.put(*range(20))
    work.run()
    assert most == 1


def test_a_frame_that_is_announced_while_all_connections_are_busy_is_sent_next(
    looped: MakeLooped, serve: Serve
) -> None:
    go = threading.Event()

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            assert go.wait(SECONDS)
            peer.respond()

    server = serve(handle)
    go.set()
    work = looped(server.url, most=1)
    work.warm_up()
    go.clear()
    work.put(1)
    work.run_until(lambda: work.loop.in_flight == 1)
    work.put(2)
    for _ in range(5):
        work.loop.turn(0.01)
    assert len(work.states(READY)) == 1
    go.set()
    work.run()
    assert accounts(work.queue.stats()) == (3, 3, 0, 0)
    assert server.connections == 1


def notified_frames(work: Looped, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the number of frames of each notification of room is added."""
    notified: list[int] = []
    monkeypatch.setattr(work.queue.worker, "notify_of_room", notified.append)
    return notified


def test_notifications_of_room_are_few_while_there_is_more_to_send(
    looped: MakeLooped, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_ROOM_SECONDS", 60.0)
    work = looped(serve(lambda peer: peer.respond_to_all()).url, most=1, frames=200)
    work.warm_up()
    notified = notified_frames(work, monkeypatch)
    work.put(*range(150))
    work.run()
    assert sum(notified) == 150
    assert len(notified) <= 13, "whenever a 16th of the buffer is free, and at the end"
    assert max(notified) <= 14


def test_room_in_a_small_buffer_is_announced_at_once(
    looped: MakeLooped, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_ROOM_SECONDS", 60.0)
    work = looped(serve(lambda peer: peer.respond_to_all()).url, most=1, frames=16)
    work.warm_up()
    notified = notified_frames(work, monkeypatch)
    work.put(*range(12))
    work.run()
    assert notified == [1] * 12


def test_room_is_announced_soon_although_no_other_response_comes(
    looped: MakeLooped, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def handle(peer: Peer) -> None:
        for _ in range(2):
            peer.request()
            peer.respond()
        peer.request()
        over.wait(SECONDS)
        peer.respond()
        peer.respond_to_all()

    monkeypatch.setattr(loop, "_ROOM_SECONDS", 0.05)
    work = looped(serve(handle).url, most=1, frames=200)
    work.warm_up()
    notified = notified_frames(work, monkeypatch)
    work.loop._notify_at = clock.monotonic() + 0.05
    work.put(1, 2, 3)
    work.run_until(lambda: pending_is(work, 2))
    assert notified == [], "there is more to send"
    started = clock.monotonic()
    while not notified:
        work.loop.turn()
    assert clock.monotonic() - started < 1
    assert notified == [1]
    over.set()
    work.run()
    assert sum(notified) == 3


class GivenPace(FixedPace):
    """A pace that the test sets.

    Attributes:
        share: How many requests may be in flight.
        delays: What is returned when a request asks for its turn, one after the other; then 0.
    """

    def __init__(self) -> None:
        self.share = 1 << 32
        self.delays: list[float] = []

    @property
    def is_limited(self) -> bool:  # type: ignore[override]
        return bool(self.delays)

    def take_turn(self, now: float) -> float:
        return self.delays.pop(0) if self.delays else 0.0


def test_the_pace_says_how_many_requests_are_in_flight(looped: MakeLooped, serve: Serve) -> None:
    go = threading.Semaphore(0)

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            assert go.acquire(timeout=SECONDS)
            peer.respond()

    pace = GivenPace()
    work = looped(serve(handle).url, most=4, pace=pace)
    work.put(*range(30))
    pace.share = 2
    work.run_until(lambda: work.loop.in_flight == 2)
    pace.share = 1
    for left in (29, 28):
        go.release()
        work.run_until(partial(pending_is, work, left))
        for _ in range(3):
            work.loop.turn(0.01)
        assert work.loop.in_flight == 1
    pace.share = 3
    go.release()
    work.run_until(lambda: work.loop.in_flight == 3)
    pace.share = 9
    go.release()
    work.run_until(lambda: work.loop.in_flight == 4)
    go.release(30)
    work.run()
    assert accounts(work.queue.stats()) == (30, 30, 0, 0)


def test_each_request_waits_for_its_turn_and_the_loop_does_nothing_meanwhile(
    looped: MakeLooped, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            times.append(clock.monotonic())
            peer.respond()

    pace = GivenPace()
    work = looped(serve(handle).url, most=4, pace=pace)
    work.warm_up()
    pace.delays = [0.0, 0.08, 0.0, 0.08, 0.0]
    waits = 0
    wait = work.loop._poller.wait

    def count(seconds: float | None) -> list[tuple[int, int]]:
        nonlocal waits
        waits += 1
        return wait(seconds)

    monkeypatch.setattr(work.loop._poller, "wait", count)
    work.put(1, 2, 3)
    work.run_until(lambda: work.queue.stats().delivered == 4)
    first, second, third = times[1:]
    assert second - first >= 0.07
    assert third - second >= 0.07
    assert waits < 30


def test_it_waits_without_a_limit_when_there_is_nothing_to_do(
    looped: MakeLooped, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = looped(serve(lambda peer: peer.respond_to_all()).url)
    work.warm_up()
    waited: list[float | None] = []

    def wait(seconds: float | None) -> list[int]:
        waited.append(seconds)
        return []

    monkeypatch.setattr(work.loop._poller, "wait", wait)
    work.loop.turn()
    assert waited == [None]


def test_a_request_larger_than_the_buffers_of_the_system_is_written_in_parts(
    looped: MakeLooped, serve: Serve
) -> None:
    lengths: list[int] = []

    def handle(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            lengths.append(len(request.body))
            peer.respond()

    work = looped(serve(handle).url, most=1)
    work.warm_up()
    work.put(1, width=900_000)
    work.put(2)
    work.run()
    assert len(lengths) == 3
    assert max(lengths) > 900_000
    assert accounts(work.queue.stats()) == (3, 3, 0, 0)


@pytest.mark.parametrize("cut", [3, 20, len(OK) - 2, len(OK) - 1])
def test_a_response_that_comes_in_pieces_counts(looped: MakeLooped, serve: Serve, cut: int) -> None:
    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(OK[:cut])
            threading.Event().wait(0.03)
            peer.send(OK[cut:])

    server = serve(handle)
    work = looped(server.url, most=1)
    work.put(*range(3))
    work.run()
    assert accounts(work.queue.stats()) == (3, 3, 0, 0)
    assert server.connections == 1


def test_frames_are_joined(looped: MakeLooped, serve: Serve) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    work = looped(server.url, most=1, join=5)
    work.warm_up()
    work.put(*range(12))
    work.run()
    assert accounts(work.queue.stats()) == (13, 13, 0, 0)
    assert len(server.requests) == 4


# What ends a connection


def test_a_connection_that_the_server_closes_while_it_is_idle_is_not_used(
    looped: MakeLooped, serve: Serve
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.respond()

    server = serve(handle)
    work = looped(server.url, most=1)
    for number in range(3):
        work.put(number)
        work.run()
        work.run_until(lambda: not work.loop._idle)
    assert accounts(work.queue.stats()) == (3, 3, 0, 0)
    assert (server.connections, len(server.requests)) == (3, 3)


def test_a_request_that_meets_a_closing_connection_is_sent_once_more(
    looped: MakeLooped, serve: Serve
) -> None:
    def handle(peer: Peer) -> None:
        peer.request()
        peer.respond()
        if peer.number > 1:
            peer.respond_to_all()
        peer.request()

    server = serve(handle)
    work = looped(server.url, most=1)
    work.warm_up()
    work.put(1)
    work.run()
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert keys[1] == keys[2]
    assert accounts(work.queue.stats()) == (2, 2, 0, 0)
    assert (work.queue.stats().requests, work.queue.stats().retries) == (2, 0)


def test_a_response_whose_body_breaks_off_counts_by_its_status(
    looped: MakeLooped, serve: Serve
) -> None:
    def handle(peer: Peer) -> None:
        if peer.number == 1:
            peer.request()
            peer.respond()
            peer.request()
            peer.send(OK[:-1])
            return
        peer.respond_to_all()

    server = serve(handle)
    work = looped(server.url, most=1)
    for number in range(3):
        work.put(number)
        work.run()
    assert accounts(work.queue.stats()) == (3, 3, 0, 0)
    assert (server.connections, len(server.requests)) == (2, 3)


# What a helper continues


def test_an_unusual_response_is_read_by_a_helper_from_its_first_byte(
    looped: MakeLooped, serve: Serve
) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(chunked)

    server = serve(handle)
    work = looped(server.url, most=2)
    for number in range(5):
        work.put(number)
        work.run()
    assert accounts(work.queue.stats()) == (5, 5, 0, 0)
    assert (server.connections, requests_through_urllib3(work)) == (1, 1)


def test_a_slow_unusual_response_does_not_hold_up_the_others(
    looped: MakeLooped, serve: Serve
) -> None:
    go = threading.Event()

    def handle(peer: Peer) -> None:
        peer.request()
        peer.respond()
        while (request := peer.request()) is not None:
            if b'"n":99' in request.body:
                peer.send(b"HTTP/1.1 200 OK\r\nX: ")
                assert go.wait(SECONDS)
                peer.send(b"y\r\nContent-Length: 0\r\n\r\n")
            else:
                peer.respond()

    work = looped(serve(handle).url, most=2)
    work.warm_up(2)
    work.put(99)
    work.run_until(lambda: work.loop.in_flight == 1)
    work.put(*range(20))
    work.run_until(lambda: work.queue.stats().pending == 1)
    go.set()
    work.run()
    assert accounts(work.queue.stats()) == (23, 23, 0, 0)


def test_a_rejected_batch_and_a_failed_one_are_counted(looped: MakeLooped, serve: Serve) -> None:
    def handle(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            status = 402 if b'"n":1}' in request.body else 503 if b'"n":2}' in request.body else 200
            peer.respond(status, b"no")

    work = looped(serve(handle).url, most=1)
    work.warm_up()
    work.put(1, 2, 3)
    work.run()
    assert work.queue.stats().rejected == 1
    assert work.queue.stats().delivered == 2
    assert len(work.states(WAITING)) == 1
    assert sorted(work.reports) == ["add", "recovered", "retrying"]
    assert [seconds for seconds in work.released if seconds is not None] == [5.0]


def test_the_batches_of_a_frame_that_is_split_are_all_sent(
    looped: MakeLooped, platform: SinkProcess
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 500})
    work = looped(platform.url, most=1)
    for _ in range(2):
        for _ in range(40):
            work.queue.producer.append(encode_action("tick", "ann", False, None, None))
        work.queue.producer.seal()
        work.run()
    assert accounts(work.queue.stats()) == (80, 80, 0, 0)
    assert platform.stats()["by_status"]["413"]


@pytest.mark.parametrize("late", ["write", "read"])
def test_a_request_whose_time_is_over_has_failed(
    looped: MakeLooped, serve: Serve, late: str
) -> None:
    over = threading.Event()

    def handle(peer: Peer) -> None:
        peer.request()
        peer.respond()
        if late == "read":
            peer.request()
        over.wait(SECONDS)

    timeouts = {"connect_timeout": 0.2, "read_timeout": 0.2}
    try:
        work = looped(serve(handle).url, most=1, http=timeouts)
        work.warm_up()
        work.put(1, width=1_000_000 if late == "write" else 0)
        work.run()
        assert len(work.states(WAITING)) == 1
        assert (work.queue.stats().delivered, work.queue.stats().requests) == (1, 2)
    finally:
        over.set()


def test_a_response_that_comes_before_all_is_written_counts(
    looped: MakeLooped, serve: Serve
) -> None:
    over = threading.Event()

    def handle(peer: Peer) -> None:
        peer.request()
        peer.respond()
        peer.head()
        peer.respond(402, b"too expensive")
        over.wait(SECONDS)

    try:
        work = looped(serve(handle).url, most=1, http={"connect_timeout": 0.3})
        work.warm_up()
        work.put(1, width=1_000_000)
        work.run()
        assert accounts(work.queue.stats()) == (2, 1, 1, 0)
    finally:
        over.set()


def test_deadlines_of_many_requests_are_kept(looped: MakeLooped, serve: Serve) -> None:
    """Some are responded to late, and some never."""
    over = threading.Event()

    def handle(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            if b'"n":9' in request.body:
                over.wait(SECONDS)
            peer.respond()

    try:
        work = looped(serve(handle).url, most=16, http={"read_timeout": 0.5})
        work.warm_up(16)
        work.put(*range(60), *range(90, 98))
        work.run()
        assert (work.queue.stats().delivered, len(work.states(WAITING))) == (74, 10)
    finally:
        over.set()


# How the platform is reached


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    return server_context(authority.issue_cert("127.0.0.1", NAME))


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.mark.parametrize("route", ["direct", "tunnel", "tunnel through TLS"])
def test_tls_is_driven_unless_it_is_inside_tls(
    looped: MakeLooped, serve: Serve, context: ssl.SSLContext, ca_file: Path, route: str
) -> None:
    server = serve(lambda peer: peer.respond_to_all(), tls=context)
    http: dict[str, Any] = {"ca_file": ca_file}
    url = server.url
    if route != "direct":
        url = f"https://{NAME}"
        tls = {"tls": context} if "TLS" in route else {}
        http["proxy"] = serve(proxy_handler({f"{NAME}:443": server.port}), **tls).url
    work = looped(url, most=2, http=http)
    work.warm_up(2)
    work.put(*range(20))
    work.put(21, width=300_000)
    work.run()
    assert accounts(work.queue.stats()) == (23, 23, 0, 0)
    assert server.connections <= 2
    assert len(server.requests) == 23
    assert bool(work.loop._idle) == (route != "tunnel through TLS")


def test_what_a_proxy_forwards_is_sent_by_helpers(looped: MakeLooped, serve: Serve) -> None:
    server = serve(lambda peer: peer.respond_to_all())
    proxy = serve(proxy_handler({NAME: server.port}))
    work = looped(f"http://{NAME}", most=2, http={"proxy": proxy.url})
    work.put(*range(10))
    work.run()
    assert accounts(work.queue.stats()) == (10, 10, 0, 0)
    assert not work.loop._idle


# Death


class FakeChannel:
    """A connection to a server in the same process, which delivers everything."""

    is_reusable = True
    is_watched_to_write = False
    wants_to_write = False
    deadline = float("inf")

    def __init__(self, sent: SharedCounts) -> None:
        self._sent = sent
        self._socket, self._server = socket.socketpair()
        self.fd = self._socket.fileno()

    def send(self, request: bytes, now: float) -> Outcome | None:
        for line in request.splitlines():
            self._sent.add(number_of(line + b"\n"))
        self._server.send(b"x")
        return None

    def proceed(self, now: float) -> Outcome:
        self._socket.recv(1)
        return OrdinaryResponse(200, b"", {})


class FakeSender:
    """Makes channels to a server in the same process, at most so many."""

    def __init__(self, channels: int, sent: SharedCounts) -> None:
        self._channels = [FakeChannel(sent) for _ in range(channels)]

    def take_channel(self) -> FakeChannel | None:
        return self._channels.pop() if self._channels else None

    def request(self, path: str, body: bytes, key: str) -> bytes:
        _, _, actions = body.partition(b'"actions":[')
        return (actions[:-2] if actions else body).replace(b"},{", b"}\n{")


def loop_of(queue: RecordQueue, sent: SharedCounts, most: int, join: int | None) -> Loop:
    nothing: Any = Reporter()
    sender: Any = FakeSender(most, sent)
    backoff = Backoff("linear", 5.0, 3)
    return Loop(
        queue=queue,
        shipper=Shipper(
            queue, sender, backoff, nothing, nothing, NoParking(queue), FixedPace(), join
        ),
        sender=sender,
        helpers=cast("Any", None),  # nothing here may wait
        gate=Gate(FixedPace(), most, lambda: False),
        on_release=lambda seconds: None,
    )


@pytest.mark.parametrize(("most", "join"), [(1, None), (3, None), (2, 100)])
def test_every_record_is_counted_once_if_the_loop_dies_at_any_step(
    most: int, join: int | None
) -> None:
    sent = SharedCounts()

    def work(queue: RecordQueue) -> None:
        loop = loop_of(queue, sent, most, join)
        while not queue.arena.all_free():
            loop.turn(0.02)

    def prepare(queue: RecordQueue) -> None:
        put_seven(queue)
        queue.producer.seal()

    for queue in at_every_step(work, prepare, frames=4, capacity=128, records=2):
        middle = queue.stats()
        assert middle.accepted == 7
        assert middle.balanced
        left = drain(queue)
        end = queue.stats()
        assert (end.accepted, end.delivered, end.pending) == (7, 7, 0)
        assert sent.numbers() | set(left) == set(range(7)), "no record is lost"
        assert len(left) == len(set(left))
        assert_clean(queue)
        sent.clear()


def test_the_frames_of_a_killed_loop_are_all_sent_again(sender_to: SenderTo, serve: Serve) -> None:
    arrived = threading.Semaphore(0)
    over = threading.Event()

    def handle(peer: Peer) -> None:
        while peer.request() is not None:
            arrived.release()
            over.wait(SECONDS)

    server = serve(handle)
    with queue_of(40, 128) as queue:

        def work() -> None:
            sender = sender_to(server.url, connections=32)
            nothing: Any = Reporter()
            backoff = Backoff("linear", 5.0, 3)
            shipper = Shipper(
                queue, sender, backoff, nothing, nothing, NoParking(queue), FixedPace()
            )
            helpers = Helpers(32, contextlib.nullcontext, nothing.few_threads)
            loop = Loop(
                queue, shipper, sender, helpers, Gate(FixedPace(), 32, lambda: False), print
            )
            while True:
                loop.turn()

        for number in range(32):
            queue.producer.append(record(number))
        try:
            pid = fork(work)
            for _ in range(32):
                assert arrived.acquire(timeout=SECONDS)
            assert len(queue.arena.all_in(SENDING)) == 32
            os.kill(pid, signal.SIGKILL)
            assert reap(pid) == KILLED
            assert sorted(drain(queue)) == [*range(32)]
            assert_clean(queue)
        finally:
            over.set()
