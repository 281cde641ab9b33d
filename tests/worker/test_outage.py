"""While an endpoint is down, few requests are sent and no record is lost."""

import time
from pathlib import Path

import pytest

from dataart_mp import clock
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue import Frame
from dataart_mp.queue.arena import READY, WAITING
from dataart_mp.supervision.reports import Recovered, Retrying
from dataart_mp.transport.response import Response
from dataart_mp.worker.circuit import FAILURES_TO_OPEN, LONGEST_PAUSE
from dataart_mp.worker.request import Released, Request
from tests.worker.workbench import (
    RATIO,
    InterruptedSender,
    MakeWorkbench,
    Workbench,
    accounts,
    keys_sent,
    open_circuit,
    pass_pause,
)


def test_during_an_outage_no_frame_is_sent_or_charged_before_the_pause_is_over(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=9)
    open_circuit(work, platform)
    before = work.queue.stats()
    work.put("tick")
    frame = work.claim()
    delay = work.shipper.ship(frame)
    assert delay is not None
    assert 0 < delay <= LONGEST_PAUSE
    assert work.queue.stats().requests == before.requests
    assert Frame(work.queue.arena, frame.number).attempts == 0


def test_the_failure_of_a_probe_counts_for_every_frame_that_was_due(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workbench(frames=9, retries=1)
    open_circuit(work, platform)
    work.wake()
    pass_pause(work)
    waiting = [work.claim() for _ in range(FAILURES_TO_OPEN)]
    probe, *others = waiting
    held = InterruptedSender(
        work.shipper._sender, lambda: [work.shipper.ship(frame) for frame in others]
    )
    monkeypatch.setattr(work.shipper, "_sender", held)
    assert work.shipper.ship(probe) is None
    assert held.results == [None] * len(others), "they hold up no sender"
    while work.queue.arena.find(READY) >= 0:
        work.ship()  # only to settle them
    stats = work.settled()
    assert stats.requests == FAILURES_TO_OPEN + 1, "one request for all of them"
    assert stats.failed == 1 + len(others)


def test_the_success_of_a_probe_releases_every_frame_at_once(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workbench(frames=9)
    open_circuit(work, platform)
    platform.clear_faults()
    work.put("tock")
    work.put("tock")
    probe, other = work.claim(), work.claim()
    pass_pause(work)
    held = InterruptedSender(work.shipper._sender, lambda: [work.shipper.ship(other)])
    monkeypatch.setattr(work.shipper, "_sender", held)
    assert work.shipper.ship(probe) is None
    assert work.shipper.all_circuits_closed
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN + 1, "those in backoff too"
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    assert accounts(work.settled()) == (FAILURES_TO_OPEN + 2, FAILURES_TO_OPEN + 2, 0, 0)
    assert [type(report) for report in work.reports()] == [Retrying, Recovered]


def test_the_success_of_another_worker_closes_the_circuit(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """Else this worker would take frames from the other one, and let them wait."""
    work = workbench(frames=9)
    open_circuit(work, platform)
    other = work.make_shipper()
    platform.clear_faults()
    work.put("tock")
    assert other.ship(work.claim()) is None
    work.put("tock")
    assert work.ship() is None
    assert work.shipper.all_circuits_closed
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN
    assert work.queue.stats().delivered == 2


def test_a_worker_without_a_frame_notices_the_success_of_another_one(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=9)
    open_circuit(work, platform)
    work.put("tock")
    assert work.make_shipper().ship(work.claim()) == RATIO
    work.shipper.follow_others()
    assert not work.shipper.is_healthy(is_identity=False), "another worker was failed, too"
    platform.clear_faults()
    work.put("tock")
    assert work.make_shipper().ship(work.claim()) is None
    assert not work.shipper.is_healthy(is_identity=False)
    work.shipper.follow_others()
    assert work.shipper.is_healthy(is_identity=False)
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN + 1


def test_what_waits_for_minutes_finds_out_that_an_outage_is_over(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """Each in turn is a probe, because no batch may be due for long, and none may come."""
    work = workbench(frames=9)
    open_circuit(work, platform)
    work.shipper.probe()
    assert not work.queue.arena.all_in(READY), "the pause is not over"
    probes = []
    for _ in range(2):
        pass_pause(work)
        work.shipper.probe()
        probes += work.queue.arena.all_in(READY)
        assert 0 < work.ship_late() < RATIO, "it waits as long as before"
    assert probes == [0, 1]
    platform.clear_faults()
    pass_pause(work)
    work.shipper.probe()
    assert work.ship() is None
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN - 1
    work.shipper.probe()
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN - 1


def test_a_full_buffer_that_waits_finds_out_that_the_platform_is_down_and_that_it_works_again(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """It may have fewer frames than failures open a circuit."""
    work = workbench(frames=2)
    platform.set_faults({"kind": "status", "status": 503})
    for _ in range(2):
        work.put("tick")
        assert work.ship() == RATIO
        work.shipper.probe()
    for _ in range(FAILURES_TO_OPEN - 2):
        assert work.shipper.all_circuits_closed
        assert 0 < work.ship_late() < RATIO, "it waits as long as before"
        work.shipper.probe()
    assert not work.queue.arena.all_in(READY), "the circuit is open, and its pause is not over"
    platform.clear_faults()
    pass_pause(work)
    work.shipper.probe()
    for _ in range(2):
        assert work.ship() is None
    assert accounts(work.settled()) == (2, 2, 0, 0)


def test_no_probe_is_sent_before_the_platform_allows_it(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=9)
    open_circuit(work, platform)
    *others, last = work.queue.arena.all_in(WAITING)
    for number in others:
        work.queue.arena.account(number).not_before = clock.now() + 60 * 10**9
    pass_pause(work)
    for _ in range(2):
        work.shipper.probe()
        assert [*work.queue.arena.all_in(READY)] == [last]


def test_a_worker_that_replaces_another_one_finds_out_that_the_outage_is_over(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=9)
    open_circuit(work, platform)
    platform.clear_faults()
    successor = work.make_shipper()
    successor.probe()
    assert successor.ship(work.claim()) is None
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN - 1


def test_failures_in_a_row_open_a_circuit_whichever_workers_have_sent_the_requests(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """Else few batches could wait for long, and each worker know of a few failures only."""
    work = workbench(frames=9)
    idle = work.make_shipper()
    assert idle.is_healthy(is_identity=False)
    platform.set_faults({"kind": "status", "status": 503})
    for _ in range(FAILURES_TO_OPEN):
        shipper = work.make_shipper()
        assert shipper.all_circuits_closed
        work.put("tick")
        assert shipper.ship(work.claim()) == RATIO
    assert not shipper.all_circuits_closed
    assert work.queue.stats().circuit == "open"
    assert not idle.is_healthy(is_identity=False), "it loads no more than a probe"


def test_what_an_open_circuit_holds_back_is_retried_as_soon_as_another_worker_succeeds(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """The platform has not asked for the pause, and a batch may be due much later."""
    work = workbench(frames=9)
    open_circuit(work, platform)
    work.queue.worker.retry_now()
    for _ in range(FAILURES_TO_OPEN):
        assert LONGEST_PAUSE < work.ship_late() < RATIO, "it is due as late as before"
    platform.clear_faults()
    work.put("tock")
    assert work.make_shipper().ship(work.claim()) is None
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN


def test_a_request_that_fails_when_the_outage_is_over_is_repeated_at_once(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """It may have been sent long ago, and get no response."""
    work = workbench(frames=9)
    late = work.make_shipper()
    work.put("late")
    request = late.begin(work.claim())
    assert isinstance(request, Request)
    open_circuit(work, platform)
    platform.clear_faults()
    work.put("tock")
    assert work.make_shipper().ship(work.claim()) is None
    work.shipper.follow_others()
    assert late.finish(request, Response(None)) == Released(0.0)
    assert not work.queue.stats().failing_since, "it says nothing of the platform"
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    assert accounts(work.settled()) == (FAILURES_TO_OPEN + 2, FAILURES_TO_OPEN + 2, 0, 0)


def test_a_clock_that_is_set_back_makes_no_failure_one_of_the_past(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    """Else each batch would be repeated at once, over and over, until the clock is right again."""
    work = workbench(frames=8, spool=tmp_path, rest=600.0)
    work.queue.arena.words[131] = time.time_ns() + 3_600 * 10**9  # when the circuit was closed
    open_circuit_and_park(work, platform)
    assert not work.parking.load(lambda is_identity: False)
    pass_pause(work)
    assert work.ship() is None, "it is parked again"
    assert not work.parking.load(lambda is_identity: True), "it rests"
    assert work.queue.stats().requests == FAILURES_TO_OPEN + 1


def test_a_probe_that_fails_when_the_outage_is_over_holds_up_nothing(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """Frames that gather behind it would wait for ever."""
    work = workbench(frames=9)
    open_circuit(work, platform)
    pass_pause(work)
    work.put("probe")
    probe = work.shipper.begin(work.claim())
    assert isinstance(probe, Request)
    platform.clear_faults()
    for fault in ([], [{"kind": "status", "status": 503}]):
        platform.set_faults(*fault)
        work.put("tock")
        work.make_shipper().ship(work.claim())
    assert work.queue.stats().failing_since, "another outage has begun"
    work.put("gathered")
    assert work.shipper.ship(work.claim()) is None
    assert work.shipper.finish(probe, Response(None)) == Released(0.0)
    platform.clear_faults()
    work.wake()
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    assert accounts(work.settled()) == (FAILURES_TO_OPEN + 4, FAILURES_TO_OPEN + 4, 0, 0)


@pytest.mark.parametrize(("seconds", "ready"), [(0.0, 0), (LONGEST_PAUSE, FAILURES_TO_OPEN - 1)])
def test_what_waits_is_retried_when_nothing_had_succeeded_for_some_time(
    platform: SinkProcess, workbench: MakeWorkbench, seconds: float, ready: int
) -> None:
    """An outage may be over before five requests have failed."""
    work = workbench(frames=9)
    platform.set_faults({"kind": "status", "status": 503})
    for _ in range(FAILURES_TO_OPEN - 1):
        work.put("tick")
        assert work.ship() == RATIO
    platform.clear_faults()
    work.queue.arena.words[217] -= int(seconds * 1e9)  # since when requests fail
    work.put("tock")
    assert work.ship() is None
    assert len(work.queue.arena.all_in(READY)) == ready


def test_what_waits_is_retried_although_the_worker_that_has_opened_the_circuit_is_dead(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=9)
    other = work.make_shipper()
    open_circuit(work, platform)
    platform.clear_faults()
    work.put("tock")
    assert other.ship(work.claim()) is None
    assert len(work.queue.arena.all_in(READY)) == FAILURES_TO_OPEN


def test_an_outage_of_one_endpoint_does_not_hold_up_the_other(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=9)
    open_circuit(work, platform)
    platform.set_faults({"kind": "status", "status": 503, "path": "actions"})
    work.put_identity()
    assert work.ship() is None
    assert len(platform.identities()) == 1


def test_an_early_retry_does_not_count_as_an_attempt(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 3})
    work = workbench(retries=1)
    work.put("tick")
    assert work.ship() == RATIO
    for _ in range(2):
        work.queue.worker.retry_now()
        assert 0 < work.ship_late() < RATIO, "it waits as long as before"
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 1, 0, 0)


def test_an_early_retry_waits_as_long_as_the_platform_asks_for(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 503, "times": 1},
        {"kind": "status", "status": 429, "retry_after": 40, "times": 1},
    )
    work = workbench()
    work.put("tick")
    assert work.ship() == RATIO
    work.queue.worker.retry_now()
    assert work.ship() == 40.0
    work.wake()
    assert work.ship() is None


def test_a_reused_frame_does_not_inherit_the_delay_of_its_last_batch(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench(frames=FAILURES_TO_OPEN + 1)
    open_circuit(work, platform)
    work.queue.arena.account(FAILURES_TO_OPEN).due = 1 << 62
    work.put("tick")
    assert 0 < work.ship_late() <= LONGEST_PAUSE


# With a spool


def test_the_failure_of_a_probe_parks_every_frame_that_was_due_and_those_joined_to_it(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work = workbench(frames=16, retries=1, spool=tmp_path, join=2)
    open_circuit(work, platform)
    work.wake()
    pass_pause(work)
    probe, *others = [work.claim() for _ in range(FAILURES_TO_OPEN)]
    held = InterruptedSender(
        work.shipper._sender, lambda: [work.shipper.ship(frame) for frame in others]
    )
    monkeypatch.setattr(work.shipper, "_sender", held)
    keys = {frame.key for frame in (probe, *others)}
    assert work.shipper.ship(probe) is None
    assert {batch.key for batch in work.parked()} == keys
    work.put("a")
    work.put("b")
    leader = work.claim()
    assert work.shipper.ship(leader) is not None, "it waits for the next probe"
    for _ in range(2):  # this attempt and one more
        pass_pause(work)
        work.wake()
        work.ship()
    assert [batch.count for batch in work.parked()] == [*[1] * FAILURES_TO_OPEN, 2]
    stats = work.settled()
    assert accounts(stats) == (FAILURES_TO_OPEN + 2, 0, 0, 0)
    assert stats.parked == FAILURES_TO_OPEN + 2


def test_a_batch_without_room_in_the_spool_is_abandoned_and_the_rest_of_its_frame_is_sent(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 413, "times": 1},
        {"kind": "status", "status": 503, "times": 1},
    )
    work = workbench(retries=0, spool=tmp_path, room=1)
    work.put(*"abcd")
    assert work.ship() is None
    stats = work.settled()
    assert (accounts(stats), stats.parked) == ((4, 2, 0, 2), 0)
    (failure,) = work.failures()
    assert (failure.reason, failure.count) == ("spool full", 2)


def test_an_outage_parks_frames_before_their_last_attempt_if_the_buffer_is_half_full(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    platform.set_faults({"kind": "status", "status": 503})
    work = workbench(frames=8, spool=tmp_path)
    for _ in range(FAILURES_TO_OPEN - 1):
        work.put("tick")
        assert work.ship() == RATIO
    work.put("tick")
    assert work.ship() is None, "the circuit opens, and more than half of the frames are in use"
    assert work.queue.stats().parked == 1
    work.put("a", "b")
    assert work.ship() is None, "it was parked without an attempt"
    assert work.queue.stats().parked == 3


def test_a_parked_batch_that_is_loaded_waits_for_the_probe_in_its_frame(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    """To park it again would postpone a batch that nothing was tried with."""
    work = workbench(frames=8, spool=tmp_path, rest=600.0)
    open_circuit_and_park(work, platform)
    assert not work.parking.load(lambda is_identity: False)
    assert 0 < work.ship_late() <= LONGEST_PAUSE
    platform.clear_faults()
    pass_pause(work)
    work.wake()
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    assert accounts(work.settled()) == (FAILURES_TO_OPEN, FAILURES_TO_OPEN, 0, 0)


def test_a_batch_that_failed_in_an_outage_is_loaded_when_the_outage_is_over(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    """One that fails at other times rests, so that it is not loaded over and over."""
    work = workbench(frames=8, spool=tmp_path, rest=600.0)
    open_circuit_and_park(work, platform)
    assert not work.parking.load(lambda is_identity: False)
    pass_pause(work)
    assert work.ship() is None, "the probe fails, and more than half of the frames are in use"
    assert work.queue.stats().parked == 1
    assert not work.parking.load(lambda is_identity: True), "it rests"
    platform.clear_faults()
    pass_pause(work)
    work.wake()
    assert work.ship() is None
    assert work.parking.load(lambda is_identity: True)
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    assert accounts(work.settled()) == (FAILURES_TO_OPEN, FAILURES_TO_OPEN, 0, 0)


def test_batches_that_rest_find_out_that_an_outage_is_over(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    """When each has failed as a probe, nothing else may be sent for minutes."""
    work = workbench(frames=8, retries=0, spool=tmp_path, rest=600.0)
    platform.set_faults({"kind": "status", "status": 503})
    for key in "abc":
        work.put(key)
        assert work.ship() is None, "it is parked"
    for loads in (1, 1, 1, 2, 2, 2):
        for _ in range(loads):
            assert not work.parking.load(lambda is_identity: False)
        assert len(work.queue.arena.all_in(READY)) == 1, "the others rest as long as one is tried"
        pass_pause(work)
        assert work.ship() is None, "it rests"
    keys = keys_sent(platform)
    assert keys == keys[:3] * 3, "one after the other"
    platform.clear_faults()
    assert not work.parking.load(lambda is_identity: False)
    pass_pause(work)
    assert work.ship() is None
    assert work.parking.load(lambda is_identity: True)
    for _ in range(2):
        assert work.ship() is None
    assert accounts(work.settled()) == (3, 3, 0, 0)


def open_circuit_and_park(work: Workbench, platform: SinkProcess) -> None:
    """Open the circuit: the last frame of five is parked, because the buffer is half full."""
    platform.set_faults({"kind": "status", "status": 503})
    for _ in range(FAILURES_TO_OPEN):
        work.put("tick")
        work.ship()
    assert not work.shipper.all_circuits_closed
    assert work.queue.stats().parked == 1


def test_without_an_outage_a_full_buffer_parks_nothing(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: Path
) -> None:
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    work = workbench(frames=2, spool=tmp_path)
    work.put("a")
    work.put("b")
    assert work.ship() == RATIO
    assert work.queue.stats().parked == 0
    work.wake()
    work.ship()
    work.ship()
    assert accounts(work.settled()) == (2, 2, 0, 0)
