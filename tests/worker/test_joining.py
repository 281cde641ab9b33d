"""Frames that are joined are sent in one request, and each counts its own records."""

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.arena import READY
from tests.worker.workbench import (
    MakeWorkbench,
    accounts,
)


def test_ready_frames_are_sent_in_one_request(
    workbench: MakeWorkbench, platform: SinkProcess
) -> None:
    work = workbench(frames=8, join=7)
    for keys in ("ab", "c", "def"):
        work.put(*keys)
    work.put_identity()
    work.put("g", "h")
    assert work.ship() is None
    assert [event["key"] for event in platform.events()] == [*"abcdef"], "eight are too many"
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert platform.stats()["requests"] == 3
    assert accounts(work.settled()) == (9, 9, 0, 0)


def test_joined_frames_fail_and_are_retried_as_one(
    workbench: MakeWorkbench, platform: SinkProcess
) -> None:
    work = workbench(frames=8, join=100)
    for key in "abc":
        work.put(key)
    platform.set_faults({"kind": "status", "status": 503, "times": 1})
    assert work.ship() is not None
    work.put("d")
    work.wake()
    assert work.ship() is None
    first, second = platform.requests()
    assert first["idempotency_key"] == second["idempotency_key"]
    assert (first["count"], second["count"]) == (3, 3), "a batch that was sent keeps its content"
    work.ship()
    assert accounts(work.settled()) == (4, 4, 0, 0)


def test_the_bad_records_of_joined_frames_are_found(
    workbench: MakeWorkbench, platform: SinkProcess
) -> None:
    work = workbench(frames=8, join=100)
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    for key in ("a", "bad", "c", "bad"):
        work.put(key)
    while work.queue.arena.find(READY) >= 0:
        work.ship()
    assert accounts(work.settled()) == (4, 2, 2, 0)
    assert sorted(event["key"] for event in platform.events()) == ["a", "c"]


def test_joined_frames_that_are_too_large_are_split_and_the_limit_is_remembered(
    workbench: MakeWorkbench, platform: SinkProcess
) -> None:
    work = workbench(frames=64, join=1000)
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
