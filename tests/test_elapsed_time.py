"""The clock of the queue only advances, and ages begin again when it does."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dataart_mp
from dataart_mp import clock
from dataart_mp.queue import process
from dataart_mp.queue.arena import READY, WAITING
from dataart_mp.queue.process import World
from dataart_mp.queue.record_queue import RecordQueue
from dataart_mp.queue.release import wake
from tests.queue.tools import claim_all, queue_of, record

MINUTE_NS = 60_000_000_000


def test_the_clock_advances_though_the_wall_clock_stands_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    before = clock.now()
    time.sleep(0.01)
    assert 10_000_000 <= clock.now() - before < MINUTE_NS


def test_all_processes_read_the_same_clock() -> None:
    before = clock.now()
    code = "from dataart_mp import clock; print(clock.now())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert before < int(there.stdout) < clock.now()


def test_a_system_without_the_clock_uses_the_monotonic_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(_clock: int) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(time, "clock_gettime_ns", unknown)
    assert clock._elapsed() is clock.monotonic_ns
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert clock._elapsed() is clock.monotonic_ns


def postponed(queue: RecordQueue, now: int) -> int:
    """Put a record that waits for a minute, since a minute ago; return its frame."""
    queue.producer.append(record(0))
    queue.producer.seal()
    (frame,) = claim_all(queue)
    frame.aim(frame.length, now - MINUTE_NS)
    frame.postpone(now, now + MINUTE_NS, now + MINUTE_NS)
    return frame.number


def test_a_new_owner_of_the_same_boot_keeps_ages_and_delays() -> None:
    with queue_of() as queue:
        now = clock.now()
        number = postponed(queue, now)
        queue.arena.settle_in()
        account = queue.arena.account(number)
        assert (now - account.since, account.due - now) == (MINUTE_NS, MINUTE_NS)
        assert not wake(queue.arena, number, clock.now())


@pytest.mark.parametrize("uptime", [1, 1 << 55])
def test_after_another_boot_ages_begin_again_and_delays_are_over(
    monkeypatch: pytest.MonkeyPatch, uptime: int
) -> None:
    """The machine may have been up for longer or shorter than before."""
    with queue_of() as queue:
        number = postponed(queue, MINUTE_NS << 10)
        account = queue.arena.account(number)
        monkeypatch.setattr(process, "world", lambda: World(7, queue.arena.world.namespace))
        monkeypatch.setattr(clock, "now", lambda: uptime)
        queue.arena.settle_in()
        assert account.since == uptime
        assert account.attempts == 1, "its attempts are still counted"
        assert queue.arena.state(number) == WAITING
        assert wake(queue.arena, number, uptime, early=True)
        assert queue.arena.state(number) == READY
        (frame,) = claim_all(queue)
        assert frame.since == uptime
        assert not frame.is_early(uptime)


def test_ages_begin_again_if_the_boot_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "world", lambda: World(0, 0))
    with queue_of() as queue:
        number = postponed(queue, clock.now() + MINUTE_NS)
        queue.arena.settle_in()
        now = clock.now()
        assert queue.arena.account(number).since <= now
        assert wake(queue.arena, number, now)


def test_a_frame_postponed_by_the_wall_clock_is_due_at_once() -> None:
    """An earlier release has stored its times, and ended without a restart of the machine."""
    with queue_of() as queue:
        number = postponed(queue, time.time_ns())
        assert wake(queue.arena, number, clock.now())


ROOT = Path(dataart_mp.__file__).parent
WALL_CLOCK = re.compile(r"\btime\.time(_ns)?\b|\bfrom time import\b|\bimport time as\b")
# Batches on disk outlive restarts; their delays are bounded, see `ParkingLot.waiting`. The times of
# the status are for people, and nothing waits for them.
EXCEPTIONS = {"worker/parker.py", "queue/status.py"}


def test_no_age_or_delay_is_measured_by_the_wall_clock() -> None:
    packages = ("queue", "worker", "producer", "supervision", "transport", "spool")
    users = {
        str(file.relative_to(ROOT))
        for package in packages
        for file in (ROOT / package).rglob("*.py")
        if WALL_CLOCK.search(file.read_text())
    }
    assert users <= EXCEPTIONS
