"""A failed batch is retried as it was, until its attempts or its time are exhausted."""

import time

import pytest

from dataart_mp import clock
from dataart_mp.delivery.backoff import Backoff
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue import janitor
from dataart_mp.queue.arena import READY, SENDING, WAITING
from dataart_mp.queue.release import wake
from dataart_mp.supervision.reports import Retrying
from dataart_mp.worker.circuit import LONGEST_PAUSE
from dataart_mp.worker.shared_flow import FixedPace
from dataart_mp.worker.shipper import Shipper
from tests.transport.servers import SenderTo, refused_port
from tests.worker.workbench import (
    RATIO,
    DyingSender,
    MakeWorkbench,
    accounts,
    keys_sent,
    numbers,
    open_circuit,
    pass_pause,
)

MINUTE_NS = 60_000_000_000
YEAR_NS = 365 * 24 * 60 * MINUTE_NS


def test_a_failed_batch_waits_in_the_queue_and_is_repeated_as_it_was(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 2})
    work = workbench()
    work.put(*["tick"] * 20)
    assert work.ship() == RATIO
    assert work.queue.stats().pending == 20
    (waiting,) = work.queue.arena.all_in(WAITING)
    assert work.queue.arena.locks.owner(waiting) is None, "any worker may continue with it"
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (20, 20, 0, 0)
    assert (stats.requests, stats.retries) == (3, 2)
    assert len(set(keys_sent(platform))) == 1
    assert not work.failures()


def test_a_waiting_frame_is_ready_when_its_delay_is_over_and_not_before(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 60 * MINUTE_NS
    monkeypatch.setattr(clock, "now", lambda: now)
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    work = workbench()
    work.put("tick")
    work.ship()
    assert not wake(work.queue.arena, 0, now + int(RATIO * 1e9) - 1)
    assert wake(work.queue.arena, 0, now + int(RATIO * 1e9))
    assert not wake(work.queue.arena, 0, now + MINUTE_NS), "it is ready once only"
    assert work.ship() is None


@pytest.mark.parametrize("step", [-YEAR_NS, -MINUTE_NS, MINUTE_NS, YEAR_NS])
def test_a_step_of_the_wall_clock_neither_ends_nor_lengthens_a_delay(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    platform.set_faults({"kind": "status", "status": 500, "times": 2, "retry_after": 7})
    work = workbench()
    work.put("tick")
    assert work.ship() == 7.0
    step_wall_clock(monkeypatch, step)
    due = work.queue.worker.look(clock.now())
    assert due is not None
    assert 0 < due - clock.now() <= 7 * 10**9
    work.queue.worker.retry_now()
    assert work.queue.arena.all_in(WAITING) == [0], "not before Retry-After"
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 1, 0, 0)


@pytest.mark.parametrize("step", [-YEAR_NS, -MINUTE_NS, MINUTE_NS, YEAR_NS])
def test_a_step_of_the_wall_clock_expires_no_batch(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 2})
    work = workbench(deadline=30.0)
    work.put("tick")
    assert work.ship() == RATIO
    step_wall_clock(monkeypatch, step)
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 1, 0, 0)


@pytest.mark.parametrize("step", [-YEAR_NS, YEAR_NS])
def test_a_step_of_the_wall_clock_keeps_no_batch_beyond_its_deadline(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = workbench(deadline=30.0)
    work.put("tick")
    assert work.ship() == RATIO
    step_wall_clock(monkeypatch, step)
    after = clock.now() + MINUTE_NS
    monkeypatch.setattr(clock, "now", lambda: after)
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 0, 0, 1)


@pytest.mark.parametrize("step", [-YEAR_NS, YEAR_NS])
def test_a_step_of_the_wall_clock_does_not_change_the_pause_of_a_circuit(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    work = workbench(frames=8)
    open_circuit(work, platform)
    work.put("tick")
    step_wall_clock(monkeypatch, step)
    assert 0 < work.ship_late() <= LONGEST_PAUSE
    platform.set_faults()
    pass_pause(work)
    for frame in work.queue.arena.all_in(WAITING)[:1]:
        assert wake(work.queue.arena, frame, clock.now() + MINUTE_NS)
    assert work.ship() is None


def step_wall_clock(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Set the wall clock of this process forward by so many nanoseconds, or back."""
    seconds, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: seconds() + step / 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + step)


def test_the_delay_is_at_least_what_the_platform_asks_for_even_with_retry_now(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 429, "retry_after": 40, "times": 1})
    work = workbench()
    work.put("tick")
    assert work.ship() == 40.0
    work.queue.worker.retry_now()
    assert work.queue.arena.find(READY) < 0
    work.wake()
    assert work.ship() is None


def test_failing_delivery_is_reported_but_not_for_every_batch(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = workbench(frames=3)
    for _ in range(3):
        work.put("tick")
        work.ship()
    (report,) = work.reports()
    assert isinstance(report, Retrying)
    assert (report.status, report.delay) == (503, RATIO)


def test_a_batch_is_abandoned_if_no_attempt_could_begin_before_its_deadline(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = workbench(deadline=60.0)
    work.put(*["tick"] * 5)
    assert work.ship() == RATIO
    (frame,) = work.queue.arena.all_in(WAITING)
    work.queue.arena.account(frame).since -= MINUTE_NS
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (5, 0, 0, 5)
    (failure,) = work.failures()
    assert (failure.reason, failure.attempts) == ("delivery_timeout over", 2)


def test_each_part_of_a_batch_has_its_full_delivery_timeout(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """The second part is not abandoned because of the time that the first one took."""
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1}, {"kind": "status", "status": 503}
    )
    work = workbench(deadline=12.0, retries=9)
    work.put(*["tick"] * 4)
    assert work.ship() == RATIO
    work.wake()
    frame = work.claim()
    frame.advance(frame.spans()[0][1])
    assert frame.since == 0
    assert work.shipper.ship(frame) == RATIO
    assert clock.now() - frame.since < MINUTE_NS


def test_a_batch_whose_retries_are_exhausted_is_counted_and_reported(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 500})
    work = workbench(retries=2)
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


def test_without_retries_the_first_failure_is_the_last(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "disconnect"})
    work = workbench(retries=0)
    work.put("tick")
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 0, 0, 1)
    (failure,) = work.failures()
    assert (failure.status, failure.attempts) == (None, 1)


def test_no_record_is_lost_while_the_platform_is_unreachable(workbench: MakeWorkbench) -> None:
    work = workbench(f"http://127.0.0.1:{refused_port()}")
    work.put("tick")
    assert work.ship() == RATIO
    assert work.queue.stats().pending == 1


def test_a_lost_response_leads_to_a_duplicate_with_the_same_key(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """So the platform can recognize it, and so can the sink."""
    platform.set_faults({"kind": "ack_lost", "times": 1})
    work = workbench()
    work.put(*["tick"] * 20)
    assert work.ship() == RATIO
    work.wake()
    assert work.ship() is None
    work.settled()
    stats = platform.stats()
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (20, 0)


# Splitting and retrying


def test_a_frame_that_waits_keeps_its_progress_its_parts_and_their_keys(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1},
        {"kind": "status", "status": 503, "match": {"key": "late"}, "times": 2},
    )
    work = workbench()
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
    assert numbers(platform) == list(range(16)), "delivered records are not sent again"


def test_a_first_part_that_has_to_wait_is_repeated_alone(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1},
        {"kind": "status", "status": 503, "match": {"key": "early"}, "times": 1},
    )
    work = workbench()
    work.put(*["early"] * 8, *["late"] * 8)
    assert work.ship() == RATIO
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (16, 16, 0, 0)
    assert [request["count"] for request in platform.requests()] == [16, 8, 8, 8]
    _, first, again, _ = keys_sent(platform)
    assert first == again


def test_each_part_has_all_its_attempts(platform: SinkProcess, workbench: MakeWorkbench) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1}, {"kind": "status", "status": 503}
    )
    work = workbench(retries=1)
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


def test_a_frame_that_waits_keeps_its_counts_of_rejected_and_failed_records(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(
        {"kind": "refuse", "match": {"key": "bad"}},
        {"kind": "status", "status": 503, "match": {"key": "down"}},
    )
    work = workbench(retries=1)
    work.put("good", "bad", "down", "good")
    delay = work.ship()
    while delay is not None:
        work.wake()
        delay = work.ship()
    stats = work.settled()
    assert stats.rejected == 1
    assert stats.delivered + stats.failed == 3
    assert stats.delivered == len(platform.events())


def test_a_batch_interrupted_by_a_death_is_repeated_as_it_was(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies after the platform has accepted a request, and before it knows."""
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    work = workbench()
    work.put("bad", *["good"] * 15)
    frame = work.claim()
    monkeypatch.setattr(work.shipper, "_sender", DyingSender(work.shipper._sender, life=6))
    with pytest.raises(SystemExit):
        work.shipper.ship(frame)
    monkeypatch.undo()
    work.queue.arena.locks.release(frame.number)  # as the kernel does
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
def test_a_death_after_any_request_loses_nothing_and_causes_no_unexplained_duplicate(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch, life: int
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 500})
    work = workbench()
    work.put(*["tick"] * 16)
    frame = work.claim()
    monkeypatch.setattr(work.shipper, "_sender", DyingSender(work.shipper._sender, life))
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


def test_a_frame_that_waits_can_be_sent_by_another_worker(
    platform: SinkProcess, workbench: MakeWorkbench, sender_to: SenderTo
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    work = workbench()
    work.put(*["tick"] * 3)
    work.ship()
    work.wake()
    backoff = Backoff("linear", RATIO, 3)
    other = Shipper(
        work.queue,
        sender_to(platform.url),
        backoff,
        work.reporter,
        work.failing,
        work.parking,
        FixedPace(),
    )
    assert other.ship(work.claim()) is None
    assert accounts(work.settled()) == (3, 3, 0, 0)
    assert len(set(keys_sent(platform))) == 1
