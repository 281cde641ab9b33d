"""No more threads send than the pace permits, and each waits for its turn."""

import threading
import time
from typing import Any

import pytest

from dataart_mp.worker import gate as gate_module
from dataart_mp.worker.gate import Gate
from tests.support import wait_until


def never() -> bool:
    return False


class GivenPace:
    """A pace that the test sets."""

    is_limited = True

    def __init__(self, share: int, delays: tuple[float, ...] = ()) -> None:
        self.share = share
        self.delays = list(delays)

    def take_turn(self, now: float) -> float:
        return self.delays.pop(0) if self.delays else 0.0


class Senders:
    """Threads that stay inside the gate until they are released."""

    def __init__(self, gate: Gate, count: int) -> None:
        self.inside = 0
        self._released = threading.Semaphore(0)
        self._gate = gate
        self._threads = [threading.Thread(target=self._send) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with self._gate:
            self.inside += 1
            self._released.acquire()
            self.inside -= 1

    def release(self, count: int) -> None:
        self._released.release(count)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(10)


def test_no_more_threads_are_inside_than_permitted() -> None:
    pace: Any = GivenPace(share=2)
    senders = Senders(Gate(pace, never), 5)
    wait_until(lambda: senders.inside == 2)
    senders.release(1)
    wait_until(lambda: senders.inside == 2)
    pace.share = 1
    senders.release(2)
    wait_until(lambda: senders.inside == 1)
    pace.share = 4
    wait_until(lambda: senders.inside == 2)
    senders.release(2)
    senders.join()
    assert senders.inside == 0


def test_a_thread_that_leaves_lets_another_one_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "_LOOK_SECONDS", 60.0)
    senders = Senders(Gate(GivenPace(share=1), never), 3)  # type: ignore[arg-type]
    for _ in range(3):
        wait_until(lambda: senders.inside == 1)
        senders.release(1)
    senders.join()
    assert senders.inside == 0


def test_a_thread_that_leaves_by_an_exception_has_left() -> None:
    gate = Gate(GivenPace(share=1), never)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError), gate:
        raise ZeroDivisionError
    with gate:
        pass


def test_a_turn_is_asked_for_again_because_the_pace_may_have_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    Gate(GivenPace(1, (5.0, 0.05, 0.0)), never).wait_for_turn()  # type: ignore[arg-type]
    assert slept == [gate_module._LOOK_SECONDS, 0.05]


def test_while_a_circuit_is_open_every_thread_is_let_in_and_none_waits_for_its_turn() -> None:
    circuits: list[str] = []
    pace: Any = GivenPace(1, (5.0,) * 100)
    gate = Gate(pace, lambda: bool(circuits))
    senders = Senders(gate, 3)
    wait_until(lambda: senders.inside == 1)
    circuits.append("open")
    wait_until(lambda: senders.inside == 3)
    gate.wait_for_turn()
    senders.release(3)
    senders.join()
