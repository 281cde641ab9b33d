"""Every record of a frame ends in exactly one account, whatever the platform responds."""

import json
import math
from collections import Counter

import pytest

from dataart_mp import clock
from dataart_mp.devsink.process import SinkProcess
from dataart_mp.queue.arena import READY
from tests.worker.workbench import (
    RATIO,
    MakeWorkbench,
    accounts,
    keys_sent,
    numbers,
)


def test_a_frame_is_sent_in_one_request_and_settled(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench()
    work.put(*["tick"] * 20)
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (20, 20, 0, 0)
    (request,) = platform.requests()
    assert (stats.requests, stats.retries, stats.bytes) == (1, 0, request["bytes"])
    assert numbers(platform) == list(range(20))


def test_an_identity_is_sent_in_one_request_and_settled(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench()
    work.put_identity()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 1, 0, 0)
    assert platform.identities() == [{"user_key": "ann", "metadata": {"plan": "free"}}]


def test_a_reused_frame_gets_another_key(platform: SinkProcess, workbench: MakeWorkbench) -> None:
    work = workbench(frames=1)
    for _ in range(3):
        work.put("tick")
        work.ship()
    assert len(set(keys_sent(platform))) == 3
    assert accounts(work.settled()) == (3, 3, 0, 0)


# Splitting


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("place", [0, 21, 63])
def test_one_bad_record_is_found_with_few_requests_and_the_others_arrive(
    platform: SinkProcess, workbench: MakeWorkbench, status: int, place: int
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}, "status": status})
    work = workbench()
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


def test_each_of_several_bad_records_is_found_and_reported(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    work = workbench()
    bad = {0, 1, 17, 49, 50, 99}
    work.put(*("bad" if number in bad else "good" for number in range(100)))
    assert work.ship() is None
    assert accounts(work.settled()) == (100, 94, 6, 0)
    found = [json.loads(failure.records or "")["metadata"]["_id"] for failure in work.failures()]
    assert found == sorted(bad)
    assert platform.stats()["by_key"] == {"good": 94}


def test_a_frame_with_only_bad_records_is_settled_too(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "status", "status": 400})
    work = workbench()
    work.put(*["bad"] * 33)
    assert work.ship() is None
    stats = work.settled()
    assert accounts(stats) == (33, 0, 33, 0)
    assert stats.requests == 2 * 33 - 1


def test_a_batch_that_is_too_large_is_sent_in_smaller_parts(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 2000})
    work = workbench()
    work.put(*["tick"] * 100)
    assert work.ship() is None
    assert accounts(work.settled()) == (100, 100, 0, 0)
    assert numbers(platform) == list(range(100))
    assert not work.failures()


def test_a_delivered_frame_whose_worker_died_is_settled_without_a_request(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    work = workbench()
    work.put(*["tick"] * 5)
    frame = work.claim()
    frame.aim(frame.length, clock.now())
    frame.advance(frame.length)
    work.queue.arena.set_state(frame.number, READY)
    work.queue.arena.locks.release(frame.number)
    assert work.ship() is None
    assert accounts(work.settled()) == (5, 5, 0, 0)
    assert platform.requests() == []


def test_a_size_that_was_too_large_is_not_sent_again(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 2000})
    work = workbench()
    for _ in range(3):
        work.put(*["tick"] * 100)
        assert work.ship() is None
    assert accounts(work.settled()) == (300, 300, 0, 0)
    assert sorted(numbers(platform)) == sorted(list(range(100)) * 3)
    refused = [request["status"] for request in platform.requests()].count(413)
    first, *later = (sum(1 for _ in group) for group in _by_frame(platform))
    assert refused == first - later[0], "all were refused for the first frame"
    assert later == [later[0]] * 2


def _by_frame(sink: SinkProcess) -> list[list[str]]:
    keys = keys_sent(sink)
    frames = dict.fromkeys(key.partition("+")[0] for key in keys)
    return [[key for key in keys if key.partition("+")[0] == frame] for frame in frames]


def test_a_batch_sent_before_the_limit_was_known_is_repeated_as_it_was(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    """It may have arrived. In other parts, under other keys, its records would be duplicated."""
    platform.set_faults(
        {"kind": "status", "status": 503, "times": 1}, {"kind": "refuse_bytes", "over": 2000}
    )
    work = workbench()
    work.put(*["tick"] * 100)
    assert work.ship() == RATIO
    work.put(*["tock"] * 100)
    assert work.ship() is None
    work.wake()
    assert work.ship() is None
    accounts(work.settled())
    first, *_ = keys_sent(platform)
    assert keys_sent(platform).count(first) == 2


def test_a_413_that_was_not_about_the_size_is_forgotten(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}, "status": 413, "times": 9})
    work = workbench()
    work.put("bad", *["good"] * 63)
    assert work.ship() is None
    before = work.queue.stats().requests
    work.put(*["good"] * 64)
    assert work.ship() is None
    assert work.settled().requests == before + 1


def test_a_record_that_is_too_large_alone_is_rejected(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "refuse_bytes", "over": 1000})
    work = workbench()
    work.put("small", "x" * 2000, "small")
    assert work.ship() is None
    assert accounts(work.settled()) == (3, 2, 1, 0)
    assert [failure.status for failure in work.failures()] == [413]


def test_the_parts_of_a_batch_have_different_keys(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    platform.set_faults({"kind": "refuse", "match": {"key": "bad"}})
    work = workbench()
    work.put(*["good"] * 10, "bad", *["good"] * 10)
    work.ship()
    assert max(Counter(keys_sent(platform)).values()) == 1
    assert platform.stats()["reused_keys"] == 0


@pytest.mark.parametrize("status", [405, 410, 415, 451])
def test_a_batch_refused_for_another_reason_than_its_content_is_rejected_whole(
    platform: SinkProcess, workbench: MakeWorkbench, status: int
) -> None:
    platform.set_faults({"kind": "status", "status": status})
    work = workbench()
    work.put(*["tick"] * 20)
    assert work.ship() is None
    stats = work.settled()
    assert (accounts(stats), stats.requests) == ((20, 0, 20, 0), 1)
    (failure,) = work.failures()
    assert (failure.count, failure.is_identity) == (20, False)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 409])
def test_events_arrive_after_redirects_and_conflicts_have_ended(
    platform: SinkProcess, workbench: MakeWorkbench, status: int
) -> None:
    platform.set_faults({"kind": "status", "status": status, "times": 2})
    work = workbench()
    work.put(*["tick"] * 20)
    assert work.ship() == RATIO
    work.wake()
    assert work.ship() == 2 * RATIO
    work.wake()
    assert work.ship() is None
    assert accounts(work.settled()) == (20, 20, 0, 0)
    assert len(set(keys_sent(platform))) == 1


def test_a_failure_says_where_a_redirect_pointed_to(
    platform: SinkProcess, workbench: MakeWorkbench
) -> None:
    location = {"Location": "https://ann:secret@elsewhere.example/in"}
    platform.set_faults({"kind": "status", "status": 308, "headers": location})
    work = workbench(retries=0)
    work.put("tick")
    assert work.ship() is None
    (failure,) = work.failures()
    assert (failure.reason, failure.status) == ("retries exhausted", 308)
    assert failure.answer.startswith("redirect to https://***@elsewhere.example/in")


def test_a_bad_identity_is_rejected(platform: SinkProcess, workbench: MakeWorkbench) -> None:
    platform.set_faults({"kind": "status", "status": 400, "path": "identities"})
    work = workbench()
    work.put_identity()
    assert work.ship() is None
    assert accounts(work.settled()) == (1, 0, 1, 0)
    (failure,) = work.failures()
    assert (failure.is_identity, failure.reason) == (True, "rejected")
