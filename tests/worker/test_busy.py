"""A platform that is too busy for a batch costs it no attempt, and only its time can end it."""

import pytest

from dataart_mp import clock
from dataart_mp.delivery.backoff import LATER_DELAY
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue import janitor
from dataart_mp.queue.arena import READY, WAITING
from dataart_mp.worker.circuit import FAILURES_TO_OPEN
from dataart_mp.worker.shared_flow import FixedPace
from tests.transport.servers import refused_port
from tests.worker.workbench import (
    RATIO,
    DyingSender,
    InterruptedSender,
    MakeWorkbench,
    Workbench,
    accounts,
    keys_sent,
    open_circuit,
    pass_pause,
)

BUSY = {"kind": "status", "status": 429, "retry_after": 40}
SECOND_NS = 10**9


@pytest.mark.parametrize("fault", [BUSY, BUSY | {"status": 503}], ids=["429", "503"])
def test_no_number_of_busy_responses_exhausts_the_retries(
    platform: SinkProcess, workbench: MakeWorkbench, fault: dict[str, object]
) -> None:
    platform.set_faults(fault | {"times": 8})
    work = workbench(retries=0)
    work.put(*["tick"] * 20)
    for _ in range(8):
        ship_after_pause(work, 40.0)
    assert work.queue.stats().pending == 20
    pass_pause(work)
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (20, 20, 0, 0)
    assert (stats.requests, stats.retries, stats.throttled) == (9, 0, 8)
    assert not work.failures()


def test_busy_responses_among_failures_use_up_none_of_the_retries(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(
        {"kind": "status", "status": 500, "times": 1},
        BUSY | {"times": 3},
        {"kind": "status", "status": 500, "times": 1},
        BUSY | {"times": 1},
        {"kind": "status", "status": 500},
    )
    work = workbench(retries=2)
    work.put("tick")
    delays = []
    for _ in range(7):
        pass_pause(work)
        delays.append(work.ship())
        work.wake()
    assert delays == pytest.approx([RATIO, 40.0, 40.0, 40.0, 2 * RATIO, 40.0, None], abs=0.1)
    (failure,) = work.failures()
    assert (failure.reason, failure.attempts) == ("retries exhausted", 3)
    assert len(set(keys_sent(platform))) == 1, "an attempt may have arrived"


def test_a_busy_platform_that_names_no_time_is_tried_again_soon(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 429, "times": 1})
    work = workbench()
    work.put("tick")
    assert work.ship() == pytest.approx(LATER_DELAY)
    work.wake()
    assert work.ship() is None


@pytest.mark.parametrize("seconds", [30, 70])
def test_only_delivery_timeout_ends_a_batch_that_the_platform_is_too_busy_for(
    platform: SinkProcess,
    workbench: MakeWorkbench,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
) -> None:
    platform.set_faults(BUSY | {"times": 3})
    work = workbench(retries=0, deadline=100.0)
    work.put(*["tick"] * 5)
    ship_after_pause(work, 40.0)
    later = clock.now() + seconds * SECOND_NS
    monkeypatch.setattr(clock, "now", lambda: later)
    pass_pause(work)
    if seconds == 30:
        ship_after_pause(work, 40.0)
        later += seconds * SECOND_NS  # its time began with the first request, not with this one
    assert work.ship() is None
    assert accounts(work.settled()) == (5, 0, 0, 5)
    (failure,) = work.failures()
    assert (failure.reason, failure.status, failure.attempts) == ("delivery_timeout over", 429, 0)


# Released frames


def test_a_batch_that_was_not_processed_is_joined_to_others_under_another_key(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(BUSY | {"times": 2})
    work = workbench(frames=8, join=5)
    work.put("a")
    ship_after_pause(work, 40.0)
    work.put("b", "c")
    ship_after_pause(work, 40.0)
    work.put("d", "e")
    work.put("f")
    assert work.ship() is None
    requests = platform.requests()
    assert [request["count"] for request in requests] == [1, 3, 5]
    assert len(set(keys_sent(platform))) == 3, "three contents, three keys"
    assert work.ship() is None
    assert accounts(work.settled()) == (6, 6, 0, 0)
    assert [event["key"] for event in platform.events()] == [*"abcdef"]


def test_a_batch_that_was_not_processed_keeps_its_key_if_its_content_is_the_same(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(BUSY | {"times": 2})
    work = workbench(frames=8, join=5)
    for keys in ("abc", "de"):
        work.put(*keys)
    for _ in range(2):
        ship_after_pause(work, 40.0)
    assert work.ship() is None
    assert len(set(keys_sent(platform))) == 1
    assert accounts(work.settled()) == (5, 5, 0, 0)


@pytest.mark.parametrize("first", [{"kind": "ack_lost"}, {"kind": "status", "status": 500}])
def test_a_batch_that_may_have_arrived_keeps_its_content_and_its_key(
    platform: SinkProcess, workbench: MakeWorkbench, first: dict[str, object]
) -> None:
    platform.set_faults(first | {"times": 1}, BUSY | {"times": 1})
    work = workbench(frames=8, join=5)
    work.put("a")
    assert work.ship() == RATIO
    work.put("b")
    work.wake()
    assert work.ship() == pytest.approx(40.0, abs=0.1)
    work.wake()
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert [request["count"] for request in platform.requests()] == [1, 1, 1, 1]
    assert len(set(keys_sent(platform))) == 2
    assert platform.stats()["unexplained_duplicates"] == 0


def test_a_batch_whose_worker_died_during_its_request_keeps_its_content_and_its_key(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workbench(frames=8, join=5)
    work.put("a")
    frame = work.claim()
    monkeypatch.setattr(work.shipper, "_sender", DyingSender(work.shipper._sender, life=1))
    with pytest.raises(SystemExit):
        work.shipper.ship(frame)
    monkeypatch.undo()
    work.queue.arena.locks.release(frame.number)  # as the kernel does
    janitor.sweep(work.queue.arena)
    platform.set_faults(BUSY | {"times": 1})
    ship_after_pause(work, 40.0)
    work.put("b")
    while work.queue.arena.find(READY) >= 0:
        assert work.ship() is None
    stats = platform.stats()
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (1, 0)


def test_a_batch_that_was_sent_twice_at_once_keeps_its_content_and_its_key(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """The connection closes under the first request, which arrives; the second one is refused."""
    work = workbench(frames=8, join=5)
    work.put("x")
    assert work.ship() is None
    platform.set_faults({"kind": "ack_lost", "times": 1}, BUSY | {"times": 1})
    work.put("a")
    ship_after_pause(work, 40.0)
    assert platform.stats()["by_status"]["429"] == 1
    work.put("b")
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    stats = platform.stats()
    assert (stats["explained_duplicates"], stats["unexplained_duplicates"]) == (1, 0)
    assert accounts(work.settled()) == (3, 3, 0, 0)


def test_a_part_of_a_batch_keeps_its_place_and_its_key(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 413, "times": 1}, BUSY | {"times": 1})
    work = workbench(frames=8, join=100)
    work.put(*"abcd")
    ship_after_pause(work, 40.0)
    work.put("e")
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert [request["count"] for request in platform.requests()] == [4, 2, 2, 2, 1]
    _, part, again, *_ = keys_sent(platform)
    assert part == again
    assert accounts(work.settled()) == (5, 5, 0, 0)


def test_with_a_delivery_timeout_each_record_has_its_own_time(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """Joined to an older batch, a record would be abandoned early, or the older one late."""
    platform.set_faults(BUSY | {"times": 1})
    work = workbench(frames=8, join=100, deadline=100.0)
    work.put("a")
    ship_after_pause(work, 40.0)
    work.put("b")
    work.put("c")
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert [request["count"] for request in platform.requests()] == [1, 1, 2]
    assert accounts(work.settled()) == (3, 3, 0, 0)


def test_a_parked_batch_keeps_its_key_while_the_platform_is_busy(
    platform: SinkProcess, workbench: MakeWorkbench, tmp_path: object
) -> None:
    work = workbench(frames=8, join=100, retries=0, spool=tmp_path)
    platform.set_faults({"kind": "status", "status": 500, "times": 1}, BUSY | {"times": 1})
    work.put("a", "b")
    assert work.ship() is None
    work.queue.worker.look(clock.now())
    assert work.parking.load(lambda _: True)
    ship_after_pause(work, 40.0)
    work.put("c")
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    first, second, third, _ = keys_sent(platform)
    assert first == second == third
    assert accounts(work.settled()) == (3, 3, 0, 0)


# An endpoint that only responds that it is busy


def test_frames_that_share_the_result_of_a_probe_are_charged_no_attempt(
    platform: SinkProcess, workbench: MakeWorkbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workbench(frames=FAILURES_TO_OPEN + 4, retries=1, deadline=1000.0)
    open_circuit(work, platform)
    platform.set_faults(BUSY)
    pass_pause(work)
    for _ in range(3):
        work.put("tick")
    probe, *others = [work.claim() for _ in range(3)]
    held = InterruptedSender(
        work.shipper._sender, lambda: [work.shipper.ship(frame) for frame in others]
    )
    monkeypatch.setattr(work.shipper, "_sender", held)
    assert work.shipper.ship(probe) == pytest.approx(40.0)
    monkeypatch.undo()
    assert work.queue.stats().throttled == 1
    assert len(work.queue.arena.all_in(WAITING)) == FAILURES_TO_OPEN + 3
    assert [frame.attempts for frame in others] == [0, 0]
    assert all(frame.was_refused for frame in others), "their time has begun"
    platform.clear_faults()
    pass_pause(work)
    work.wake()
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    stats = work.settled()
    assert stats.delivered == stats.accepted


def ship_after_pause(work: Workbench, seconds: float) -> None:
    """Ship a frame that the platform is too busy for, and let its delay pass."""
    pass_pause(work)
    assert work.ship() == pytest.approx(seconds, abs=0.1)
    work.wake()


# The pace


class NotedPace(FixedPace):
    """A pace that notes what it learns."""

    def __init__(self, *, is_lowest: bool = False) -> None:
        self.is_lowest = is_lowest
        self.noted: list[str] = []

    def is_due(self, now: float) -> bool:
        return True

    def accepted(self, size: int, sent_at: float, now: float, *, is_backlog: bool) -> None:
        assert 0 <= now - sent_at < 10
        self.noted.append(f"accepted{' in backlog' * is_backlog}")

    def refused(self, sent_at: float, now: float) -> None:
        self.noted.append("refused")

    def unanswered(self, sent_at: float, now: float) -> None:
        self.noted.append("unanswered")


@pytest.mark.parametrize(
    ("fault", "noted"),
    [
        ({"kind": "status", "status": 429}, ["refused"]),
        (BUSY | {"status": 503}, ["refused"]),
        ({"kind": "status", "status": 503}, ["unanswered"]),
        ({"kind": "status", "status": 504}, ["unanswered"]),
        ({"kind": "disconnect"}, ["unanswered"]),
        ({"kind": "status", "status": 500}, []),
        ({"kind": "status", "status": 404}, []),
        ({"kind": "status", "status": 405}, []),
    ],
)
def test_the_pace_learns_from_each_response_that_may_be_about_too_many_requests(
    platform: SinkProcess, workbench: MakeWorkbench, fault: dict[str, object], noted: list[str]
) -> None:
    platform.set_faults(fault | {"times": 1})
    pace = NotedPace()
    work = workbench(pace=pace)
    work.put("tick")
    work.ship()
    assert pace.noted == noted


def test_the_pace_learns_whether_more_was_waiting(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    pace = NotedPace()
    work = workbench(frames=8, join=2, pace=pace)
    for keys in ("a", "b", "cd"):
        work.put(*keys)
    work.ship()
    assert pace.noted == ["accepted in backlog"], "two frames were joined, and one is waiting"
    work.ship()
    assert pace.noted[1:] == ["accepted"]


def test_a_platform_that_cannot_be_reached_lowers_the_pace(workbench: MakeWorkbench) -> None:
    pace = NotedPace()
    work = workbench(f"http://127.0.0.1:{refused_port()}", pace=pace)
    work.put("tick")
    assert work.ship() == RATIO
    assert pace.noted == ["unanswered"]


def test_busy_responses_open_no_circuit_as_long_as_the_pace_can_become_slower(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults(BUSY)
    work = workbench(frames=FAILURES_TO_OPEN + 3, pace=NotedPace())
    for _ in range(FAILURES_TO_OPEN + 1):
        work.put("tick")
        assert work.ship() == pytest.approx(40.0)
    assert work.shipper.all_circuits_closed
    assert not work.reports(), "nothing fails"
    lowest = workbench(frames=FAILURES_TO_OPEN + 3, pace=NotedPace(is_lowest=True))
    for _ in range(FAILURES_TO_OPEN):
        lowest.put("tick")
        assert lowest.ship() == pytest.approx(40.0)
    assert not lowest.shipper.all_circuits_closed
    assert len(lowest.reports()) == 1
