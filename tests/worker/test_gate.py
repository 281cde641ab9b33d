"""No more requests are in flight than the pace permits, and each waits for its turn."""

from typing import Any

import pytest

from dataart_mp.worker.gate import Gate
from dataart_mp.worker.shared_flow import FixedPace


class GivenPace:
    """A pace that the test sets."""

    def __init__(self, share: int, delay: float = 0.0) -> None:
        self.share = share
        self.delay = delay
        self.is_limited = delay > 0
        self.asked_at: list[float] = []

    def take_turn(self, now: float) -> float:
        self.asked_at.append(now)
        return self.delay


def gate_of(pace: Any, most: int = 8, *, circuit_open: bool = False) -> Gate:
    return Gate(pace, most, lambda: circuit_open)


@pytest.mark.parametrize(("share", "limit"), [(1, 1), (7, 7), (8, 8), (9, 8), (1 << 32, 8)])
def test_the_limit_is_the_share_of_the_worker_but_not_more_than_it_may_send(
    share: int, limit: int
) -> None:
    assert gate_of(GivenPace(share)).limit == limit


def test_a_fixed_pace_never_holds_back() -> None:
    gate = gate_of(FixedPace())
    assert gate.limit == 8
    assert gate.take_turn(5.0) == 0.0


def test_a_request_waits_for_its_turn() -> None:
    pace = GivenPace(1, delay=0.25)
    assert gate_of(pace).take_turn(5.0) == 0.25
    assert pace.asked_at == [5.0]


def test_while_a_circuit_is_open_nothing_is_held_back() -> None:
    gate = gate_of(GivenPace(1, delay=0.25), circuit_open=True)
    assert gate.limit == 8
    assert gate.take_turn(5.0) == 0.0
