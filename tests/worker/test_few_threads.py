"""A worker that cannot start all its sender threads continues with those that it has."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.worker.gate import Gate
from dataart_mp.worker.parking import NoParking
from dataart_mp.worker.shared_flow import FixedPace
from dataart_mp.worker.worker import Worker
from tests.queue.tools import queue_of, record
from tests.support import wait_until


class Work:
    """A worker of three senders, which runs in a thread of the test, and what it does."""

    all_circuits_closed = True
    sentinels: tuple[int, ...] = ()

    def __init__(self, queue: RecordQueue) -> None:
        self.queue = queue
        self.reports: list[tuple[int, int, str]] = []
        self.senders: list[str] = []
        self.life = os.pipe()
        itself: Any = self
        self.worker = Worker(
            queue,
            self.life[0],
            itself,
            3,
            Gate(FixedPace(), lambda: True),
            itself,
            itself,
            NoParking(queue),
        )
        self._thread = threading.Thread(target=self.worker.run, name="main")
        self._is_over = False
        itself.worker._send = self._send  # which ends, because the test's process lives on

    def _send(self) -> None:
        while not self._is_over:
            self.worker._ship(self.queue.worker.fetch())

    def start(self) -> None:
        self._thread.start()

    def ship(self, frame: Frame) -> None:
        self.senders.append(threading.current_thread().name)
        self.queue.worker.settle(frame)

    def is_healthy(self, is_identity: bool) -> bool:
        return True

    def few_threads(self, threads: int, wanted: int, error: RuntimeError) -> None:
        self.reports.append((threads, wanted, str(error)))

    def check(self, now: float) -> None:
        """Start no other worker."""

    def emit(self, number: int) -> None:
        self.queue.producer.append(record(number))
        wait_until(self.queue.arena.all_free)

    def end(self) -> None:
        os.close(self.life[1])
        self._thread.join(20)
        self._is_over = True
        for thread in self.worker._threads:
            while thread.is_alive():
                self.queue.work.notify()
                thread.join(0.05)
        assert not self._thread.is_alive()
        self.worker._wakeup.close()
        os.close(self.life[0])


@pytest.fixture
def work() -> Iterator[Work]:
    with queue_of() as queue:
        yield Work(queue)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Lets only so many sender threads start; None: any number."""
    start = threading.Thread.start
    limits: list[int | None] = [None]
    running = itertools.count(1)

    def limited(thread: threading.Thread) -> None:
        limit = limits[-1]
        if thread.name.startswith("sender") and limit is not None and next(running) > limit:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return limits.append


def test_it_sends_with_the_threads_that_it_has(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(2)
    work.start()
    for number in range(4):
        work.emit(number)
    assert set(work.senders) <= {"sender 0", "sender 1"}
    assert work.reports == [(2, 3, "can't start new thread")], "once"
    work.end()


def test_its_main_thread_sends_if_there_is_no_other(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(0)
    work.start()
    for number in range(4):
        work.emit(number)
    assert work.senders == ["main"] * 4
    assert work.reports == [(0, 3, "can't start new thread")]
    work.end()


def test_it_starts_the_missing_threads_when_the_system_allows(
    work: Work, only: Callable[[int | None], None]
) -> None:
    only(0)
    work.start()
    wait_until(lambda: work.reports)
    only(None)
    wait_until(lambda: len(work.worker._threads) == 3)
    work.emit(0)
    assert work.senders[0].startswith("sender")
    work.end()
