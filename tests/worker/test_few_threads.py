"""A worker that cannot start all its threads continues with those that it has."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dataart_mp import clock
from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.parking import NoParking
from dataart_mp.worker.shared_flow import FixedPace
from dataart_mp.worker.worker import Worker
from tests.queue.tools import queue_of, record
from tests.support import wait_until


class Work:
    """A worker of three requests at once, which runs in threads of the test, and what it does.

    Its shipper always waits, so that the loop leaves each frame to a helper.
    """

    all_circuits_closed = True

    def follow_others(self) -> None:
        """No circuit is open."""

    def probe(self) -> None:
        """No circuit is open."""

    sentinels: tuple[int, ...] = ()

    def __init__(self, queue: RecordQueue) -> None:
        self.queue = queue
        self.reports: list[tuple[int, int, str]] = []
        self.threads: list[str] = []
        self.life = os.pipe()
        self.may_ship = threading.Event()
        self.may_ship.set()
        itself: Any = self
        self.worker = Worker(
            queue,
            self.life[0],
            itself,
            itself,
            Gate(FixedPace(), 3, lambda: False),
            itself,
            itself,
            NoParking(queue),
        )
        self._thread = threading.Thread(target=self.worker.run, name="main")
        self._is_over = False
        itself.worker._run_loop = self._run_loop  # which ends, as the test's process lives on

    def _run_loop(self) -> None:
        self.worker._loop = loop = self.worker._make_loop()
        while not self._is_over:
            loop.turn(0.05)
        loop.close()

    def start(self) -> None:
        self._thread.start()

    def begin_at_once(self, frame: Frame, moment: object, sent_at: float) -> None:
        """Say that it might have to wait."""

    def ship(self, frame: Frame) -> None:
        self.threads.append(threading.current_thread().name)
        assert self.may_ship.wait(20)
        self.queue.worker.settle(frame)

    def is_healthy(self, is_identity: bool) -> bool:
        return True

    def few_threads(self, threads: int, wanted: int, error: RuntimeError) -> None:
        self.reports.append((threads, wanted, str(error)))

    def check(self, now: float) -> None:
        """Start no other worker."""

    def emit(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.producer.append(record(number))

    def end(self) -> None:
        os.close(self.life[1])
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._is_over = True
        loop = self.worker._loop_thread
        if loop is not None:
            loop.join(20)
            assert not loop.is_alive()
        self.worker._wakeup.close()
        os.close(self.life[0])


@pytest.fixture
def work() -> Iterator[Work]:
    with queue_of() as queue:
        yield Work(queue)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Lets only so many threads of a worker start; None: any number."""
    start = threading.Thread.start
    limits: list[int | None] = [None]
    running = itertools.count(1)

    def limited(thread: threading.Thread) -> None:
        limit = limits[-1]
        if thread.name in ("loop", "helper") and limit is not None and next(running) > limit:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return limits.append


def test_it_sends_with_the_threads_that_it_has(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(3)
    work.start()
    work.may_ship.clear()
    work.emit(0, 1, 2)
    wait_until(lambda: work.reports)
    work.may_ship.set()
    wait_until(work.queue.arena.all_free)
    assert work.threads == ["helper"] * 3
    assert work.reports == [(2, 3, "can't start new thread")]
    work.end()


def test_its_loop_does_all_that_may_wait_if_there_is_no_other_thread(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(1)
    work.start()
    for number in range(4):
        work.emit(number)
        wait_until(work.queue.arena.all_free)
    assert work.threads == ["loop"] * 4
    assert work.reports == [(0, 3, "can't start new thread")], "once"
    work.end()


def test_its_main_thread_sends_if_there_is_no_other(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(0)
    work.start()
    for number in range(4):
        work.emit(number)
        wait_until(work.queue.arena.all_free)
    assert work.threads == ["main"] * 4
    assert work.reports == [(0, 3, "can't start new thread")]
    work.end()


def test_it_starts_the_missing_threads_when_the_system_allows(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(0)
    work.start()
    wait_until(lambda: work.reports)
    only(None)
    wait_until(lambda: work.worker._loop_thread is not None)
    work.emit(0)
    wait_until(work.queue.arena.all_free)
    assert work.threads == ["helper"]
    work.end()


def test_requests_have_their_full_time_although_the_loop_has_done_what_may_wait(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(1)
    work.start()
    wait_until(lambda: work.worker._loop is not None)
    loop = work.worker._loop
    assert loop is not None
    work.may_ship.clear()
    work.emit(0)
    wait_until(lambda: work.threads)
    began = clock.monotonic()
    time.sleep(0.2)
    work.may_ship.set()
    wait_until(work.queue.arena.all_free)
    assert loop._now >= began + 0.2
    work.end()
