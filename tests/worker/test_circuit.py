"""The circuit lets one request find out what a hundred would."""

import pytest

from dataart_mp.queue import Frame, RecordQueue
from dataart_mp.worker.circuit import (
    FAILURES_TO_OPEN,
    LONGEST_PAUSE,
    Circuit,
    Gathered,
    Probe,
    Send,
    Wait,
)

PAUSE = 1.0


@pytest.fixture
def frame() -> Frame:
    return Frame(RecordQueue(1, 1024).arena, 0)


def opened(at: float = 0.0, after: float = 0.0) -> Circuit:
    circuit = Circuit(PAUSE)
    for _ in range(FAILURES_TO_OPEN):
        assert circuit.is_closed
        assert circuit.failed(Send(), after, at) == []
    assert not circuit.is_closed
    return circuit


def test_it_lets_all_send_as_long_as_the_endpoint_works(frame: Frame) -> None:
    circuit = Circuit(PAUSE)
    assert circuit.ask(frame, 0.0) == Send()
    assert circuit.answered() is None
    assert circuit.ask(frame, 1.0) == Send()


def test_failures_open_it_only_in_a_row(frame: Frame) -> None:
    circuit = Circuit(PAUSE)
    for _ in range(3):
        for _ in range(FAILURES_TO_OPEN - 1):
            circuit.failed(Send(), 0.0, 0.0)
        assert circuit.answered() is None
    assert circuit.ask(frame, 0.0) == Send()


def test_an_open_one_lets_nobody_send_before_the_pause_is_over(frame: Frame) -> None:
    circuit = opened(at=10.0)
    assert circuit.ask(frame, 10.9) == Wait(11.0)
    assert isinstance(circuit.ask(frame, 11.0), Probe)


def test_the_pause_is_no_shorter_than_the_platform_asks(frame: Frame) -> None:
    assert opened(after=40.0).ask(frame, 39.9) == Wait(40.0)


def test_the_pause_does_not_grow_with_a_long_backoff(frame: Frame) -> None:
    circuit = Circuit(3600.0)
    for _ in range(FAILURES_TO_OPEN):
        circuit.failed(Send(), 0.0, 0.0)
    assert circuit.ask(frame, 0.0) == Wait(LONGEST_PAUSE)


def test_one_probes_and_the_others_gather_behind_it(frame: Frame) -> None:
    circuit = opened()
    probe = circuit.ask(frame, PAUSE)
    others = [Frame(frame._arena, 0) for _ in range(3)]
    assert [circuit.ask(other, PAUSE) for other in others] == [Gathered()] * 3
    assert isinstance(probe, Probe)
    assert circuit.failed(probe, 0.0, 5.0) == others
    assert circuit.ask(frame, 5.0) == Wait(5.0 + PAUSE)


def test_its_answer_closes_it_and_frees_all(frame: Frame) -> None:
    circuit = opened()
    circuit.ask(frame, PAUSE)
    other = Frame(frame._arena, 0)
    circuit.ask(other, PAUSE)
    assert circuit.answered() == [other]
    assert circuit.ask(frame, PAUSE) == Send()
    assert circuit.answered() is None


def test_a_late_answer_to_an_older_request_closes_it_too(frame: Frame) -> None:
    circuit = opened()
    assert circuit.answered() == []
    assert circuit.ask(frame, 0.0) == Send()


def test_a_late_failure_of_an_older_request_speaks_for_nobody_else(frame: Frame) -> None:
    circuit = opened()
    probe = circuit.ask(frame, PAUSE)
    other = Frame(frame._arena, 0)
    circuit.ask(other, PAUSE)
    assert circuit.failed(Send(), 0.0, PAUSE) == []
    assert isinstance(probe, Probe)
    assert circuit.failed(probe, 0.0, PAUSE) == [other]


def test_a_probe_of_an_earlier_outage_speaks_for_none_of_the_next(frame: Frame) -> None:
    circuit = opened()
    old = circuit.ask(frame, PAUSE)
    assert isinstance(old, Probe)
    circuit.answered()  # by another request
    for _ in range(FAILURES_TO_OPEN):
        circuit.failed(Send(), 0.0, 2.0)
    new = circuit.ask(frame, 2.0 + PAUSE)
    other = Frame(frame._arena, 0)
    circuit.ask(other, 2.0 + PAUSE)
    assert circuit.failed(old, 0.0, 4.0) == []
    assert isinstance(new, Probe)
    assert circuit.failed(new, 0.0, 4.0) == [other]
