"""Frames that are joined are sent in one request, and each counts its own records."""

import pytest

from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.arena import READY
from dataart_mp.transport.response import Response
from dataart_mp.transport.sender import Sender
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


class LimitedSender:
    """A sender to a platform that responds 400 to more than so many events in a request."""

    def __init__(self, sender: Sender, most: int) -> None:
        self._sender = sender
        self._most = most
        self.refused = 0

    def post(self, path: str, body: bytes, key: str) -> Response:
        if body.count(b'"user_key"') <= self._most:
            return self._sender.post(path, body, key)
        self.refused += 1
        return Response(400)


def test_joined_frames_with_too_many_records_are_split_and_the_number_is_remembered(
    workbench: MakeWorkbench, platform: SinkProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workbench(frames=64, join=1000)
    limited = LimitedSender(work.shipper._sender, most=6)
    monkeypatch.setattr(work.shipper, "_sender", limited)
    refused = []
    for _ in range(3):
        for _ in range(30):
            work.put("a")
        while work.queue.arena.find(READY) >= 0:
            work.ship()
        refused.append(limited.refused)
    assert accounts(work.settled()) == (90, 90, 0, 0)
    assert refused == [7, 7, 7], "30 = 15 + 15 = 7 + 8 + 7 + 8, and none later"
    assert platform.stats()["unexplained_duplicates"] == 0


def test_a_bad_record_among_joined_ones_makes_no_later_request_smaller(
    workbench: MakeWorkbench, platform: SinkProcess
) -> None:
    work = workbench(frames=64, join=1000)
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    for key in ("bad", *"abcdefg"):
        work.put(key)
    assert work.ship() is None
    before = work.queue.stats().requests
    for key in "abcdefgh":
        work.put(key)
    assert work.ship() is None
    assert work.settled().requests == before + 1
