"""Every record of a frame ends in exactly one account, whatever the platform answers."""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.producer.encoder import encode_action, encode_identity
from dataart_mp.queue import Frame, RecordQueue, janitor
from dataart_mp.queue.arena import READY, SENDING, WAITING
from dataart_mp.queue.release import wake
from dataart_mp.spool.parking_lot import ParkingLot
from dataart_mp.stats import Stats
from dataart_mp.supervision.reports import Failed, Recovered, Report, Retrying, decode
from dataart_mp.transport.sender import Sender
from dataart_mp.worker.backoff import Backoff
from dataart_mp.worker.circuit import FAILURES_TO_OPEN, LONGEST_PAUSE
from dataart_mp.worker.parker import Parker
from dataart_mp.worker.reporter import Reporter
from dataart_mp.worker.shipper import Shipper
from tests.transport.servers import SenderTo, refused_port

RATIO = 5.0
MINUTE_NS = 60_000_000_000


class Bench:
    """A queue, and a worker's parts put together by hand: the test is the thread that sends."""

    def __init__(
        self,
        sender: Sender,
        *,
        frames: int = 2,
        retries: int = 3,
        deadline: float | None = None,
        join: int | None = None,
        spool: Path | None = None,
        room: int = 1 << 30,
    ) -> None:
        self.queue = RecordQueue(frames, 64 * 1024, records=10_000)
        self._report_end, self._report = os.pipe()
        os.set_blocking(self._report_end, False)
        self.reporter = Reporter(self.queue.arena, self._report, with_records=True)
        backoff = Backoff("linear", RATIO, retries, deadline=deadline)
        self.lot = None if spool is None else ParkingLot(spool, room)
        parker = None
        if self.lot is not None:
            parker = Parker(self.queue, self.lot, self.reporter, ratio=0.0)
        self.shipper = Shipper(self.queue, sender, backoff, self.reporter, parker=parker, join=join)

    def put(self, *keys: str) -> None:
        """Actions with these keys make a frame that is READY."""
        for number, key in enumerate(keys):
            self.queue.producer.append(encode_action(key, "ann", False, None, {"_id": number}))
        self.queue.producer.seal()

    def put_identity(self) -> None:
        self.queue.producer.append_alone(encode_identity("ann", {"plan": "free"}))

    def claim(self) -> Frame:
        frame = Frame.claim(self.queue.arena, self.queue.arena.find(READY))
        assert frame is not None
        return frame

    def ship(self) -> float | None:
        return self.shipper.ship(self.claim())

    def wake(self) -> None:
        """Let the time pass that the waiting frames have to wait."""
        for frame in self.queue.arena.all_in(WAITING):
            now = time.time_ns()
            self.queue.arena.account(frame).due = now
            assert wake(self.queue.arena, frame, now)

    def reports(self) -> list[Report]:
        try:
            text = os.read(self._report_end, 1 << 20)
        except BlockingIOError:
            return []
        return [decode(line)[0] for line in text.split(b"\n") if line]

    def failures(self) -> list[Failed]:
        return [report for report in self.reports() if isinstance(report, Failed)]

    def settled(self) -> Stats:
        """The balance; nothing is pending any more, and every frame is as good as new."""
        arena, stats = self.queue.arena, self.queue.stats()
        assert stats.balanced
        assert stats.pending == 0
        assert arena.all_free()
        for frame in range(arena.frames):
            assert not arena.content(frame, 0, arena.capacity + 1).strip(b"\0")
            assert arena.locks.owner(frame) is None
        return stats

    def close(self) -> None:
        if self.lot is not None:
            self.lot.close()
        self.queue.close()
        os.close(self._report_end)
        os.close(self._report)


@pytest.fixture
def bench(platform: SinkProcess, sender_to: SenderTo) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(url: str | None = None, **options: Any) -> Bench:
        benches.append(Bench(sender_to(url or platform.url), **options))
        return benches[-1]

    yield make
    for made in benches:
        assert made.queue.stats().balanced
        made.close()


def accounts(stats: Stats) -> tuple[int, int, int, int]:
    return stats.accepted, stats.delivered, stats.rejected, stats.failed


def numbers(sink: SinkProcess) -> list[int]:
    return [event["metadata"]["_id"] for event in sink.events()]


def keys_sent(sink: SinkProcess) -> list[str]:
    return [request["idempotency_key"] for request in sink.requests()]


# All goes well


def test_a_frame_is_one_request_and_settled(platform: SinkProcess, bench: Any) -> None:
    work = bench()
    work.put(*["tick"] * 20)
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (20, 20, 0, 0)
    (request,) = platform.requests()
    assert (stats.requests, stats.retries, stats.bytes) == (1, 0, request["bytes"])
    assert numbers(platform) == list(range(20))


def test_an_identity_is_one_request_and_settled(platform: SinkProcess, bench: Any) -> None:
    work = bench()
    work.put_identity()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 1, 0, 0)
    assert platform.identities() == [{"user_key": "ann", "metadata": {"plan": "free"}}]


def test_a_frame_that_is_used_again_gets_another_key(platform: SinkProcess, bench: Any) -> None:
    work = bench(frames=1)
    for _ in range(3):
        work.put("tick")
        work.ship()
    assert len(set(keys_sent(platform))) == 3
    assert accounts(work.settled()) == (3, 3, 0, 0)


# Splitting


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("place", [0, 21, 63])
def test_one_bad_record_is_found_in_logarithmic_time_and_the_others_arrive(
    platform: SinkProcess, bench: Any, status: int, place: int
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}, "status": status})
    work = bench()
    work.put(*["good"] * place, "bad", *["good"] * (63 - place))
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (64, 63, 1, 0)
    assert stats.requests == 1 + 2 * math.log2(64)
    assert numbers(platform) == [number for number in range(64) if number != place]
    (failure,) = work.failures()
    assert (failure.reason, failure.status, failure.count) == ("rejected", status, 1)
    assert json.loads(failure.records or "")["metadata"] == {"_id": place}
    assert failure.attempts == 1


def test_several_bad_records_are_found_and_each_reported(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    work = bench()
    bad = {0, 1, 17, 49, 50, 99}
    work.put(*("bad" if number in bad else "good" for number in range(100)))
    assert work.ship() is None
    assert accounts(work.settled()) == (100, 94, 6, 0)
    found = [json.loads(failure.records or "")["metadata"]["_id"] for failure in work.failures()]
    assert found == sorted(bad)
    assert platform.stats()["by_key"] == {"good": 94}


def test_a_frame_of_bad_records_only_ends_too(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "status", "status": 400})
    work = bench()
    work.put(*["bad"] * 33)
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (33, 0, 33, 0)
    assert stats.requests == 2 * 33 - 1


def test_a_body_that_is_too_large_is_sent_in_parts_that_are_not(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 2000})
    work = bench()
    work.put(*["tick"] * 100)
    assert work.ship() is None
    assert accounts(work.settled()) == (100, 100, 0, 0)
    assert numbers(platform) == list(range(100))
    assert not work.failures()


def test_a_frame_whose_worker_died_on_the_last_step_is_settled_without_a_request(
    platform: SinkProcess, bench: Any
) -> None:
    work = bench()
    work.put(*["tick"] * 5)
    frame = work.claim()
    frame.aim(frame.length, time.time_ns())
    frame.advance(frame.length)
    work.queue.arena.set_state(frame.number, READY)
    work.queue.arena.locks.release(frame.number)
    assert work.ship() is None
    assert accounts(work.settled()) == (5, 5, 0, 0)
    assert platform.requests() == []


def test_a_size_that_was_too_large_is_not_tried_again(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 2000})
    work = bench()
    for _ in range(3):
        work.put(*["tick"] * 100)
        assert work.ship() is None
    assert accounts(work.settled()) == (300, 300, 0, 0)
    assert sorted(numbers(platform)) == sorted(list(range(100)) * 3)
    refused = [request["status"] for request in platform.requests()].count(413)
    first, *later = (sum(1 for _ in group) for group in _by_frame(platform))
    assert refused == first - later[0], "all of them for the first frame"
    assert later == [later[0]] * 2


def _by_frame(sink: SinkProcess) -> list[list[str]]:
    keys = keys_sent(sink)
    frames = dict.fromkeys(key.partition("+")[0] for key in keys)
    return [[key for key in keys if key.partition("+")[0] == frame] for frame in frames]


def test_a_batch_that_was_tried_before_a_size_was_known_to_be_too_large_keeps_its_cut(
    platform: SinkProcess, bench: Any
) -> None:
    """It may have arrived: in another cut, under other keys, it would count as another one."""
    platform.set_faults(
        {"kind": "status", "status": 503, "times": 1}, {"kind": "refuse_bytes", "over": 2000}
    )
    work = bench()
    work.put(*["tick"] * 100)
    assert work.ship() == RATIO
    work.put(*["tock"] * 100)
    assert work.ship() is None
    work.wake()
    assert work.ship() is None
    accounts(work.settled())
    first, *_ = keys_sent(platform)
    assert keys_sent(platform).count(first) == 2


def test_a_413_that_was_not_about_size_teaches_nothing(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}, "status": 413, "times": 9})
    work = bench()
    work.put("bad", *["good"] * 63)
    assert work.ship() is None
    before = work.queue.stats().requests
    work.put(*["good"] * 64)
    assert work.ship() is None
    assert work.settled().requests == before + 1


def test_a_record_that_alone_is_too_large_is_rejected(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 1000})
    work = bench()
    work.put("small", "x" * 2000, "small")
    assert work.ship() is None
    assert accounts(work.settled()) == (3, 2, 1, 0)
    assert [failure.status for failure in work.failures()] == [413]


def test_no_two_parts_that_are_sent_share_a_key(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    work = bench()
    work.put(*["good"] * 10, "bad", *["good"] * 10)
    work.ship()
    assert max(Counter(keys_sent(platform)).values()) == 1
    assert platform.stats()["reused_keys"] == 0


@pytest.mark.parametrize("status", [405, 409, 410, 302])
def test_what_no_split_can_mend_is_rejected_whole(
    platform: SinkProcess, bench: Any, status: int
) -> None:
    platform.set_faults({"kind": "status", "status": status})
    work = bench()
    work.put(*["tick"] * 20)
    assert work.ship() is None
    stats = work.settled()
    assert (accounts(stats), stats.requests) == ((20, 0, 20, 0), 1)
    (failure,) = work.failures()
    assert (failure.count, failure.is_identity) == (20, False)


def test_a_bad_identity_is_rejected(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "status", "status": 400, "path": "identities"})
    work = bench()
    work.put_identity()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 0, 1, 0)
    (failure,) = work.failures()
    assert (failure.is_identity, failure.reason) == (True, "rejected")


# Retrying


def test_a_failed_batch_waits_in_the_queue_and_is_sent_again_as_it_was(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 2})
    work = bench()
    work.put(*["tick"] * 20)
    assert work.ship() == RATIO
    assert work.queue.stats().pending == 20
    (waiting,) = work.queue.arena.all_in(WAITING)
    assert work.queue.arena.locks.owner(waiting) is None, "any worker may go on with it"
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (20, 20, 0, 0)
    assert (stats.requests, stats.retries) == (3, 2)
    assert len(set(keys_sent(platform))) == 1
    assert not work.failures()


def test_it_does_not_wake_before_its_time(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_700_000_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    work = bench()
    work.put("tick")
    work.ship()
    assert not wake(work.queue.arena, 0, now + int(RATIO * 1e9) - 1)
    assert wake(work.queue.arena, 0, now + int(RATIO * 1e9))
    assert not wake(work.queue.arena, 0, now + MINUTE_NS), "and only once"
    assert work.ship() is None


def test_it_waits_for_no_clock_that_was_set_back(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_700_000_000_000_000_000]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0])
    platform.set_faults({"kind": "status", "status": 503, "times": 2, "retry_after": 1})
    work = bench()
    work.put("tick")
    work.ship()
    clock[0] -= 60 * MINUTE_NS
    assert wake(work.queue.arena, 0, clock[0]), "nobody knows how long it has waited"
    delay = work.ship()
    assert delay is not None
    assert 1.0 <= delay < 60.0, "and then it waits by the new clock"
    assert not wake(work.queue.arena, 0, clock[0], early=True)
    clock[0] += MINUTE_NS
    assert wake(work.queue.arena, 0, clock[0])
    assert work.ship() is None
    assert work.settled().retries == 2


def test_the_delay_is_no_shorter_than_the_platform_asks(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "status", "status": 429, "retry_after": 40, "times": 1})
    work = bench()
    work.put("tick")
    assert work.ship() == 40.0
    work.wake()
    work.ship()


def test_the_application_hears_that_delivery_fails_but_not_for_every_batch(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = bench(frames=3)
    for _ in range(3):
        work.put("tick")
        work.ship()
    (report,) = work.reports()
    assert isinstance(report, Retrying)
    assert (report.status, report.delay) == (503, RATIO)


def test_a_batch_is_given_up_when_no_try_could_begin_before_its_deadline(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = bench(deadline=60.0)
    work.put(*["tick"] * 5)
    assert work.ship() == RATIO
    (frame,) = work.queue.arena.all_in(WAITING)
    work.queue.arena.account(frame).since -= MINUTE_NS
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (5, 0, 0, 5)
    (failure,) = work.failures()
    assert (failure.reason, failure.attempts) == ("delivery_timeout over", 2)


def test_the_deadline_counts_anew_for_what_has_not_been_tried(
    platform: SinkProcess, bench: Any
) -> None:
    """A split batch's second half is not given up for the time that the first one took."""
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1}, {"kind": "status", "status": 503}
    )
    work = bench(deadline=12.0, retries=9)
    work.put(*["tick"] * 4)
    assert work.ship() == RATIO
    work.wake()
    frame = work.claim()
    frame.advance(frame.spans()[0][1])
    assert frame.since == 0
    assert work.shipper.ship(frame) == RATIO
    assert time.time_ns() - frame.since < MINUTE_NS


def test_when_retries_are_exhausted_it_is_counted_and_reported(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults({"kind": "status", "status": 500})
    work = bench(retries=2)
    work.put(*["tick"] * 5)
    assert work.ship() == RATIO
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (5, 0, 0, 5)
    assert (stats.requests, stats.retries) == (3, 2)
    (failure,) = work.failures()
    assert (failure.reason, failure.status) == ("retries exhausted", 500)
    assert (failure.attempts, failure.count) == (3, 5)
    assert len((failure.records or "").splitlines()) == 5


def test_without_retries_the_first_failure_is_the_last(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "disconnect"})
    work = bench(retries=0)
    work.put("tick")
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 0, 0, 1)
    (failure,) = work.failures()
    assert (failure.status, failure.attempts) == (None, 1)


def test_a_platform_that_is_down_costs_no_record(bench: Any) -> None:
    work = bench(f"http://127.0.0.1:{refused_port()}")
    work.put("tick")
    assert work.ship() == RATIO
    assert work.queue.stats().pending == 1


def test_an_answer_that_got_lost_makes_a_duplicate_with_the_same_key(
    platform: SinkProcess, bench: Any
) -> None:
    """The platform can tell it, and so can the sink."""
    platform.set_faults({"kind": "ack_lost", "times": 1})
    work = bench()
    work.put(*["tick"] * 20)
    assert work.ship() == RATIO
    work.wake()
    assert work.ship() is None
    work.settled()
    stats = platform.stats()
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (20, 0)


# An outage


def open_circuit(work: Bench, platform: SinkProcess) -> None:
    """The platform answers nobody any more, and this worker has noticed."""
    platform.set_faults({"kind": "status", "status": 503})
    for _ in range(FAILURES_TO_OPEN):
        work.put("tick")
        assert work.ship() == RATIO
    assert not work.shipper.all_flows


def pass_pause(work: Bench) -> None:
    """Let the time pass until the next probe."""
    for circuit in work.shipper._circuits.values():
        if not circuit.is_closed:
            circuit._probe_at = time.monotonic()


def test_an_outage_is_noticed_and_no_frame_sent_or_charged_until_the_pause_is_over(
    platform: SinkProcess, bench: Any
) -> None:
    work = bench(frames=9)
    open_circuit(work, platform)
    before = work.queue.stats()
    work.put("tick")
    frame = work.claim()
    assert 0 < work.shipper.ship(frame) <= LONGEST_PAUSE
    assert work.queue.stats().requests == before.requests
    assert Frame(work.queue.arena, frame.number).attempts == 0


def test_a_probes_failure_is_that_of_all_that_were_due(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = bench(frames=9, retries=1)
    open_circuit(work, platform)
    work.wake()
    pass_pause(work)
    waiting = [work.claim() for _ in range(FAILURES_TO_OPEN)]
    probe, *others = waiting
    held = _Held(work.shipper._sender, lambda: [work.shipper.ship(frame) for frame in others])
    monkeypatch.setattr(work.shipper, "_sender", held)
    assert work.shipper.ship(probe) is None
    assert held.results == [None] * len(others), "they hold no sender"
    while work.queue.arena.find(READY) >= 0:
        work.ship()  # nothing is left in them but to be settled
    stats = work.settled()
    assert stats.requests == FAILURES_TO_OPEN + 1, "one request for all of them"
    assert stats.failed == 1 + len(others)


def test_when_a_probe_is_answered_all_go_on_at_once(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = bench(frames=9)
    open_circuit(work, platform)
    platform.clear_faults()
    work.put("tock")
    work.put("tock")
    probe, other = work.claim(), work.claim()
    pass_pause(work)
    held = _Held(work.shipper._sender, lambda: [work.shipper.ship(other)])
    monkeypatch.setattr(work.shipper, "_sender", held)
    assert work.shipper.ship(probe) is None
    assert work.shipper.all_flows
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN + 1, "those in backoff, too"
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    assert accounts(work.settled()) == (FAILURES_TO_OPEN + 2, FAILURES_TO_OPEN + 2, 0, 0)
    assert [type(report) for report in work.reports()] == [Retrying, Recovered]


def test_an_endpoint_that_works_is_not_held_up_by_one_that_does_not(
    platform: SinkProcess, bench: Any
) -> None:
    work = bench(frames=9)
    open_circuit(work, platform)
    platform.set_faults({"kind": "status", "status": 503, "path": "actions"})
    work.put_identity()
    assert work.ship() is None
    assert len(platform.identities()) == 1


def test_a_try_that_somebody_hurried_is_one_more(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 3})
    work = bench(retries=1)
    work.put("tick")
    assert work.ship() == RATIO
    for _ in range(2):
        work.queue.worker.retry_now()
        assert 0 < work.ship() < RATIO, "it waits on as it did before"
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 1, 0, 0)


def test_nobody_hurries_what_the_platform_wants_to_wait(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults({"kind": "status", "status": 429, "retry_after": 40, "times": 1})
    work = bench()
    work.put("tick")
    assert work.ship() == 40.0
    work.queue.worker.retry_now()
    assert work.queue.arena.find(READY) < 0
    work.wake()
    assert work.ship() is None


def test_a_hurried_try_that_the_platform_answers_with_a_wait_waits_so_long(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 503, "times": 1},
        {"kind": "status", "status": 429, "retry_after": 40, "times": 1},
    )
    work = bench()
    work.put("tick")
    assert work.ship() == RATIO
    work.queue.worker.retry_now()
    assert work.ship() == 40.0
    work.wake()
    assert work.ship() is None


def test_a_frame_that_is_used_again_does_not_wait_for_what_its_last_batch_waited_for(
    platform: SinkProcess, bench: Any
) -> None:
    work = bench(frames=FAILURES_TO_OPEN + 1)
    open_circuit(work, platform)
    work.queue.arena.account(FAILURES_TO_OPEN).due = 1 << 62
    work.put("tick")
    assert 0 < work.ship() <= LONGEST_PAUSE


class _Held:
    """A sender during whose first request something else happens."""

    def __init__(self, sender: Sender, meanwhile: Callable[[], list[float | None]]) -> None:
        self._sender = sender
        self._meanwhile = meanwhile
        self.results: list[float | None] | None = None

    def post(self, path: str, body: bytes, key: str) -> Any:
        if self.results is None:
            self.results = []
            self.results = self._meanwhile()
        return self._sender.post(path, body, key)


# Splitting and retrying


def test_progress_survives_a_wait_and_the_cut_and_the_keys_stay_the_same(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1},
        {"kind": "status", "status": 503, "match": {"key": "late"}, "times": 2},
    )
    work = bench()
    work.put(*["early"] * 8, *["late"] * 8)
    assert work.ship() == RATIO
    stats = work.queue.stats()
    assert (stats.pending, stats.requests) == (16, 3), "a frame is settled as a whole"
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (16, 16, 0, 0)
    whole, early, *late = keys_sent(platform)
    assert len({whole, early, *late}) == 3
    assert len(late) == 3
    assert numbers(platform) == list(range(16)), "what was through is not sent again"


def test_a_first_half_that_has_to_wait_is_sent_alone_again(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1},
        {"kind": "status", "status": 503, "match": {"key": "early"}, "times": 1},
    )
    work = bench()
    work.put(*["early"] * 8, *["late"] * 8)
    assert work.ship() == RATIO
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (16, 16, 0, 0)
    assert [request["count"] for request in platform.requests()] == [16, 8, 8, 8]
    _, first, again, _ = keys_sent(platform)
    assert first == again


def test_each_part_has_all_its_tries(platform: SinkProcess, bench: Any) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1}, {"kind": "status", "status": 503}
    )
    work = bench(retries=1)
    work.put("early", "late")
    delays = [work.ship()]
    while delays[-1] is not None:
        work.wake()
        delays.append(work.ship())
    assert delays == [RATIO, RATIO, None]
    stats = work.settled()
    assert accounts(stats) == (2, 0, 0, 2)
    assert (stats.requests, stats.retries) == (5, 2)
    assert [failure.attempts for failure in work.failures()] == [2, 2]


def test_what_was_rejected_and_what_failed_is_not_forgotten_over_a_wait(
    platform: SinkProcess, bench: Any
) -> None:
    platform.set_faults(
        {"kind": "refuse", "match": {"key": "bad"}},
        {"kind": "status", "status": 503, "match": {"key": "down"}},
    )
    work = bench(retries=1)
    work.put("good", "bad", "down", "good")
    delay = work.ship()
    while delay is not None:
        work.wake()
        delay = work.ship()
    stats = work.settled()
    assert stats.rejected == 1
    assert stats.delivered + stats.failed == 3
    assert stats.delivered == len(platform.events())


def test_a_batch_that_is_cut_short_by_a_death_is_cut_the_same_again(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies after the platform took the third request, and before it knew."""
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    work = bench()
    work.put("bad", *["good"] * 15)
    frame = work.claim()
    monkeypatch.setattr(work.shipper, "_sender", _Mortal(work.shipper._sender, life=6))
    with pytest.raises(SystemExit):
        work.shipper.ship(frame)
    monkeypatch.undo()
    work.queue.arena.locks.release(frame.number)  # which the kernel does
    assert work.queue.arena.state(frame.number) == SENDING
    assert janitor.sweep(work.queue.arena) == [frame.number]
    assert work.ship() is None
    assert accounts(work.settled()) == (16, 15, 1, 0)
    stats = platform.stats()
    assert stats["distinct_actions"] == 15
    assert stats["unexplained_duplicates"] == 0
    assert stats["explained_duplicates"] > 0
    assert stats["reused_keys"] == 0


@pytest.mark.parametrize("life", range(1, 10))
def test_a_death_after_any_request_loses_nothing_and_makes_no_duplicate_that_has_no_cause(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch, life: int
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 500})
    work = bench()
    work.put(*["tick"] * 16)
    frame = work.claim()
    monkeypatch.setattr(work.shipper, "_sender", _Mortal(work.shipper._sender, life))
    with pytest.raises(SystemExit):
        work.shipper.ship(frame)
    monkeypatch.undo()
    work.queue.arena.locks.release(frame.number)
    janitor.sweep(work.queue.arena)
    assert work.ship() is None
    assert accounts(work.settled()) == (16, 16, 0, 0)
    stats = platform.stats()
    assert (stats["distinct_actions"], stats["unexplained_duplicates"]) == (16, 0)
    assert stats["explained_duplicates"] <= 8


def test_a_frame_that_nobody_holds_can_be_sent_by_another_worker(
    platform: SinkProcess, bench: Any, sender_to: SenderTo
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    work = bench()
    work.put(*["tick"] * 3)
    work.ship()
    work.wake()
    backoff = Backoff("linear", RATIO, 3)
    other = Shipper(work.queue, sender_to(platform.url), backoff, work.reporter)
    assert other.ship(work.claim()) is None
    assert accounts(work.settled()) == (3, 3, 0, 0)
    assert len(set(keys_sent(platform))) == 1


class _Mortal:
    """A sender whose process dies when the answer to one of its requests has come."""

    def __init__(self, sender: Sender, life: int) -> None:
        self._sender = sender
        self._life = life

    def post(self, path: str, body: bytes, key: str) -> Any:
        answer = self._sender.post(path, body, key)
        self._life -= 1
        if not self._life:
            raise SystemExit
        return answer


# Joined


def test_frames_that_wait_go_out_in_one_request(
    bench: Callable[..., Bench], platform: SinkProcess
) -> None:
    work = bench(frames=8, join=7)
    for keys in ("ab", "c", "def"):
        work.put(*keys)
    work.put_identity()
    work.put("g", "h")
    assert work.ship() is None
    assert [event["key"] for event in platform.events()] == [*"abcdef"], "eight were too many"
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert platform.stats()["requests"] == 3
    assert accounts(work.settled()) == (9, 9, 0, 0)


def test_joined_frames_fail_and_are_tried_again_as_one(
    bench: Callable[..., Bench], platform: SinkProcess
) -> None:
    work = bench(frames=8, join=100)
    for key in "abc":
        work.put(key)
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    assert work.ship() is not None
    work.put("d")
    work.wake()
    assert work.ship() is None
    first, second = platform.requests()
    assert first["idempotency_key"] == second["idempotency_key"]
    assert (first["count"], second["count"]) == (3, 3), "what was sent keeps its content"
    work.ship()
    assert accounts(work.settled()) == (4, 4, 0, 0)


def test_what_of_joined_frames_is_refused_is_found_out(
    bench: Callable[..., Bench], platform: SinkProcess
) -> None:
    work = bench(frames=8, join=100)
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    for key in ("a", "bad", "c", "bad"):
        work.put(key)
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert accounts(work.settled()) == (4, 2, 2, 0)
    assert sorted(event["key"] for event in platform.events()) == ["a", "c"]


def test_joined_frames_that_are_too_large_are_split_and_the_size_is_remembered(
    bench: Callable[..., Bench], platform: SinkProcess
) -> None:
    work = bench(frames=64, join=1000)
    platform.set_faults({"kind": "refuse_bytes", "over": 1500})
    too_large = []
    for _ in range(2):
        for _ in range(30):
            work.put("a")
        while work.queue.arena.find(READY) >= 0:
            work.ship()
        too_large.append(platform.stats()["by_status"]["413"])
    assert accounts(work.settled()) == (60, 60, 0, 0)
    assert too_large[0] <= 5, "the logarithm of thirty"
    assert too_large[1] == too_large[0]
    assert platform.stats()["by_status"]["200"] < 20


# Parked


def test_what_a_probes_failure_concerns_is_parked_and_what_was_joined_with_it(
    platform: SinkProcess, bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work = bench(frames=16, retries=1, spool=tmp_path, join=2)
    open_circuit(work, platform)
    work.wake()
    pass_pause(work)
    probe, *others = [work.claim() for _ in range(FAILURES_TO_OPEN)]
    held = _Held(work.shipper._sender, lambda: [work.shipper.ship(frame) for frame in others])
    monkeypatch.setattr(work.shipper, "_sender", held)
    keys = {frame.key for frame in (probe, *others)}
    assert work.shipper.ship(probe) is None
    assert {batch.key for batch in work.lot.batches()} == keys
    work.put("a")
    work.put("b")
    leader = work.claim()
    assert work.shipper.ship(leader) is not None, "it waits for the next probe"
    for _ in range(2):  # this one, and one more
        pass_pause(work)
        work.wake()
        work.ship()
    assert [batch.count for batch in work.lot.batches()] == [*[1] * FAILURES_TO_OPEN, 2]
    stats = work.settled()
    assert accounts(stats) == (FAILURES_TO_OPEN + 2, 0, 0, 0)
    assert stats.parked == FAILURES_TO_OPEN + 2


def test_what_finds_no_room_is_given_up_and_the_rest_of_its_frame_is_sent(
    platform: SinkProcess, bench: Any, tmp_path: Path
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1},
        {"kind": "status", "status": 503, "times": 1},
    )
    work = bench(retries=0, spool=tmp_path, room=1)
    work.put(*"abcd")
    assert work.ship() is None
    stats = work.settled()
    assert (accounts(stats), stats.parked) == ((4, 2, 0, 2), 0)
    (failure,) = work.failures()
    assert (failure.reason, failure.count) == ("spool full", 2)


def test_under_pressure_what_an_outage_holds_up_is_parked_before_its_last_try(
    platform: SinkProcess, bench: Any, tmp_path: Path
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = bench(frames=8, spool=tmp_path)
    for _ in range(FAILURES_TO_OPEN - 1):
        work.put("tick")
        assert work.ship() == RATIO
    work.put("tick")
    assert work.ship() is None, "now it is an outage, and more than half of the frames are in use"
    assert work.queue.stats().parked == 1
    work.put("a", "b")
    assert work.ship() is None, "it was never tried"
    assert work.queue.stats().parked == 3


def test_without_an_outage_nothing_is_parked_however_full_the_buffer(
    platform: SinkProcess, bench: Any, tmp_path: Path
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    work = bench(frames=2, spool=tmp_path)
    work.put("a")
    work.put("b")
    assert work.ship() == RATIO
    assert work.queue.stats().parked == 0
    work.wake()
    work.ship()
    work.ship()
    assert accounts(work.settled()) == (2, 2, 0, 0)
